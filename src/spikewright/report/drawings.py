# SPDX-License-Identifier: Apache-2.0
"""The figures of a report: curves, energy ratios, the pipeline, spikes of single inputs."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spikewright.energy.energy import OPPONENTS, Energy
from spikewright.energy.verdict import opponent_name
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.rasters import Example, Track
from spikewright.report.figures import FRONT_LABEL, Plot, front
from spikewright.report.inline import Drawing, colour, inline, series_colour
from spikewright.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "drawn", "pipeline", "raster", "ratios"]

_MARKERS = "osD^vPX*"
_LINES = ("-", (0, (6, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_DENSE = 16  # from so many points on, only some carry a marker
_LABEL = 26
_TRACKS = 8  # populations in a figure of spikes
_INPUTS = 3  # in flight at once, in the figure of the pipeline


def curves(
    plot: Plot, *, name: str, finding: str, log: bool, written: Callable[[float], str]
) -> Drawing:
    """Draw curves, the original network as a dashed line.

    Args:
        plot: What to draw.
        name: In front of its ids.
        finding: What is to be seen.
        log: Whether x is logarithmic.
        written: How a number is written at the x axis.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        lines = [_curve(axes, i, series.points) for i, series in enumerate(plot.series)]
        labels = [series.label for series in plot.series]
        if best := front(plot):
            x, y = zip(*best, strict=True)
            lines += axes.plot(x, y, color=colour("ink"), alpha=0.2, linewidth=5.0, zorder=1)
            labels.append(FRONT_LABEL)
        if plot.level is not None:
            ann = axes.axhline(plot.level, color=colour("ink"), linestyle=(0, (4, 3)), linewidth=1)
            lines, labels = [*lines, ann], [*labels, plot.level_label]
        if log:
            _logarithmic(axes, plot, written)
        else:
            axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        most = math.inf if plot.y_most is None else plot.y_most
        axes.set_yticks([y for y in axes.get_yticks() if 0 <= y <= most])
        axes.grid(visible=True)
        figure.legend(
            lines,
            [_shown(label) for label in labels],
            loc="outside lower center",
            ncols=2 if len(labels) > 1 else 1,
        )

    rows = (len(plot.series) + 2) // 2
    return inline(draw, name=name, title=plot.title, finding=finding, height=3.1 + 0.22 * rows)


