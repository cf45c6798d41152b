# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression: of boxes of one class that overlap, only the best is kept."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spikewright.detection.boxes import Detections
from spikewright.detection.overlap import overlaps
from spikewright.errors import ConfigError

__all__ = ["Suppression", "suppress"]

_BLOCK = 256
"""Boxes that are compared with each other at once; it bounds the memory, not the result."""


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Which of the candidate boxes of an image are its detections.

    Attributes:
        iou: Boxes of one class that overlap a better one by more than this are dropped.
        least: Boxes whose score is not above this are dropped.
        most: So many of the best are kept in an image.

    Raises:
        ConfigError: If a setting is out of its range.
    """

    iou: float = 0.5
    least: float = 0.01
    most: int = 300

    def __post_init__(self) -> None:
        for name, value in (("iou", self.iou), ("least", self.least)):
            if not 0 <= value <= 1:
                raise ConfigError(
                    f"suppression: expected {name} in 0..1, got {value}. "
                    "Give a share, not per cent."
                )
        if self.most < 1:
            raise ConfigError(
                f"suppression: expected to keep at least one box, got most={self.most}. Raise it."
            )

    def __call__(
        self,
        boxes: Float[Tensor, "box 4"],
        scores: Float[Tensor, " box"],
        labels: Int64[Tensor, " box"],
    ) -> Detections:
        """Return an image's detections, best first; of equal scores the first given.

        Args:
            boxes: Candidates, left, top, right, bottom, in pixels.
            scores: How sure the network is of each.
            labels: Class numbers from 0.
        """
        sure = scores > self.least
        boxes, scores, labels = boxes[sure], scores[sure], labels[sure]
        kept = suppress(boxes, scores, labels, iou=self.iou, most=self.most)
        return Detections(boxes[kept].float(), scores[kept].float(), labels[kept])


def suppress(
    boxes: Float[Tensor, "box 4"],
    scores: Float[Tensor, " box"],
    labels: Int64[Tensor, " box"],
    *,
    iou: float,
    most: int,
) -> Int64[Tensor, " kept"]:
    """Greedy suppression, class by class: exactly what one loop over the sorted boxes keeps.

    From the best box on, a box is kept unless a kept one of its class overlaps it by more than
    ``iou``. Blocks of sorted boxes are settled at once: boxes that only dropped ones cover come
    back until nothing changes, which is the loop's result, since the first i boxes are right after
    i rounds (commonly there are three).

    Returns:
        Positions of the kept boxes, best first; of equal scores the first comes first.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1.0, 0, 11, 10], [1.0, 0, 11, 10]])
        >>> scores, labels = torch.tensor([0.5, 0.9, 0.8]), torch.tensor([0, 0, 1])
        >>> suppress(boxes, scores, labels, iou=0.5, most=10).tolist()
        [1, 2]
    """
    kept = labels.new_empty(0)
    for block in torch.split(scores.argsort(descending=True, stable=True), _BLOCK):
        if len(kept) >= most:
            break
        if len(kept):
            block = block[~_covered(boxes, labels, kept, block, iou).any(0)]
        over = _covered(boxes, labels, block, block, iou).triu_(1)
        alive = torch.ones_like(block, dtype=torch.bool)
        while True:
            now = ~over[alive].any(0)
            if torch.equal(now, alive):
                break
            alive = now
        kept = torch.cat((kept, block[alive]))
    return kept[:most]


def _covered(boxes: Tensor, labels: Tensor, better: Tensor, worse: Tensor, iou: float) -> Tensor:
    """Return "better worse": whether a box of its class covers a box that is worse."""
    same = labels[better][:, None] == labels[worse]
    return (overlaps(boxes[better], boxes[worse]) > iou) & same
