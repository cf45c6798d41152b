# SPDX-License-Identifier: Apache-2.0
"""What the figures of a report are drawn from, and what is to be seen in them, in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from spikewright.energy.energy import OPPONENTS, Energy, energy_of
from spikewright.energy.energy_text import joules
from spikewright.energy.verdict import opponent_name
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.rasters import Example, Track
from spikewright.report.content import Content
from spikewright.report.figures import Plot, Series
from spikewright.report.merit import Merit, merit_of
from spikewright.report.read import Measured, Run
from spikewright.report.scenes import scene_text
from spikewright.text import counted, number, percent

__all__ = [
    "Curves",
    "accuracy_over_steps",
    "answers",
    "over_additions",
    "over_energy",
    "over_spikes",
    "over_ticks",
    "raster_finding",
    "ratio_finding",
]

_LINEAR = 32  # steps up to which an axis is linear
_SHOWN = 1e-3  # share of the largest x from which on an axis of costs begins


@dataclass(frozen=True)
class Curves:
    """Curves to be drawn.

    Attributes:
        plot: What to draw.
        log: Whether x is logarithmic.
        finding: What is to be seen.
        written: How a number is written at the x axis.
    """

    plot: Plot
    log: bool
    finding: str
    written: Callable[[float], str]


def accuracy_over_steps(measured: Measured) -> Curves:
    """Return accuracy along the steps of every run, or over T where a curve has several.

    Where nothing is labelled it is agreement, and the error of outputs that are no class scores.
    """
    merit = merit_of(measured.runs)
    series = _series(measured.runs, _step, merit)
    most = max((x for s in series for x, _ in s.points), default=0)
    several = any(len(group) > 1 for group in _lines(measured.runs))
    label = "step, or T where a method was run at several" if several else "step of the read-out"
    parts = []
    for line in series[:4]:
        (x0, y0), (x1, y1) = line.points[0], line.points[-1]
        start, end = merit.written(y0 / 100), merit.written(y1 / 100)
        parts.append(f"{line.label} goes from {start} at {x0:g} to {end} at {x1:g}")
    more = f"; {counted(len(series) - 4, 'more curve')}" if len(series) > 4 else ""
    level = "" if _level(measured) is None else f" The ANN: {_ann(measured)}."
    return Curves(
        _plot(measured, series, label, merit, "over steps"),
        most > _LINEAR,
        f"{'; '.join(parts)}{more}.{level}" if parts else merit.nothing,
        "{:g}".format,
    )


def over_additions(measured: Measured) -> Curves:
    """Return accuracy over additions for one input, along steps where they are known."""
    merit, label = merit_of(measured.runs), "additions for one input"
    series = _series(measured.runs, _additions, merit)
    finding = _cheapest(measured.runs, _additions, merit, number, label)
    return Curves(_plot(measured, series, label, merit, "over additions"), True, finding, number)


def over_spikes(measured: Measured) -> Curves:
    """Return accuracy over spikes a neuron for one input, at the end of every run."""
    return _at_the_end(
        measured, "spikes of a neuron for one input", "over spikes", lambda r: r.spikes_per_neuron
    )


def over_ticks(measured: Measured) -> Curves:
    """Return accuracy over ticks to the decision, at the end of every run."""
    return _at_the_end(
        measured, "ticks to the decision", "over latency", lambda r: float(r.latency_ticks)
    )


def _at_the_end(
    measured: Measured, label: str, over: str, cost: Callable[[LengthResult], float]
) -> Curves:
    """Return accuracy over a cost that is known of whole runs."""
    merit = merit_of(measured.runs)

    def whole(result: LengthResult, t: int | None) -> float | None:
        return cost(result) if t is None or t == result.last_step else None

    series = _series(measured.runs, whole, merit)
    finding = _cheapest(measured.runs, lambda r, t: cost(r), merit, "{:.3g}".format, label)
    return Curves(_plot(measured, series, label, merit, over), True, finding, "{:g}".format)


def over_energy(content: Content) -> Curves:
    """Return accuracy over energy for one input by the first model."""
    measured, model = content.measured, content.models[0]

    def energy(result: LengthResult, t: int | None) -> float:
        return energy_of(result, model, t).total

    merit = merit_of(measured.runs)
    series = _series(measured.runs, energy, merit)
    cheapest = _cheapest(measured.runs, energy, merit, joules, "for one input")
    finding = f"{cheapest} Priced by {model.title}."
    label = f"energy for one input ({model.name})"
    return Curves(_plot(measured, series, label, merit, "over energy"), True, finding, joules)


def ratio_finding(energies: Sequence[Energy]) -> str:
    """Say under how many models the spiking network needs less."""
    models, parts = len(energies), []
    for opponent in OPPONENTS:
        pays = sum(e.pays(opponent) for e in energies)
        ratios = [e.ratio(opponent) for e in energies]
        parts.append(
            f"less than {opponent_name(opponent, energies[0].bits)} under {pays} of "
            f"{counted(models, 'model')} ({min(ratios):.2g} to {max(ratios):.2g} times as much)"
        )
    return f"The spiking network needs {' and '.join(parts)}."


def answers(example: Example) -> str:
    """Say what an input is and what both networks answered, step by step.

    Example:
        >>> answers(Example(7, 3, 3, (5, 5, 3, 3), None, ()))
        'Class 3. ANN: 3. Spiking network: 3, from step 3 on (steps 1 to 2: 5).'
        >>> answers(Example(7, None, None, (5, 5), None, ()))
        'Class not known. Spiking network: 5, from step 1 on.'
        >>> answers(Example(7, None, None, (), None, ()))
        'No class: the outputs are no class scores.'
    """
    if example.scene is not None:
        return scene_text(example.scene)
    if not example.decided:
        return "No class: the outputs are no class scores."
    target = "not known" if example.target is None else f"{example.target}"
    ann = "" if example.ann is None else f" ANN: {example.ann}."
    spans, t = [], 1
    for decided, group in groupby(example.decided):
        length = len(list(group))
        spans.append((decided, t, t + length - 1))
        t += length
    last, first, _ = spans[-1]
    before = [f"step {a}: {d}" if a == b else f"steps {a} to {b}: {d}" for d, a, b in spans[:-1]]
    if len(before) > 4:
        before = [*before[:2], f"{len(before) - 3} more changes", before[-1]]
    text = f" ({', '.join(before)})" if before else ""
    return f"Class {target}.{ann} Spiking network: {last}, from step {first} on{text}."


def raster_finding(example: Example, drawn: Sequence[Track]) -> str:
    """Say how many of the neurons shown fired, and where most spikes are.

    Args:
        example: The input.
        drawn: The populations that the figure shows.
    """
    shown = sum(len(track.shown) for track in drawn)
    fired = sum(len({row for row, _, _ in track.spikes}) for track in drawn)
    which = f"{len(drawn)} of the {len(example.tracks)} populations are shown; "
    text = which if len(drawn) < len(example.tracks) else ""
    text += f"{fired} of the {counted(shown, 'neuron')} shown fired"
    if not fired:
        return f"{text}."
    most = max(drawn, key=lambda track: len(track.spikes))
    spikes = sum(len(track.spikes) for track in drawn)
    minus = sum(value < 0 for track in drawn for _, _, value in track.spikes)
    negative = f"; {minus} of {spikes} spikes are negative" if minus else ""
    return f"{text}, most often those of {most.name}{negative}."


def _lines(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of each curve, smallest T first."""
    lines: dict[str, list[Run]] = {}
    for run in runs:
        lines.setdefault(run.line, []).append(run)
    return [sorted(line, key=lambda run: run.result.T) for line in lines.values()]


