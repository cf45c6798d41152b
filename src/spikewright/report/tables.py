# SPDX-License-Identifier: Apache-2.0
"""The tables of a report as texts and lengths of bars, for HTML and Markdown alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikewright.energy.energy import OPPONENTS, Energy, energy_by_layer
from spikewright.energy.energy_model import EnergyModel
from spikewright.energy.energy_text import joules, limit_text
from spikewright.energy.verdict import opponent_name
from spikewright.evaluation.answer_text import (
    answer_cells,
    answer_notes,
    answer_titles,
    error_text,
    every_output,
)
from spikewright.evaluation.layer_count import RECEIVES, LayerCount
from spikewright.evaluation.length import LengthResult
from spikewright.report.content import Content, model_name, times
from spikewright.report.latency import hardware_figure, latency_figures
from spikewright.text import number, percent

__all__ = [
    "Field",
    "Table",
    "energy_table",
    "key_figures",
    "layer_table",
    "output_table",
    "row_table",
    "step_table",
]

_NOTHING = "-"


@dataclass(frozen=True)
class Field:
    """One cell.

    Attributes:
        text: What it says.
        bar: Length of its bar in per cent of the longest; None without.
        good: Whether it is in favour of the spiking network; None where that is no question.
    """

    text: str
    bar: float | None = None
    good: bool | None = None


@dataclass(frozen=True)
class Table:
    """Rows under titles; the first field of a row is its own title.

    Attributes:
        caption: What it shows, in a sentence.
        head: Titles.
        rows: As many fields a row as titles.
        left: How many columns, from the first, hold words.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Field, ...], ...]
    left: int = 1


def key_figures(content: Content) -> tuple[tuple[str, str, str], ...]:
    """Return name, number and explanation of what is asked first of a report's main run."""
    measured, x = content.measured, content.main.run.result
    ann, hardware = measured.ann_accuracy, measured.hardware
    own, same = x.accuracy(), x.agreement()
    alone = len(x.errors) == 1
    found = [
        (title.capitalize() if alone else title, cell, "against the ANN's, after the last step")
        for title, cell in zip(answer_titles(x), answer_cells(x), strict=True)
        if not x.has_scores and not x.series
    ]
    found += [
        (
            each.name,
            percent(each.at()),
            "against the ANN's own decisions"
            if each.reference is None
            else f"ANN {percent(each.reference)}",
        )
        for each in x.series
    ]
    if own is not None:
        beside = "at rest" if x.settles else f"after {x.steps} steps"
        found.append(
            ("Accuracy", percent(own), beside if ann is None else f"{beside}; ANN {percent(ann)}")
        )
    if same is not None:
        found.append(("Agreement", percent(same), "decisions equal to the ANN's"))
    relative = f"{x.additions_per_sample / max(1, x.macs):.3f}"
    left = f" and {number(x.analog_macs)} MACs" if x.analog_macs else ""
    why = f"{number(x.additions_per_sample)} additions{left}; ANN {number(x.macs)} MACs"
    found += [
        ("Additions ÷ MACs", relative, why),
        ("Spikes per neuron", f"{x.spikes_per_neuron:.3f}", f"{x.neurons:,} neurons, one input"),
    ]
    if x.spike_purity is not None:
        why = "of the operations on values are additions by spikes"
        found.append(("Spike purity", percent(x.spike_purity), why))
    cycles = () if hardware is None else (hardware_figure(hardware),)
    return (*found, *latency_figures(x), *cycles)


def row_table(content: Content) -> Table:
    """Return one row for each run of a comparison."""
    model, count = content.models[0], len(content.models)
    scores = all(priced.run.result.has_scores for priced in content.runs)
    own = all(priced.run.result.series for priced in content.runs)
    answers = ["accuracy", "agrees"] if scores else ["error"]
    answers = list(answer_titles(content.runs[0].run.result)) if own else answers
    head = ["run", *answers, "additions", "÷ MACs", "spikes/neuron", "latency"]
    head += [f"energy ({model.name})", "÷ FP32", "÷ equal bits", "pays"]
    rows = []
    for priced in content.runs:
        x, energy = priced.run.result, priced.energies[0]
        pays = sum(e.pays(o) for e in priced.energies for o in OPPONENTS)
        of = len(OPPONENTS) * count
        shares = answer_cells(x) if scores or own else (error_text(x.error(), x.snr_db()),)
        rows.append(
            (
                Field(priced.run.label),
                *map(Field, shares),
                Field(number(x.additions_per_sample)),
                Field(f"{x.additions_per_sample / max(1, x.macs):.3f}"),
                Field(f"{x.spikes_per_neuron:.3f}"),
                Field(f"{x.most_ticks:,}"),
                Field(joules(energy.total)),
                *(Field(times(energy.ratio(o)), good=energy.pays(o)) for o in OPPONENTS),
                Field(f"{pays} of {of}"),
            )
        )
    caption = (
        f"Every run after its last step, for one input. Energy by {model.title}; pays: in how many "
        f"pairings of {count} energy models with {len(OPPONENTS)} opponents the spiking network "
        "needs less. Latency in ticks."
    )
    return Table(caption, tuple(head), tuple(rows))