def ratios(energies: Sequence[Energy], *, name: str, title: str, finding: str) -> Drawing:
    """Draw the spiking network's energy over its opponents', a row a model.

    Args:
        energies: One entry for each model.
        name: In front of its ids.
        title: What is shown.
        finding: What is to be seen.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        bits, rows = energies[0].bits, range(len(energies))
        for i, opponent in enumerate(OPPONENTS):
            places = [row + (-0.17, 0.17)[i] for row in rows]
            values = [e.ratio(opponent) for e in energies]
            axes.hlines(places, 1.0, values, color=series_colour(i), linewidth=3.5, alpha=0.55)
            axes.plot(
                values,
                places,
                linestyle="",
                marker=_MARKERS[i],
                color=series_colour(i),
                label=f"against {opponent_name(opponent, bits)}",
            )
        axes.axvline(1.0, color=colour("ink"), linewidth=1.2)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        every = [e.ratio(o) for e in energies for o in OPPONENTS]
        axes.set_xlim(min(0.5, *every) / 1.6, max(2.0, *every) * 1.6)
        axes.set_yticks(list(rows), [shorten(e.model.name, 16) for e in energies])
        axes.set_ylim(len(energies) - 0.4, -0.6)
        axes.set_xlabel("energy ÷ energy of the ANN (below 1: less)")
        axes.grid(visible=True, axis="x")
        figure.legend(loc="outside lower center", ncols=2)

    height = 1.3 + 0.34 * len(energies)
    return inline(draw, name=name, title=title, finding=finding, height=height)


def pipeline(result: LengthResult, *, name: str, title: str, finding: str) -> Drawing:
    """Draw when every population works, for a few inputs in flight.

    Args:
        result: What was measured, with its schedule.
        name: In front of its ids.
        title: What is shown.
        finding: What is to be seen.
    """
    rows = _rows(result.plan)

    def draw(figure: "Figure") -> None:
        from matplotlib.patches import Patch

        axes, every = figure.add_subplot(), result.ticks_per_input
        for i in range(_INPUTS):
            for row, (_, phases) in enumerate(rows):
                for action, start, stop in phases:
                    lane = row + (0.21 if len(phases) > 1 and action in _SECOND else -0.21)
                    axes.barh(
                        lane if len(phases) > 1 else row,
                        stop - start,
                        left=start + i * every,
                        height=0.4 if len(phases) > 1 else 0.8,
                        **_look(action, i),
                    )
        actions = dict.fromkeys(action for _, phases in rows for action, _, _ in phases)
        keys = [Patch(label=f"input {i + 1}", facecolor=series_colour(i)) for i in range(_INPUTS)]
        if len(actions) > 1:
            keys += [Patch(label=action, **_look(action, None)) for action in actions]
        axes.axvline(result.most_ticks, color=colour("ink"), linewidth=1.2)
        axes.set_xlim(0, result.latency_ticks + (_INPUTS - 1) * every)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        step = 1 + (len(rows) - 1) // 24
        axes.set_yticks(list(range(0, len(rows), step)), [label for label, _ in rows][::step])
        axes.set_xlabel("tick (line: input 1 is decided)")
        if len(rows) > 3:
            axes.set_ylabel("depth of populations")
        axes.grid(visible=True, axis="x")
        figure.legend(handles=keys, loc="outside lower center", ncols=3)

    height = 1.5 + min(5.0, 0.22 * len(rows) + 0.3)
    return inline(draw, name=name, title=title, finding=finding, height=height)


def raster(example: Example, ticks: int, *, name: str, title: str, finding: str) -> Drawing:
    """Draw which of the neurons shown fired when: tall strokes are positive, short ones negative.

    Of many populations some are drawn, the first and the last among them.

    Args:
        example: An input with the spikes of its neurons.
        ticks: How many to show.
        name: In front of its ids.
        title: What is shown.
        finding: What is to be seen.
    """
    tracks = drawn(example)
    places, first = [], 0.0
    for track in tracks:
        places.append(first)
        first += len(track.shown) + 1.5

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for track, place in zip(tracks, places, strict=True):
            top, bottom = place - 0.8, place + len(track.shown) - 0.2
            axes.axhspan(top, bottom, facecolor=colour("grid"), alpha=0.35, linewidth=0)
        for i, chosen in enumerate((lambda v: v < 0, lambda v: v == 1, lambda v: v > 1)):
            axes.add_patch(
                _strokes(tracks, places, chosen, negative=i == 0, width=(1.4, 1.4, 2.8)[i])
            )
        middles = [p + len(t.shown) / 2 - 0.5 for t, p in zip(tracks, places, strict=True)]
        axes.set_yticks(middles, [shorten(track.name, 16) for track in tracks], fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0.3, ticks + 0.7)
        axes.set_ylim(first - 1.4, -1.1)
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.set_xlabel("tick")
        axes.spines["left"].set_visible(False)

    height = 0.8 + 0.062 * first
    return inline(draw, name=name, title=title, finding=finding, height=height)


def drawn(example: Example) -> tuple[Track, ...]:
    """Return the populations that :func:`raster` draws: all, or some evenly spread."""
    tracks, count = example.tracks, min(_TRACKS, len(example.tracks))
    if len(tracks) <= _TRACKS:
        return tracks
    return tuple(tracks[i * (len(tracks) - 1) // (count - 1)] for i in range(count))


_SECOND = ("fire", "asleep")
_HATCH = {"fire": "", "awake": "", "works": "", "accumulate": "////", "asleep": "\\\\\\\\"}


def _look(action: str, i: int | None) -> dict[str, Any]:
    """Return how a phase of an input is drawn; of no input in the legend."""
    own = colour("muted") if i is None else series_colour(i)
    if _HATCH[action]:
        return {"facecolor": "none", "edgecolor": own, "hatch": _HATCH[action], "linewidth": 0.6}
    return {"facecolor": own, "edgecolor": own, "linewidth": 0.6}


def _rows(plan: dict[str, Any]) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Return name and phases of each row: (action, first tick, tick after the last)."""
    if plan["kind"] == "layered":
        by_depth: dict[int, dict[tuple[str, int, int], None]] = {}
        for _, action, start, stop in plan["phases"]:
            depth = start // plan["steps"] + (action == "accumulate")
            by_depth.setdefault(depth, {})[action, start, stop] = None
        return [(f"{d}" if d else "input", list(p)) for d, p in sorted(by_depth.items())]
    steps, sleep = plan["steps"], plan.get("sleep", 0)
    phases = [("awake", 0, steps - sleep), ("asleep", steps - sleep, steps)]
    return [("all layers", phases if sleep else [("works", 0, steps)])]


def _strokes(
    tracks: Sequence[Track],
    places: Sequence[float],
    chosen: Callable[[int], bool],
    *,
    negative: bool,
    width: float,
) -> Any:  # noqa: ANN401 - a patch
    """Return the spikes of some values as one patch."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points, codes = [(0.0, 0.0)], [Path.MOVETO]  # a patch of no points cannot be drawn
    for track, place in zip(tracks, places, strict=True):
        for row, tick, value in track.spikes:
            if chosen(value):
                y = place + row
                points += [(tick, y if negative else y - 0.45), (tick, y + 0.45)]
                codes += [Path.MOVETO, Path.LINETO]
    path = Path(points, codes)
    path.should_simplify = False
    look = series_colour(1 if negative else 0)
    return PathPatch(path, facecolor="none", edgecolor=look, linewidth=width, capstyle="butt")


def _logarithmic(axes: "Axes", plot: Plot, written: Callable[[float], str]) -> None:
    """Make x logarithmic, with numbers in words; between powers only where there are few."""
    from matplotlib.ticker import LogLocator

    places = [x for series in plot.series for x, _ in series.points]
    few = max(places) < 100 * min(places) and plot.x_base == 10
    axes.set_xscale("log", base=plot.x_base)
    axes.set_xlim(min(places) / 1.15, max(places) * 1.15)
    axes.xaxis.set_major_locator(LogLocator(plot.x_base, (1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_major_formatter(lambda x, _: written(x))
    axes.xaxis.set_minor_formatter("")


def _curve(axes: "Axes", i: int, points: Sequence[tuple[float, float]]) -> Any:  # noqa: ANN401 - a line
    (line,) = axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=series_colour(i),
        linestyle=_LINES[i % len(_LINES)],
        marker=_MARKERS[i % len(_MARKERS)],
        markersize=5,
        markerfacecolor=colour("paper") if i % 2 else None,
        markevery=0.1 if len(points) > _DENSE else None,
    )
    return line


def _shown(label: str) -> str:
    """Return a label that a legend takes: it hides those with a low line in front."""
    text = shorten(label, _LABEL)
    return f"\u200b{text}" if text.startswith("_") else text
