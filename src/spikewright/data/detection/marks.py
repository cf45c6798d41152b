# SPDX-License-Identifier: Apache-2.0
"""The boxes of a whole set in one table, clipped to their pictures when it is made."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from spikewright.data.images import FileReader, PackedReader
from spikewright.detection import Annotations
from spikewright.errors import FileFormatError, SpikewrightWarning

__all__ = ["Mark", "MarkSource", "MarkTable", "known_sizes", "table_of"]

Size = tuple[int, int]


class Mark(NamedTuple):
    """One box as a file has it.

    Attributes:
        image: Number of the picture in the set.
        label: Number of the class.
        box: Left, top, right, bottom, in pixels or as fractions of the picture's sides.
        crowd: As in ``Annotations``.
        difficult: As in ``Annotations``.
        area: In the square of the box's unit; None takes that of the box.
    """

    image: int
    label: int
    box: tuple[float, float, float, float]
    crowd: bool = False
    difficult: bool = False
    area: float | None = None


@runtime_checkable
class MarkSource(Protocol):
    """Where the boxes of a set come from."""

    @property
    def left_out(self) -> int:
        """How many boxes of the files are not in the set."""
        ...

    def __len__(self) -> int: ...

    def at(self, index: int, size: Size) -> Annotations:
        """Return what is in picture ``index``, of which height and width are given."""
        ...


@dataclass(frozen=True, eq=False)
class MarkTable:
    """Boxes one after another: those of picture i are rows ``offsets[i]`` to ``offsets[i + 1]``.

    Args:
        where: The set, for messages.
        names: Of the pictures.
        sizes: Heights and widths of the pictures; None if boxes are fractions of their sides.
        offsets: As above.
        boxes: Left, top, right, bottom.
        labels: Class numbers.
        crowd: As in ``Annotations``.
        difficult: As in ``Annotations``.
        areas: In the square of the boxes' unit.
        left_out: How many boxes had no area inside their picture.
    """

    where: str
    names: Sequence[str]
    sizes: Int64[np.ndarray, "image 2"] | None
    offsets: Int64[np.ndarray, " start"]
    boxes: Float64[np.ndarray, "box 4"]
    labels: Int64[np.ndarray, " box"]
    crowd: Bool[np.ndarray, " box"]
    difficult: Bool[np.ndarray, " box"]
    areas: Float64[np.ndarray, " box"]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def at(self, index: int, size: Size) -> Annotations:
        """Return what is in a picture, in its pixels.

        Args:
            index: Which picture.
            size: Its height and width.

        Raises:
            FileFormatError: If it has not the size in which its boxes were marked.
        """
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        height, width = size
        boxes, areas = self.boxes[rows], self.areas[rows]
        if self.sizes is None:
            boxes, areas = boxes * np.array([width, height] * 2), areas * (height * width)
        elif tuple(self.sizes[index]) != size:
            marked = "x".join(map(str, self.sizes[index][::-1]))
            raise FileFormatError(
                f"{self.where}[{index}] ({self.names[index]}): expected a picture of {marked} "
                f"pixels, in which its boxes are marked, got one of {width}x{height}. "
                "Use the pictures that were marked."
            )
        return Annotations(
            boxes=_floats(boxes),
            labels=torch.from_numpy(self.labels[rows].copy()),
            size=size,
            name=self.names[index],
            crowd=torch.from_numpy(self.crowd[rows].copy()),
            difficult=torch.from_numpy(self.difficult[rows].copy()),
            areas=_floats(areas),
        )


def table_of(
    where: str, names: Sequence[str], sizes: Sequence[Size] | None, marks: Sequence[Mark]
) -> MarkTable:
    """Make a table of boxes.

    Boxes are clipped to their pictures. Those with no area left are not taken: those outside, and
    those whose right edge is not to the right of the left one or whose lower edge is not below the
    upper one.

    Args:
        where: The set, for messages.
        names: Of the pictures.
        sizes: Heights and widths of the pictures; None if boxes are fractions of their sides.
        marks: In any order; those of a picture stay in theirs.

    Warns:
        SpikewrightWarning: If boxes are left out; it says how many.
    """
    image = np.array([mark.image for mark in marks], dtype=np.int64)
    boxes = np.array([mark.box for mark in marks], dtype=np.float64).reshape(-1, 4)
    table = None if sizes is None else np.array(sizes, dtype=np.int64).reshape(-1, 2)
    edges = np.ones_like(boxes) if table is None else table[image][:, [1, 0, 1, 0]]
    boxes = np.clip(boxes, 0, edges)
    single = boxes.astype(np.float32)  # as they will be given: what differs must differ there, too
    kept = (single[:, 2:] > single[:, :2]).all(axis=1)
    if left_out := int((~kept).sum()):
        first = names[int(image[~kept][0])]
        warnings.warn(
            f"{where}: {left_out} of {len(marks)} boxes have no area inside their picture and are "
            f"left out, the first one in {first}",
            SpikewrightWarning,
            stacklevel=3,
        )
    order = np.flatnonzero(kept)
    order = order[np.argsort(image[order], kind="stable")]
    areas = np.array([math.nan if mark.area is None else mark.area for mark in marks])[order]
    boxes = boxes[order]
    own = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    counts = np.bincount(image[order], minlength=len(names))
    return MarkTable(
        where=where,
        names=names,
        sizes=table,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=boxes,
        labels=np.array([mark.label for mark in marks], dtype=np.int64)[order],
        crowd=np.array([mark.crowd for mark in marks], dtype=bool)[order],
        difficult=np.array([mark.difficult for mark in marks], dtype=bool)[order],
        areas=np.where(np.isnan(areas), own, areas),
        left_out=left_out,
    )


def known_sizes(sizes: Sequence[Size | None], reader: FileReader | PackedReader) -> list[Size]:
    """Fill in heights and widths that a file does not tell, from the pictures.

    Raises:
        FileFormatError: If such a picture is missing or damaged.
    """
    return [size or reader.size(index) for index, size in enumerate(sizes)]


def _floats(values: npt.NDArray[np.float64]) -> Float[Tensor, "..."]:
    return torch.from_numpy(values.astype(np.float32))
