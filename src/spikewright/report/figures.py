# SPDX-License-Identifier: Apache-2.0
"""Curves as figures: readable in greyscale, legend beside the axes, no state left in matplotlib."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spikewright.errors import ConfigError, FileFormatError
from spikewright.files import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FRONT_LABEL", "Plot", "Series", "front", "save"]

_MARKERS = "osD^vPX*<>h"
_LINES = ("-", (0, (6, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_COLOURS = ("#000000", "#c2410c", "#1d4ed8", "#65a30d", "#a21caf", "#0891b2", "#737373")
_DENSE = 12  # from so many points on, only some carry a marker


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        label: What the legend calls it.
        points: (x, y), in the order in which they are joined.
    """

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes:
        series: The curves.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        title: Above the axes.
        x_base: Base of the logarithmic x axis.
        level: Height of a dashed line, if there is one.
        level_label: What the legend calls that line.
        y_most: Largest number at the y axis; None for any.
        front: Whether to join the points that no other equals or beats for less (Pareto).
        rises: Whether a higher y is better.
    """

    series: tuple[Series, ...]
    x_label: str
    y_label: str
    title: str = ""
    x_base: int = 10
    level: float | None = None
    level_label: str = ""
    y_most: float | None = 100.0
    front: bool = False
    rises: bool = True


FRONT_LABEL = "none better for less"
"""What the legend calls the line of :func:`front`."""


def front(plot: Plot) -> tuple[tuple[float, float], ...]:
    """Return the points of all curves that no other equals or beats at the same x or less.

    Args:
        plot: The figure; nothing is returned if it has no front.

    Returns:
        (x, y), x ascending.

    Example:
        >>> one, two = Series("a", ((1.0, 70.0), (4.0, 80.0))), Series("b", ((2.0, 60.0),))
        >>> front(Plot(series=(one, two), x_label="", y_label="", front=True))
        ((1.0, 70.0), (4.0, 80.0))
    """
    sign, found = 1.0 if plot.rises else -1.0, list[tuple[float, float]]()
    every = (point for series in plot.series for point in series.points)
    for x, y in sorted(every, key=lambda p: (p[0], -sign * p[1])) if plot.front else ():
        if not found or sign * y > sign * found[-1][1]:
            found.append((x, y))
    return tuple(found)


def save(plot: Plot, path: Path) -> Path:
    """Draw a figure and write it; the kind of file is that of the ending.

    Text stays text in SVG, and the same plot gives the same file.

    Args:
        plot: What to draw; every x is above zero.
        path: Where to write, ``.svg`` or ``.png``; its folder is made if it is missing.

    Returns:
        The path.

    Raises:
        ConfigError: If matplotlib is not installed, the ending is another, or an x is not above
            zero.
        FileFormatError: If the file cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in ("svg", "png"):
        raise ConfigError(f"{path}: expected a name that ends in .svg or .png. Choose one.")
    wrong = [s.label for s in plot.series if any(x <= 0 for x, _ in s.points)]
    if wrong:
        raise ConfigError(f"figure: expected every x above zero, got {wrong[0]} with another.")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ConfigError(
            "figures: expected matplotlib, which is not installed. Install the extra: "
            "pip install 'spikewright[report]'."
        ) from error
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    _draw(figure.add_subplot(), plot)
    content = io.BytesIO()
    # Both can only be set globally; the context takes them back.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "spikewright"}):
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(content, format=kind, dpi=160, metadata=metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"{path}: its folder could not be made ({error.strerror}). Choose another."
        ) from error
    write(path, content.getvalue())
    return path


def _draw(axes: "Axes", plot: Plot) -> None:
    """Draw curves, level, labels and legend."""
    for i, series in enumerate(plot.series):
        axes.plot(
            [x for x, _ in series.points],
            [y for _, y in series.points],
            label=series.label,
            color=_COLOURS[i % len(_COLOURS)],
            linestyle=_LINES[i % len(_LINES)],
            linewidth=1.4,
            marker=_MARKERS[i % len(_MARKERS)],
            markersize=5,
            markerfacecolor="white" if i % 2 else None,
            markevery=0.1 if len(series.points) > _DENSE else None,
        )
    if best := front(plot):
        x, y = zip(*best, strict=True)
        axes.plot(x, y, color="0.75", linewidth=5.0, zorder=1, label=FRONT_LABEL)
    axes.set_xscale("log", base=plot.x_base)
    if plot.x_base == 2:
        axes.xaxis.set_major_formatter("{x:g}")
    if plot.level is not None:
        axes.axhline(
            plot.level, color="0.35", linestyle="--", linewidth=1.0, label=plot.level_label
        )
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.set_title(plot.title, loc="left", fontsize="medium")
    axes.grid(visible=True, color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
