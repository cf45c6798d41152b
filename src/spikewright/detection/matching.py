# SPDX-License-Identifier: Apache-2.0
"""Which of the boxes that were found are right, class by class, with the image of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from spikewright.detection.boxes import Annotations, Detections
from spikewright.detection.overlap import areas, overlaps
from spikewright.detection.truth import marks

__all__ = ["ClassMatches", "Judge", "match"]

_LARGEST_AREA = 1e10
"""The evaluator passes over boxes beyond it."""


Judge: TypeAlias = Callable[
    [
        Float[np.ndarray, "found wanted"],
        Bool[np.ndarray, " wanted"],
        Bool[np.ndarray, " wanted"],
    ],
    tuple[Bool[np.ndarray, "iou found"], Bool[np.ndarray, "iou found"]],
]
"""From the overlaps of an image's boxes of a class, best first, with those of the truth, and which
of these need not be found and which are crowds: which are right, and which neither right nor wrong.
"""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """All boxes of a class that a network found, best first, beside the truth.

    Attributes:
        image: Number of each box's image.
        right: Whether it matches a box of the truth that is to be found, at each IoU.
        judged: Whether it is right or wrong, and neither in a crowd nor on a difficult box.
        truth: Boxes to be found in each image.
    """

    image: Int[np.ndarray, " box"]
    right: Bool[np.ndarray, "iou box"]
    judged: Bool[np.ndarray, "iou box"]
    truth: Int[np.ndarray, " image"]


def match(
    detections: Sequence[Detections],
    annotations: Sequence[Annotations],
    classes: int,
    judge: Judge,
    most: int | None = None,
) -> list[ClassMatches]:
    """Match what was found with the truth, class by class.

    Args:
        detections: One an image.
        annotations: The truth, one an image.
        classes: How many there are.
        judge: Decides about the boxes of a class in an image.
        most: So many of the best of a class in an image count; None for all.
    """
    none = np.zeros(0, dtype=bool)
    nothing = tuple(x.T for x in judge(np.zeros((0, 0)), none, none))
    empty: tuple[np.ndarray, ...] = (np.zeros(0), np.zeros(0, dtype=np.int64), *nothing)
    parts = [[empty] for _ in range(classes)]
    truth = np.zeros((classes, len(annotations)), dtype=np.int64)
    for image, (found, given) in enumerate(zip(detections, annotations, strict=True)):
        crowd, difficult = marks(given)
        area = areas(given.boxes.double()) if given.areas is None else given.areas
        passed = crowd | difficult | (area.numpy(force=True) > _LARGEST_AREA)
        wanted = given.labels.numpy(force=True)
        np.add.at(truth[:, image], wanted[~passed], 1)
        boxes = found.boxes.double().cpu()
        iou = overlaps(boxes, given.boxes.double().cpu(), torch.from_numpy(crowd)).numpy()
        outside = areas(boxes).numpy() > _LARGEST_AREA
        scores, labels = found.scores.numpy(force=True), found.labels.numpy(force=True)
        order = np.argsort(-scores, kind="stable")
        for label in np.unique(labels):
            best = order[labels[order] == label][:most]
            here = wanted == label
            right, skipped = judge(iou[np.ix_(best, here)], passed[here], crowd[here])
            judged = ~skipped & (right | ~outside[best])
            parts[label].append((scores[best], np.full(len(best), image), right.T, judged.T))
    return [_joined(part, row) for part, row in zip(parts, truth, strict=True)]


def _joined(parts: list[tuple[np.ndarray, ...]], truth: np.ndarray) -> ClassMatches:
    scores, image, right, judged = (np.concatenate(x) for x in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")
    return ClassMatches(image[order], right[order].T, judged[order].T, truth)