def step_table(x: LengthResult) -> Table:
    """Return what may be said of the outputs after each step."""
    rows = tuple(
        (
            Field(f"{t:,}"),
            Field(f"{x.latency_ticks - x.steps + t:,}"),
            *map(Field, answer_cells(x, t)),
        )
        for t in range(1, x.last_step + 1)
    )
    caption = f"Accuracy and agreement with the ANN after each step of the read-out, T={x.T}."
    if not x.has_scores:
        caption = " ".join(
            [f"The outputs after each step of the read-out, T={x.T}.", *answer_notes(x)]
        )
    return Table(caption, ("step", "tick", *answer_titles(x)), rows, left=0)


def output_table(x: LengthResult) -> Table | None:
    """Return every output's figure at the end, if there are too many for a column each."""
    rows = tuple(tuple(map(Field, row)) for row in every_output(x))
    head = ("output", "elements", "after the last step")
    return Table("Every output beside the ANN's.", head, rows) if rows else None


def energy_table(energies: Sequence[Energy]) -> Table:
    """Return what an input costs, by model and opponent."""
    bits = energies[0].bits
    names = ("FP32", f"{bits} bits")
    head = ["model", "spiking", *(f"ANN {n}" for n in names), *(f"÷ {n}" for n in names)]
    head += ["pays against", *(f"pays below, {n}" for n in names)]
    rows = tuple(
        (
            Field(model_name(e.model)),
            Field(joules(e.total)),
            *(Field(joules(e.of(o))) for o in OPPONENTS),
            *(Field(times(e.ratio(o)), good=e.pays(o)) for o in OPPONENTS),
            _pays(e, names),
            *(Field(limit_text(e, o)) for o in OPPONENTS),
        )
        for e in energies
    )
    caption = (
        f"Energy for one input: the spiking network, {opponent_name('fp32', bits)} and "
        f"{opponent_name('quantised', bits)}, which can tell as many values apart as a train. It "
        "pays where the spiking network needs less. Pays below: the spikes per neuron and input "
        f"at which both need the same ({energies[0].spikes_per_neuron:.3g} are sent); never: even "
        "a silent network needs as much."
    )
    return Table(caption, tuple(head), rows)


def layer_table(x: LengthResult, model: EnergyModel) -> Table:
    """Return what every layer does for one input."""
    samples = max(1, x.samples)
    spikes = [_spikes(layer, samples) for layer in x.layers]
    additions = [
        layer.additions / samples if layer.kind in RECEIVES else None for layer in x.layers
    ]
    done = [layer.function_operations or None for layer in x.layers]
    functions = any(done)
    energy = energy_by_layer(x, model)
    whole = sum(energy) or 1.0
    rows = tuple(
        (
            Field(layer.name),
            Field(layer.kind),
            _bar(sent, spikes, "{:.3f}"),
            _EMPTY if added is None else Field(number(added), _share(added, additions)),
            *([_EMPTY if n is None else Field(number(n), _share(n, done))] if functions else []),
            Field(number(layer.macs)) if layer.macs else _EMPTY,
            Field(number(layer.analog_macs)) if layer.analog_macs else _EMPTY,
            Field(f"{100 * cost / whole:.1f} %", _share(cost, energy)),
        )
        for layer, sent, added, n, cost in zip(
            x.layers, spikes, additions, done, energy, strict=True
        )
    )
    head = [
        *("layer", "kind", "spikes/neuron", "additions"),
        *(["on values"] if functions else []),
        *("ANN MACs", "MACs left", "energy share"),
    ]
    most, name = max(zip(energy, (layer.name for layer in x.layers), strict=True))
    caption = (
        f"Work of every layer for one input. By {model.title} the most energy, "
        f"{100 * most / whole:.1f} %, goes to the row {name}. Bars are relative to the longest of "
        "their column."
    )
    if functions:
        caption += (
            " On values: operations of functions and analog work, which no spike causes; additions "
            "are those by spikes."
        )
    return Table(caption, tuple(head), rows, left=2)


_EMPTY = Field(_NOTHING)


def _pays(energy: Energy, names: Sequence[str]) -> Field:
    """Name the opponents that need more."""
    won = [name for o, name in zip(OPPONENTS, names, strict=True) if energy.pays(o)]
    if len(won) == len(OPPONENTS):
        return Field("both", good=True)
    return Field(f"{won[0]} only") if won else Field("neither", good=False)


def _spikes(layer: LayerCount, samples: int) -> float | None:
    return layer.spikes / (layer.neurons * samples) if layer.neurons else None


def _share(value: float | None, of: Sequence[float | None]) -> float | None:
    longest = max((v for v in of if v is not None), default=0.0)
    return None if value is None or not longest else 100 * value / longest


def _bar(value: float | None, of: Sequence[float | None], form: str) -> Field:
    return _EMPTY if value is None else Field(form.format(value), _share(value, of))
