# SPDX-License-Identifier: Apache-2.0
"""What a detector is worth on boxes of one size and of one class, as tables."""

from spikewright.evaluation.length import LengthResult
from spikewright.report.tables import Field, Table
from spikewright.text import percent

__all__ = ["part_tables"]

_CLASSES = 30
"""Classes in the first table of them."""


def part_tables(x: LengthResult) -> tuple[Table, ...]:
    """Return average precision by size and by class, the classes with most boxes first.

    None without boxes in the truth; classes in several tables where they are many.
    """
    sizes = [part for part in x.parts if part.kind == "size"]
    classes = sorted((p for p in x.parts if p.kind == "class"), key=lambda p: -p.boxes)
    found = list[Table]()
    if sizes:
        caption = (
            "Average precision after the last step by size of the boxes in the truth: small ones "
            "are below 32² pixels of the stored image, large ones above 96²."
        )
        by_size = [
            (Field(p.name), Field(f"{p.boxes:,}"), Field(percent(p.ap)), Field(percent(p.ann)))
            for p in sizes
        ]
        found.append(Table(caption, ("size", "boxes", "AP", "AP of the ANN"), tuple(by_size)))
    for start, some in ((0, classes[:_CLASSES]), (_CLASSES, classes[_CLASSES:])):
        if not some:
            break
        which = f"classes {start + 1} to {start + len(some)} of {len(classes)}"
        rows = [
            (
                Field(p.name),
                Field(f"{p.boxes:,}"),
                Field(percent(p.ap)),
                Field(percent(p.ap50)),
                Field(percent(p.ann)),
            )
            for p in some
        ]
        caption = (
            f"Average precision after the last step: {which} that are in the truth, by number of "
            "boxes there."
        )
        head = ("class", "boxes", "AP", "AP50", "AP of the ANN")
        found.append(Table(caption, head, tuple(rows)))
    return tuple(found)