def _series(
    runs: Sequence[Run], x: Callable[[LengthResult, int | None], float | None], merit: Merit
) -> tuple[Series, ...]:
    """Return curves: along the steps of a run, or over the ends of several.

    Args:
        runs: What was measured.
        x: Where a run stands after a step, or after all; None if a step has no place of its own.
        merit: What is drawn over it.
    """
    found = []
    for line in _lines(runs):
        if len(line) == 1:
            result = line[0].result
            ends = range(1, result.last_step + 1)
            places = [(result, t) for t in (ends if result.additions_by_step or x is _step else ())]
            label = line[0].label if line[0].line == line[0].label else line[0].line
        else:
            places, label = [], line[0].line
        points = [(x(result, t), merit.of(result, t)) for result, t in places]
        if not places:
            points = [(x(run.result, None), merit.of(run.result, None)) for run in line]
        known = ((a, 100 * b) for a, b in points if a is not None and b is not None)
        found.append(Series(label, tuple(known)))
    lowest = 0.0
    if x is not _step:
        lowest = _SHOWN * max((a for s in found for a, _ in s.points), default=0.0)
    return tuple(
        Series(s.label, kept)
        for s in found
        if (kept := tuple((a, b) for a, b in s.points if a > lowest))
    )


def _step(result: LengthResult, t: int | None) -> float:
    return float(result.T if t is None else t)


def _additions(result: LengthResult, t: int | None) -> float:
    if t is None:
        return result.additions_per_sample
    return result.additions_by_step[t - 1] / max(1, result.samples)


def _level(measured: Measured) -> float | None:
    """Return the original network's own figure, where runs are drawn by one that it has."""
    if all(run.result.series for run in measured.runs):
        return measured.runs[0].result.series[0].reference
    labelled = any(run.result.labelled for run in measured.runs)
    return measured.ann_accuracy if labelled else None


def _ann(measured: Measured) -> str:
    return percent(_level(measured))


def _plot(
    measured: Measured, series: tuple[Series, ...], x_label: str, merit: Merit, over: str
) -> Plot:
    level = _level(measured)
    return Plot(
        series=series,
        x_label=x_label,
        y_label=merit.label,
        y_most=100.0 if merit.rises else None,
        title=f"{merit.name} {over}",
        front=over != "over steps" and len(measured.runs) > 1,
        rises=merit.rises,
        x_base=2 if "step" in x_label else 10,
        level=None if level is None else 100 * level,
        level_label="ANN",
    )


def _cheapest(
    runs: Sequence[Run],
    cost: Callable[[LengthResult, int | None], float],
    merit: Merit,
    written: Callable[[float], str],
    what: str,
) -> str:
    """Say which run needs least at its end, and which of the best needs least."""
    ends = [(cost(r.result, None), merit.of(r.result, None), r.label) for r in runs]
    known = [(least, share, label) for least, share, label in ends if share is not None]
    if not known:
        return merit.nothing
    sign = 1 if merit.rises else -1
    least, at, cheap = min(known, key=lambda e: (e[0], -sign * e[1]))
    price, best, good = max(known, key=lambda e: (sign * e[1], -e[0]))
    text = f"At its end {cheap} needs least, {written(least)} {what}, with {merit.written(at)}"
    if at == best:
        return f"{text}, and no other is {'higher' if merit.rises else 'lower'}."
    most = "highest" if merit.rises else "lowest"
    return f"{text}; {good} is {most} with {merit.written(best)}, for {written(price)}."
