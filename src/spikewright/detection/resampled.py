# SPDX-License-Identifier: Apache-2.0
"""COCO's average precision where images count several times, or not at all.

The evaluator (``average_precision.py``) forgets the images when it has averaged; who draws them
again and again (``bootstrap.py``) matches once and averages often.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from spikewright.detection.matching import ClassMatches

__all__ = ["IOUS", "average_precisions", "coco_judge", "first_reaching"]

IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)


def coco_judge(
    iou: Float[np.ndarray, "found wanted"],
    passed: Bool[np.ndarray, " wanted"],
    crowd: Bool[np.ndarray, " wanted"],
) -> tuple[Bool[np.ndarray, "iou found"], Bool[np.ndarray, "iou found"]]:
    """Decide as COCO's evaluator does; see :data:`Judge`.

    Best first, each box takes the one of the truth that overlaps it most among those still free;
    one that need not be found only if no other is left. Crowds are always free.
    """
    limits = IOUS[:, None]
    right = np.zeros((len(limits), len(iou)), dtype=bool)
    skipped, taken = np.zeros_like(right), np.zeros((len(limits), iou.shape[1]), dtype=bool)
    for box in np.flatnonzero((iou >= limits[0]).any(1)):
        free = (iou[box] >= limits) & (crowd | ~taken)
        first = free & ~passed
        free = np.where(first.any(1, keepdims=True), first, free)
        # Of equal overlaps the last, as the evaluator has it.
        chosen = iou.shape[1] - 1 - np.where(free, iou[box], -1.0)[:, ::-1].argmax(1)
        hit = np.flatnonzero(free.any(1))
        taken[hit, chosen[hit]] = True
        skipped[hit, box] = passed[chosen[hit]]
        right[hit, box] = ~skipped[hit, box]
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
    result = np.full((len(times), len(IOUS)), np.nan)
    some = np.flatnonzero(truth)
    if not len(some):
        return result
    wanted = first_reaching(truth[some])
    each = times[np.ix_(some, found.image)]
    for i in range(len(IOUS)):
        # Only a right box can raise precision, so that the others need no place of their own.
        at = np.flatnonzero(found.right[i])
        judged = np.cumsum(each * found.judged[i], 1)[:, at]
        hits = np.cumsum(each[:, at], 1)
        precision = hits / (judged + np.spacing(1.0))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        precision = np.concatenate((precision, np.zeros((len(some), 1))), 1)
        result[some, i] = np.take_along_axis(precision, _places(hits, wanted), 1).mean(1)
    return result


def first_reaching(truth: Int[np.ndarray, " draw"]) -> Int[np.ndarray, "draw recall"]:
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
