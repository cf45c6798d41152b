# SPDX-License-Identifier: Apache-2.0
"""A report as one HTML page that needs nothing else: no script, no font, no other address."""

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright import __version__
from spikewright.energy.energy_text import memory_text
from spikewright.errors import ConfigError
from spikewright.evaluation.rasters import Example
from spikewright.report import drawings, findings, tables
from spikewright.report.content import Content, Priced, model_name, not_counted
from spikewright.report.inline import Drawing
from spikewright.report.latency import pipeline_finding
from spikewright.report.merit import merit_of
from spikewright.report.part_tables import part_tables
from spikewright.report.pictures import data_uri
from spikewright.report.read import Measured
from spikewright.report.record import record_of
from spikewright.report.scenes import SceneView, scene_view
from spikewright.report.work_table import work_table

__all__ = ["page"]


@dataclass(frozen=True)
class _Sample:
    """An input looked at closely."""

    number: int
    answers: str
    picture: str | None
    alt: str
    scene: SceneView | None
    raster: Drawing | None


@dataclass(frozen=True)
class _Part:
    """What is shown of one run."""

    label: str
    steps: tables.Table
    scores: tuple[tables.Table, ...]
    outputs: tables.Table | None
    energy: tables.Table
    memory: str
    ratios: Drawing
    work: tables.Table
    layers: tables.Table
    pipeline: Drawing
    samples: tuple[_Sample, ...]


def page(found: Content) -> str:
    """Return a report as HTML; the same input gives the same page.

    Args:
        found: What the report says; energy is split and drawn by the first model.

    Raises:
        ConfigError: If jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise ConfigError(
            "report: expected jinja2, which is not installed. Install the extra: "
            "pip install 'spikewright[report]'."
        ) from error
    measured = found.measured
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spikewright.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(bound=_bound, named=model_name)
    several, over_steps = measured.compares, findings.accuracy_over_steps(measured)
    return environment.get_template("page.html").render(
        measured=measured,
        models=found.models,
        verdict=found.verdict,
        version=__version__,
        key_figures=() if several else tables.key_figures(found),
        rows=tables.row_table(found) if len(found.runs) > 1 else None,
        over_steps=over_steps,
        merit=merit_of(measured.runs),
        accuracy=_curves(over_steps, "accuracy") if over_steps.plot.series else None,
        costs=_costs(found) if several else (),
        parts=_parts(found),
        record=record_of(measured),
        not_counted=not_counted(found.models),
    )


def _parts(found: Content) -> tuple[_Part, ...]:
    """Return what is shown of every run, the one that the page is about first."""
    runs = found.runs if found.measured.compares else found.runs[::-1]
    return tuple(_part(found, priced, i) for i, priced in enumerate(runs))


def _part(found: Content, priced: Priced, i: int) -> _Part:
    result, name = priced.run.result, f"r{i}"
    ticks = max((_last(example) for example in priced.run.examples), default=1)
    samples = tuple(
        _sample(example, n, ticks, name, blue_first=_blue_first(found.measured))
        for n, example in enumerate(priced.run.examples, 1)
    )
    return _Part(
        label=priced.run.label,
        steps=tables.step_table(result),
        scores=part_tables(result),
        outputs=tables.output_table(result),
        energy=tables.energy_table(priced.energies),
        memory=memory_text(result),
        ratios=drawings.ratios(
            priced.energies,
            name=f"{name}-ratios",
            title=f"Energy of {priced.run.label} relative to the ANN, by model",
            finding=findings.ratio_finding(priced.energies),
        ),
        work=work_table(result, found.models[0]),
        layers=tables.layer_table(result, found.models[0]),
        pipeline=drawings.pipeline(
            result,
            name=f"{name}-pipeline",
            title=f"Three inputs in {priced.run.label}, one behind the other",
            finding=pipeline_finding(result),
        ),
        samples=samples,
    )


def _blue_first(measured: Measured) -> bool:
    """Tell whether the inputs are known to have their channels the other way round."""
    made = measured.data.get("preprocess")
    return isinstance(made, Mapping) and made.get("channels") == "BGR"


def _sample(example: Example, number: int, ticks: int, name: str, *, blue_first: bool) -> _Sample:
    said = findings.answers(example)
    return _Sample(
        number=example.index + 1,
        answers=said,
        picture=None if example.picture is None else data_uri(example.picture),
        scene=scene_view(example, name=f"{name}-scene{number}", blue_first=blue_first),
        alt=f"Input {example.index + 1} as the network was given it. {said}",
        raster=drawings.raster(
            example,
            ticks,
            name=f"{name}-raster{number}",
            title=f"Spikes for input {example.index + 1}",
            finding=findings.raster_finding(example, drawings.drawn(example)),
        )
        if _last(example)
        else None,
    )


def _bound(text: str) -> str:
    """Keep per cent signs on the line of their numbers."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _last(example: Example) -> int:
    """Return the tick of the last spike, 0 if there is none."""
    return max((tick for track in example.tracks for _, tick, _ in track.spikes), default=0)


def _curves(found: findings.Curves, name: str) -> Drawing:
    return drawings.curves(
        found.plot, name=name, finding=found.finding, log=found.log, written=found.written
    )


def _costs(found: Content) -> tuple[Drawing, ...]:
    """Return the figures of what accuracy costs."""
    additions, energy = findings.over_additions(found.measured), findings.over_energy(found)
    if not additions.plot.series:
        return ()
    drawn = [(additions, "additions"), (energy, "energy")]
    if len(found.measured.runs) > 1:
        drawn.insert(0, (findings.over_spikes(found.measured), "spikes"))
        drawn.append((findings.over_ticks(found.measured), "ticks"))
    return tuple(_curves(curves, name) for curves, name in drawn)
