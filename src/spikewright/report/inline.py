# SPDX-License-Identifier: Apache-2.0
"""Figures inside a page: SVG whose colours, fonts and names are the page's own."""

import html
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikewright.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Drawing", "colour", "inline", "series_colour"]

COLOURS = ("ink", "muted", "grid", "paper", *(f"series-{i}" for i in range(7)))
"""Names of the page's colours; the style sheet says what they are by day and by night."""

_SERIES = 7
_PREFIX = "#0a0b"  # colours that nothing else has: the page's are put in their place
_WIDTH = 4.8  # inches; a page shows a figure as wide as it likes


@dataclass(frozen=True)
class Drawing:
    """A figure of a page.

    Attributes:
        title: What it shows, in a few words.
        finding: What is to be seen in it, for those who see it and those who do not.
        svg: The figure, with title and finding as its description.
    """

    title: str
    finding: str
    svg: str


def colour(name: str) -> str:
    """Return the colour to draw with where the page's colour of this name is meant."""
    return f"{_PREFIX}{COLOURS.index(name):02x}"


def series_colour(i: int) -> str:
    """Return the colour of curve ``i``, counted from 0."""
    return colour(f"series-{i % _SERIES}")


def inline(
    draw: Callable[["Figure"], None], *, name: str, title: str, finding: str, height: float
) -> Drawing:
    """Draw a figure as SVG to be put into a page.

    The same figure gives the same text. Labels are no mathematics: they are shown as they are.

    Args:
        draw: Draws into the figure it is given, with :func:`colour` only.
        name: In front of every id in the SVG; no two figures of a page may have the same.
        title: What it shows, in a few words.
        finding: What is to be seen in it.
        height: In inches; it is 4.8 inches wide.

    Raises:
        ConfigError: If matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ConfigError(
            "report: expected matplotlib, which is not installed. Install the extra: "
            "pip install 'spikewright[report]'."
        ) from error
    content = io.BytesIO()
    with matplotlib.rc_context(_settings()), warnings.catch_warnings():
        # Only the measure of such a letter is missing: it is the browser that draws it.
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font", category=UserWarning
        )
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        figure.savefig(content, format="svg", metadata={"Date": None})
    return Drawing(title, finding, _fit(content.getvalue().decode(), name, title, finding))


def _settings() -> dict[Any, Any]:
    ink, grid = colour("ink"), colour("grid")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "spikewright",
        "text.parse_math": False,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": colour("muted"),
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "xtick.color": colour("muted"),
        "ytick.color": colour("muted"),
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "font.size": 9.5,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
    }


def _fit(svg: str, name: str, title: str, finding: str) -> str:
    """Take out what belongs to a file, name the ids, put the page's colours in."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', svg)
    if view is None:
        raise AssertionError("matplotlib wrote an SVG without a view box")
    described = (
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-finding">{html.escape(finding)}</desc>'
    )
    head = (
        f'<svg {view[0]} role="img" aria-labelledby="{name}-title" '
        f'aria-describedby="{name}-finding">'
    )
    body = re.sub("<[^>]*>", lambda tag: _own(tag[0], name), svg[svg.index(">") + 1 :])
    return f"{head}{described}{body.strip()}"


def _own(tag: str, name: str) -> str:
    """Make ids, fonts and colours of a tag the page's; labels stand between tags."""
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r"url\(#", f"url(#{name}-", tag)
    tag = re.sub(r'\bxlink:href="#', f'href="#{name}-', tag)
    tag = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", tag)
    return re.sub(rf"{_PREFIX}([0-9a-f]{{2}})", _variable, tag)


def _variable(found: re.Match[str]) -> str:
    return f"var(--{COLOURS[int(found[1], 16)]})"
