# SPDX-License-Identifier: Apache-2.0
"""Which boxes are right, as COCO's evaluator decides it, kept image by image.

The evaluator itself forgets the images when it has averaged. Who draws images again and again
(``bootstrap.py``) matches once and averages often.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spikewright.detection.boxes import Annotations, Detections
from spikewright.detection.overlap import areas, overlaps
from spikewright.detection.truth import marks

__all__ = ["ClassMatches", "average_precisions", "match"]

_IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST = 100
_LARGEST_AREA = 1e10
"""The evaluator passes over boxes beyond it."""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """All boxes of a class that a network found, best first, beside the truth.

    Attributes:
        image: Number of each box's image.
        right: Whether it matches a box of the truth, at each IoU of .50, .55, … .95.
        judged: Whether it is right or wrong, and neither in a crowd nor on a difficult box.
        truth: Boxes to be found in each image.
    """

    image: Int[np.ndarray, " box"]
    right: Bool[np.ndarray, "iou box"]
    judged: Bool[np.ndarray, "iou box"]
    truth: Int[np.ndarray, " image"]


def match(
    detections: Sequence[Detections], annotations: Sequence[Annotations], classes: int
) -> list[ClassMatches]:
    """Match what was found with the truth, class by class, as COCO's evaluator does.

    In each image the 100 best boxes of the class choose, best first, the box of the truth that
    overlaps them most among those still free, and before those that do not count; crowds are
    always free.

    Args:
        detections: One an image.
        annotations: The truth, one an image.
        classes: How many there are.
    """
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in range(classes)]
    truth = np.zeros((classes, len(annotations)), dtype=np.int64)
    for image, (found, given) in enumerate(zip(detections, annotations, strict=True)):
        crowd, passed = _passed(given)
        wanted = given.labels.numpy(force=True)
        np.add.at(truth[:, image], wanted[~passed], 1)
        iou = overlaps(found.boxes.double(), given.boxes.double(), _crowd(given)).numpy(force=True)
        scores, labels = found.scores.numpy(force=True), found.labels.numpy(force=True)
        outside = areas(found.boxes.double()).numpy(force=True) > _LARGEST_AREA
        order = np.argsort(-scores, kind="stable")
        for label in np.unique(labels):
            best = order[labels[order] == label][:_MOST]
            here = wanted == label
            right, skipped = _choose(iou[np.ix_(best, here)], passed[here], crowd[here])
            judged = ~(skipped | (~right & outside[best]))
            where = np.full(len(best), image)
            parts[label].append((scores[best], where, right.T, judged.T))
    return [_joined(part, row) for part, row in zip(parts, truth, strict=True)]


def _crowd(given: Annotations) -> Tensor | None:
    return None if given.crowd is None else given.crowd.to(given.boxes.device)


def _passed(given: Annotations) -> tuple[np.ndarray, np.ndarray]:
    """Return which boxes are crowds, and which need not be found."""
    crowd, difficult = marks(given)
    area = areas(given.boxes.double()) if given.areas is None else given.areas
    return crowd, crowd | difficult | (area.numpy(force=True) > _LARGEST_AREA)


def _joined(parts: list[tuple[np.ndarray, ...]], truth: np.ndarray) -> ClassMatches:
    nothing = np.zeros((0, len(_IOUS)), dtype=bool)
    empty = (np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64), nothing, nothing)
    scores, image, right, judged = (np.concatenate(x) for x in zip(empty, *parts, strict=True))
    order = np.argsort(-scores, kind="stable")
    return ClassMatches(image[order], right[order].T, judged[order].T, truth)


def _choose(
    iou: Float[np.ndarray, "found wanted"],
    passed: Bool[np.ndarray, " wanted"],
    crowd: Bool[np.ndarray, " wanted"],
) -> tuple[Bool[np.ndarray, "iou found"], Bool[np.ndarray, "iou found"]]:
    """Return which boxes match at each IoU, and which of them match what does not count."""
    limits = np.minimum(_IOUS, 1 - 1e-10)[:, None]
    right = np.zeros((len(limits), len(iou)), dtype=bool)
    skipped, taken = np.zeros_like(right), np.zeros((len(limits), iou.shape[1]), dtype=bool)
    for box in np.flatnonzero((iou >= limits[0]).any(1)):
        free = (iou[box] >= limits) & (crowd | ~taken)
        first = free & ~passed
        free = np.where(first.any(1, keepdims=True), first, free)
        # Of equal overlaps the last, as the evaluator has it.
        chosen = iou.shape[1] - 1 - np.where(free, iou[box], -1.0)[:, ::-1].argmax(1)
        hit = np.flatnonzero(free.any(1))
        right[hit, box], taken[hit, chosen[hit]] = True, True
        skipped[hit, box] = passed[chosen[hit]]
    return right, skipped


def average_precisions(
    found: ClassMatches, times: Int[np.ndarray, "draw image"]
) -> Float[np.ndarray, "draw iou"]:
    """Return a class's average precision where every image counts several times, or not at all.

    COCO's definition: precision at 101 recalls 0, .01, … 1, each the largest at that recall or a
    higher one, and 0 beyond the highest.

    Args:
        found: The class's boxes beside the truth.
        times: How often each image counts.

    Returns:
        At each IoU; NaN where the drawn images have no box of the class.
    """
    truth = times @ found.truth
    result = np.full((len(times), len(_IOUS)), np.nan)
    some = np.flatnonzero(truth)
    if not len(some):
        return result
    wanted = _first_reaching(truth[some])
    each = times[np.ix_(some, found.image)]
    for i in range(len(_IOUS)):
        # Only a right box can raise precision, so that the others need no place of their own.
        at = np.flatnonzero(found.right[i] & found.judged[i])
        judged = np.cumsum(each * found.judged[i], 1)[:, at]
        hits = np.cumsum(each[:, at], 1)
        precision = hits / (judged + np.spacing(1.0))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        precision = np.concatenate((precision, np.zeros((len(some), 1))), 1)
        result[some, i] = np.take_along_axis(precision, _places(hits, wanted), 1).mean(1)
    return result


def _first_reaching(truth: Int[np.ndarray, " draw"]) -> Int[np.ndarray, "draw recall"]:
    """Return how many right boxes first reach each recall, compared as COCO compares: n / truth."""
    count = truth[:, None]
    needed = np.ceil(_RECALLS * count)
    needed -= (needed - 1) / count >= _RECALLS
    needed += needed / count < _RECALLS
    reached: np.ndarray = needed.astype(np.int64)
    return reached


def _places(
    hits: Int[np.ndarray, "draw right"], wanted: Int[np.ndarray, "draw recall"]
) -> Int[np.ndarray, "draw recall"]:
    """Find in each row where the sum first reaches what is wanted: one search for all rows."""
    rows = np.arange(len(hits))[:, None]
    apart = rows * (int(wanted.max()) + int(hits.max(initial=0)) + 1)
    found = np.searchsorted((hits + apart).ravel(), (wanted + apart).ravel())
    places: np.ndarray = found.reshape(wanted.shape) - rows * hits.shape[1]
    return places
