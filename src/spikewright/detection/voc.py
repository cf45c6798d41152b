# SPDX-License-Identifier: Apache-2.0
"""Average precision as PASCAL VOC defines it, at one overlap, for numbers of papers on VOC."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from spikewright.detection.boxes import Annotations, Detections
from spikewright.detection.overlap import overlaps
from spikewright.detection.truth import check_detections, check_truth, marks
from spikewright.errors import ConfigError

__all__ = ["VocScores", "voc_scores"]


@dataclass(frozen=True, kw_only=True)
class VocScores:
    """Average precision of one network on one set of images, in shares of 1.

    Attributes:
        ap: Mean over the classes that the images have; None if they have none.
        classes: Names.
        class_ap: Of each class; None where no image has a box to be found.
        iou: Overlap from which a box is right.
    """

    ap: float | None
    classes: tuple[str, ...]
    class_ap: tuple[float | None, ...]
    iou: float


def voc_scores(
    detections: Sequence[Detections],
    annotations: Sequence[Annotations],
    classes: Sequence[str],
    *,
    iou: float = 0.5,
    points: Literal["area", "11"] = "area",
) -> VocScores:
    """Judge what was found as PASCAL VOC does.

    Best boxes first, each is held against the box of its class that it overlaps most: right if by
    ``iou`` or more and nobody was there before, else wrong; neither if that box is difficult or a
    crowd. (COCO lets a box that comes second take another one that is free.) Overlaps are those of
    areas; the devkit adds a pixel to every side.

    Args:
        detections: One an image, in pixels of the images as they are stored.
        annotations: The truth, one an image.
        classes: Their names, in the order of the class numbers.
        iou: Overlap from which a box is right.
        points: "area" under the curve of the largest precision at every recall or a higher one
            (from VOC 2010 on), or its mean at the "11" recalls 0, .1, … 1 (until VOC 2007).

    Raises:
        ShapeError: If there are not as many detections as images.
        ConfigError: If ``iou`` or ``points`` is out of its range, or a class, box or score is not
            valid.

    References:
        Everingham et al., The PASCAL VOC Challenge, 2010, section 4.2; devkit 2012, VOCevaldet.m.

    Example:
        >>> import torch
        >>> box, label = torch.tensor([[0.0, 0.0, 40.0, 40.0]]), torch.tensor([0])
        >>> found = Detections(box, torch.tensor([0.9]), label)
        >>> voc_scores([found], [Annotations(box, label, (64, 64))], ["cat", "dog"]).class_ap
        (1.0, None)
    """
    if not 0 < iou <= 1 or points not in ("area", "11"):
        raise ConfigError(
            f"voc: expected an IoU in 0..1 and points 'area' or '11', got {iou} and {points!r}. "
            "VOC takes 0.5."
        )
    check_truth(annotations, classes)
    check_detections(detections, annotations, classes)
    each = [_class_ap(detections, annotations, k, iou, points) for k in range(len(classes))]
    known = [ap for ap in each if ap is not None]
    mean = sum(known) / len(known) if known else None
    return VocScores(ap=mean, classes=tuple(classes), class_ap=tuple(each), iou=iou)


def _class_ap(
    detections: Sequence[Detections],
    annotations: Sequence[Annotations],
    label: int,
    iou: float,
    points: str,
) -> float | None:
    scores, right, judged, truth = [], [], [], 0
    for found, given in zip(detections, annotations, strict=True):
        mine, wanted = found.labels == label, given.labels == label
        passed = np.logical_or(*marks(given))[wanted.numpy(force=True)]
        truth += int((~passed).sum())
        order = found.scores[mine].argsort(descending=True, stable=True)
        covered = overlaps(found.boxes[mine][order].double(), given.boxes[wanted].double())
        hit, counts = _judge(covered.numpy(force=True), passed, iou)
        scores.append(found.scores[mine][order].numpy(force=True))
        right.append(hit)
        judged.append(counts)
    if not truth:
        return None
    best = np.argsort(-np.concatenate(scores), kind="stable")
    hits = np.cumsum(np.concatenate(right)[best[np.concatenate(judged)[best]]])
    return _average(hits / truth, hits / np.arange(1, len(hits) + 1), points)


def _judge(
    covered: Float[np.ndarray, "found wanted"], passed: Bool[np.ndarray, " wanted"], iou: float
) -> tuple[Bool[np.ndarray, " found"], Bool[np.ndarray, " found"]]:
    """Return which boxes are right, and which are right or wrong."""
    right, judged = np.zeros(len(covered), dtype=bool), np.ones(len(covered), dtype=bool)
    taken = np.zeros(len(passed), dtype=bool)
    for box in np.flatnonzero((covered >= iou).any(1)):
        nearest = int(np.nan_to_num(covered[box]).argmax())
        judged[box] = not passed[nearest]
        right[box] = judged[box] and not taken[nearest]
        taken[nearest] = True
    return right, judged


def _average(
    recall: Float[np.ndarray, " box"], precision: Float[np.ndarray, " box"], points: str
) -> float:
    """Return the mean of precision over recall, both given after every box, best first."""
    at = np.concatenate(([0.0], recall, [1.0]))
    best = np.maximum.accumulate(np.concatenate(([0.0], precision, [0.0]))[::-1])[::-1]
    if points == "area":
        return float(np.diff(at) @ best[1:])
    asked = np.linspace(0, 1, 11)
    return float(best[np.searchsorted(at[1:-1], asked) + 1].mean())
