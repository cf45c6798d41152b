# SPDX-License-Identifier: Apache-2.0
"""Average precision as PASCAL VOC defines it, at one overlap, for numbers of papers on VOC."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from spikewright.detection.boxes import Annotations, Detections
from spikewright.detection.matching import ClassMatches, match
from spikewright.detection.truth import check_detections, check_truth
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
    found = match(detections, annotations, len(classes), functools.partial(_judge, iou))
    each = tuple(_class_ap(matches, points) for matches in found)
    known = [ap for ap in each if ap is not None]
    mean = sum(known) / len(known) if known else None
    return VocScores(ap=mean, classes=tuple(classes), class_ap=each, iou=iou)


def _judge(
    least: float,
    iou: Float[np.ndarray, "found wanted"],
    passed: Bool[np.ndarray, " wanted"],
    crowd: Bool[np.ndarray, " wanted"],
) -> tuple[Bool[np.ndarray, "1 found"], Bool[np.ndarray, "1 found"]]:
    """Decide as the devkit does; see :data:`Judge`."""
    right, skipped = np.zeros((2, 1, len(iou)), dtype=bool)
    taken = np.zeros(len(passed), dtype=bool)
    for box in np.flatnonzero((iou >= least).any(1)):
        nearest = int(np.nan_to_num(iou[box]).argmax())
        skipped[0, box] = passed[nearest]
        right[0, box] = not passed[nearest] and not taken[nearest]
        taken[nearest] = True
    return right, skipped


def _class_ap(found: ClassMatches, points: str) -> float | None:
    truth = int(found.truth.sum())
    if not truth:
        return None
    hits = np.cumsum(found.right[0, found.judged[0]])
    return _average(hits / truth, hits / np.arange(1, len(hits) + 1), points)


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
