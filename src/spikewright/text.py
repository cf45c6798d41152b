# SPDX-License-Identifier: Apache-2.0
"""Plain tables for results: aligned, no wider than asked, the same in a terminal and in a log."""

from collections.abc import Sequence

__all__ = ["counted", "number", "percent", "shorten", "table"]


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun.

    Example:
        >>> counted(1, "site"), counted(1200, "mismatch", "mismatches")
        ('1 site', '1,200 mismatches')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """Write a share in per cent, or a dash.

    Example:
        >>> percent(0.9375), percent(None)
        ('93.75 %', '-')
    """
    return "-" if share is None else f"{100 * share:.2f} %"


def number(value: float) -> str:
    """Write a count with three digits and k, M or G.

    Example:
        >>> number(12.0), number(45678), number(2.5e9)
        ('12', '45.7 k', '2.5 G')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def shorten(text: str, width: int) -> str:
    """Cut a text in its middle so that it fits; module paths keep both ends.

    Example:
        >>> shorten("layer1.0.conv1.weight", 12)
        'layer…weight'
    """
    if len(text) <= width:
        return text
    left = (width - 1) // 2
    return f"{text[:left]}…{text[-(width - 1 - left) :]}"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = 80, left: int = 1
) -> str:
    """Format rows as text.

    Args:
        head: Column titles.
        rows: Cells, as many a row as titles.
        width: Columns to use at most; the first column is cut where that is too few.
        left: How many columns, from the first, are aligned to the left; the others to the right.

    Returns:
        Lines joined by newlines, a rule under the titles.

    Example:
        >>> print(table(["layer", "spikes"], [["conv1", "12"], ["fc", "3"]]))
        layer  spikes
        ─────  ──────
        conv1      12
        fc          3
    """
    cells = [list(map(str, head)), *(list(map(str, r)) for r in rows)]
    sizes = [max(len(r[c]) for r in cells) for c in range(len(head))]
    over = sum(sizes) + 2 * (len(sizes) - 1) - width
    if over > 0:
        sizes[0] = max(8, sizes[0] - over)
    lines = []
    for row in cells:
        parts = [
            shorten(cell, size).ljust(size) if i < left else cell.rjust(size)
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("─" * size for size in sizes))
    return "\n".join(lines)
