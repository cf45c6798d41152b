# SPDX-License-Identifier: Apache-2.0
"""What a detector is worth on boxes of one size and of one class, in the terminal."""

from collections.abc import Sequence

from spikewright.tasks.part_score import PartScore
from spikewright.text import percent, table

__all__ = ["part_text"]

_NONE = "No average precision by class: no boxes were found beside boxes that people marked."


def part_text(parts: Sequence[PartScore], width: int) -> str:
    """Write a row for every size and class, the classes with most boxes first.

    Args:
        parts: The figures after the last step.
        width: Columns to use at most.

    Example:
        >>> print(part_text([PartScore(kind="class", name="cat", boxes=3, ap=0.5, ann=0.6)], 80))
        class  boxes       AP  AP50   ANN AP
        ─────  ─────  ───────  ────  ───────
        cat        3  50.00 %     -  60.00 %
    """
    if not parts:
        return _NONE
    ranked = sorted(parts, key=lambda part: (part.kind == "class", -part.boxes))
    tables = []
    for kind in ("size", "class"):
        rows = [
            [p.name, f"{p.boxes:,}", percent(p.ap), percent(p.ap50), percent(p.ann)]
            for p in (parts if kind == "size" else ranked)
            if p.kind == kind
        ]
        if rows:
            tables.append(table([kind, "boxes", "AP", "AP50", "ANN AP"], rows, width=width))
    return "\n\n".join(tables)
