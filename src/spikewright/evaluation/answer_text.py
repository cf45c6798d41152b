# SPDX-License-Identifier: Apache-2.0
"""What a network answered, in words and columns: only what means something for its outputs."""

from collections.abc import Iterator, Sequence

from spikewright.evaluation.length import LengthResult
from spikewright.tasks.output_error import OutputError
from spikewright.tasks.series import Series
from spikewright.text import counted, percent, shorten

__all__ = [
    "answer_cells",
    "answer_notes",
    "answer_titles",
    "error_text",
    "every_output",
    "off_text",
    "points",
    "series_notes",
]

_SHOWN = 3
"""Outputs that have a column each; of more the one is shown that is furthest off."""

_NAME = 14


def off_text(share: float | None) -> str:
    """Write an error in per cent with three digits, or a dash.

    Example:
        >>> [off_text(x) for x in (None, 0.0, 0.0123456, 3.2e-6, 45.6)]
        ['-', '0 %', '1.23 %', '0.00032 %', '4,560 %']
    """
    if share is None:
        return "-"
    value = 100 * share
    return f"{value:,.0f} %" if value >= 1000 else f"{value:.3g} %"


def error_text(share: float | None, snr_db: float | None) -> str:
    """Write an error, and its signal-to-noise ratio where there is one.

    Example:
        >>> error_text(0.0123, 38.2), error_text(0.0, None)
        ('1.23 %, 38.2 dB', '0 %')
    """
    return off_text(share) + ("" if snr_db is None else f", {snr_db:z.1f} dB")


def answer_titles(length: LengthResult, agrees: str = "agrees") -> tuple[str, ...]:
    """Return the titles of the columns of :func:`answer_cells`.

    Args:
        length: What was measured.
        agrees: What equal decisions are called.
    """
    if length.has_scores:
        return "accuracy", agrees
    if length.series:
        return tuple(each.name for each in length.series)
    if len(length.errors) > _SHOWN:
        return ("largest error",)
    kinds = ("error" if x.is_floating else "equal" for x in length.errors)
    if len(length.errors) == 1:
        return tuple(kinds)
    named = zip((shorten(x.name, _NAME) for x in length.errors), kinds, strict=True)
    return tuple(f"{name} {kind}" for name, kind in named)


def answer_cells(length: LengthResult, t: int | None = None) -> tuple[str, ...]:
    """Return what may be said of the outputs after ``t`` steps, all by default."""
    if length.has_scores:
        return percent(length.accuracy(t)), percent(length.agreement(t))
    if length.series:
        return tuple(percent(each.at(t)) for each in length.series)
    if len(length.errors) > _SHOWN:
        return (error_text(length.error(t), length.snr_db(t)),)
    return tuple(_figure(x, t) for x in length.errors)


def every_output(length: LengthResult) -> list[list[str]]:
    """Return name, elements and figure of each output at the end, where columns do not show it."""
    if len(length.errors) <= _SHOWN:
        return []
    return [[x.name, f"{x.elements:,}", f"{_kind(x)} {_figure(x)}"] for x in length.errors]


def answer_notes(length: LengthResult) -> Iterator[str]:
    """Yield what must be known to read the figures of outputs that are no class scores."""
    if length.has_scores:
        return
    if length.series:
        yield from series_notes(length.series)
        return
    text = f"No class scores: {length.outputs}."
    if length.unused_labels:
        text += " Accuracy is not shown, labels were not read."
    if any(x.is_floating for x in length.errors):
        text += " Error: ‖SNN − ANN‖ / ‖ANN‖ over all inputs; dB: ‖ANN‖² / ‖SNN − ANN‖²."
    if not all(x.is_floating for x in length.errors):
        text += " Equal: elements that are the ANN's."
    yield text
    for each in length.errors:
        if each.is_floating and each.odd[-1]:
            yield (
                f"{each.name} has no error: of {counted(each.elements, 'element')}, "
                f"{each.odd[-1]:,} differ by what is not finite."
            )
        elif each.is_floating and each.off() is None:
            yield f"{each.name} has no error: the ANN's is 0 throughout."


def series_notes(series: Sequence[Series]) -> Iterator[str]:
    """Yield the original network's figures, and how sure the differences to them are.

    Example:
        >>> found = Series("AP", (0.1, 0.18), 0.2, (-0.03, 0.01))
        >>> list(series_notes([found]))
        ['ANN: AP 20.00 %. SNN − ANN: AP −2.00 points (95 % interval −3.00 to 1.00).']
    """
    known = [each for each in series if each.reference is not None]
    if known:
        ann = ", ".join(f"{each.name} {percent(each.reference)}" for each in known)
        gaps = [
            f"{each.name} {points(each.difference)} points"
            + ("" if (ends := _interval(each)) is None else f" (95 % interval {ends})")
            for each in known
            if each.difference is not None
        ]
        yield f"ANN: {ann}." + (f" SNN − ANN: {', '.join(gaps)}." if gaps else "")
    if any(each.name.startswith("fidelity") for each in series):
        yield "Fidelity: the same with the ANN's own decisions as truth."


def points(share: float) -> str:
    """Write a difference of two shares in percentage points.

    Example:
        >>> points(-0.0213), points(0.0), points(0.5)
        ('−2.13', '0.00', '50.00')
    """
    return f"{100 * share:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def _interval(each: Series) -> str | None:
    return None if each.interval is None else " to ".join(map(points, each.interval))


def _figure(each: OutputError, t: int | None = None) -> str:
    if each.is_floating:
        return error_text(each.relative_error(t), each.snr_db(t))
    return percent(each.equality(t))


def _kind(each: OutputError) -> str:
    return "error" if each.is_floating else "equal"
