# SPDX-License-Identifier: Apache-2.0
"""Intersection over union of semantic segmentation, from counts that add up over batches."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from spikewright.errors import ConfigError, ShapeError

__all__ = ["Confusion", "confusion"]


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often pixels of one class were taken for another.

    Counts of disjoint pixels add up to those of all, whatever the order.

    Attributes:
        counts: Pixels of class row that were taken for class column.

    Example:
        >>> found, truth = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]])
        >>> seen = confusion(found, truth, classes=3)
        >>> seen.class_iou(), seen.mean_iou
        ((0.5, 0.5, None), 0.5)
        >>> (seen + seen).pixels
        6
    """

    counts: Int64[Tensor, "truth found"]

    def __add__(self, other: "Confusion") -> "Confusion":
        """Return the counts of both.

        Raises:
            ShapeError: If they have different numbers of classes.
        """
        if self.counts.shape != other.counts.shape:
            raise ShapeError(
                f"confusion: expected counts of {len(self.counts)} classes, got "
                f"{len(other.counts)}. Add counts of one network."
            )
        return Confusion(self.counts + other.counts)

    @property
    def pixels(self) -> int:
        """How many pixels were judged."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        """Share of pixels that are right; None without pixels."""
        return int(self.counts.trace()) / self.pixels if self.pixels else None

    @property
    def mean_iou(self) -> float | None:
        """Mean over the classes that occur in the truth or were found; None without pixels."""
        known = [x for x in self.class_iou() if x is not None]
        return sum(known) / len(known) if known else None

    def class_iou(self) -> tuple[float | None, ...]:
        """Return right / (truth + found − right) of each class; None for one that never occurs."""
        right = self.counts.diagonal()
        union = self.counts.sum(0) + self.counts.sum(1) - right
        pairs = zip(right.tolist(), union.tolist(), strict=True)
        return tuple(r / u if u else None for r, u in pairs)


def confusion(
    found: Integer[Tensor, "*pixel"],
    truth: Integer[Tensor, "*pixel"],
    classes: int,
    ignore: int = 255,
) -> Confusion:
    """Count which classes were taken for which.

    Args:
        found: Class of every pixel, from 0.
        truth: What it is.
        classes: How many there are.
        ignore: Label of pixels that are not judged.

    Raises:
        ShapeError: If found and truth differ in shape.
        ConfigError: If a judged pixel has a class that there is not.
    """
    if found.shape != truth.shape:
        raise ShapeError(
            f"confusion: expected classes found of shape {tuple(truth.shape)}, the truth's, got "
            f"{tuple(found.shape)}. Resize the scores before taking the best class."
        )
    judged = truth != ignore
    pair = torch.stack((truth[judged], found[judged])).long()
    for what, values in zip(("the truth", "what was found"), pair, strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < classes:
            wrong = int(values.min()) if int(values.min()) < 0 else int(values.max())
            raise ConfigError(
                f"confusion: expected classes from 0 to {classes - 1} in {what}, got {wrong}. "
                f"Check the number of classes and the label to ignore ({ignore})."
            )
    counts = torch.bincount(pair[0] * classes + pair[1], minlength=classes * classes)
    return Confusion(counts.reshape(classes, classes))
