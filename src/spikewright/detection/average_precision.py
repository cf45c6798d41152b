# SPDX-License-Identifier: Apache-2.0
"""Average precision as COCO defines it; faster-coco-eval computes it, without a word printed.

The truth is indexed once, since a spiking network is judged after every step of its read-out.
"""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from spikewright.detection.boxes import Annotations, Detections
from spikewright.detection.overlap import areas
from spikewright.detection.truth import check_detections, check_truth, marks, sides
from spikewright.errors import ConfigError

__all__ = ["CocoTruth", "DetectionScores"]

_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_MOST = 2
"""Place of 100 among the evaluator's limits of boxes an image: 1, 10, 100."""


@dataclass(frozen=True, kw_only=True)
class DetectionScores:
    """How right the boxes of one network on one set of images are, in shares of 1.

    Means over IoU thresholds .50, .55, … .95 and over classes unless a name says otherwise; at most
    the best 100 boxes of a class in an image count. None where no image holds such a box.

    Attributes:
        ap: Average precision.
        ap50: At an IoU of .5.
        ap75: At an IoU of .75.
        ap_small: Of boxes below 32² square pixels.
        ap_medium: Of boxes up to 96².
        ap_large: Of larger ones.
        ar: Average recall.
        classes: Names.
        class_ap: Average precision of each class.
        class_ap50: At an IoU of .5.
        images: How many were judged.
        boxes: In the truth, crowds and difficult ones included.
        found: Boxes that the network returned.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None
    classes: tuple[str, ...]
    class_ap: tuple[float | None, ...]
    class_ap50: tuple[float | None, ...]
    images: int
    boxes: int
    found: int


class CocoTruth:
    """What is in a set of images, ready to score many lists of detections.

    What is found in a crowd is neither right nor wrong, nor is what matches a difficult box.

    Args:
        annotations: One an image.
        classes: Their names, in the order of the class numbers.

    Raises:
        ConfigError: If faster-coco-eval is not installed, there are no images or no classes, or a
            class number is beyond the names.

    Example:
        >>> import torch
        >>> box, label = torch.tensor([[0.0, 0.0, 40.0, 40.0]]), torch.tensor([0])
        >>> truth = CocoTruth([Annotations(box, label, (64, 64))], ["cat", "dog"])
        >>> scores = truth.score([Detections(box, torch.tensor([0.9]), label)])
        >>> f"{scores.ap:.3f}", scores.class_ap50[1], scores.ap_small
        ('1.000', None, None)
    """

    def __init__(self, annotations: Sequence[Annotations], classes: Sequence[str]) -> None:
        self._evaluator = _evaluator()
        self.annotations, self.classes = tuple(annotations), tuple(classes)
        check_truth(self.annotations, self.classes)
        rows = [
            {"bbox": box, "image_id": image, "category_id": label, "area": area, "iscrowd": crowd}
            for image, given in enumerate(self.annotations)
            for box, label, area, crowd in _columns(given)
        ]
        self._boxes = len(rows)
        self._truth = self._indexed(rows)

    def score(self, detections: Sequence[Detections]) -> DetectionScores:
        """Judge what was found.

        Args:
            detections: One an image, in pixels of the images as they are stored.

        Raises:
            ShapeError: If there are not as many as images.
            ConfigError: If a class number is beyond the names, or a box or score is not finite.
        """
        check_detections(detections, self.annotations, self.classes)
        rows = [
            {"bbox": box, "image_id": image, "category_id": label, "score": score, "area": area}
            for image, found in enumerate(detections)
            for box, label, score, area in zip(
                sides(found.boxes).tolist(),
                found.labels.tolist(),
                found.scores.tolist(),
                areas(found.boxes.double()).tolist(),
                strict=True,
            )
        ]
        run = self._evaluator.COCOeval_faster(self._truth, self._indexed(rows), "bbox")
        run.evaluate()
        run.accumulate()
        # IoU, recall, class, area, limit; and the same without recall. −1 where there is no truth.
        precision, recall = run.eval["precision"], run.eval["recall"]
        everything = precision[:, :, :, _ALL, _MOST]
        return DetectionScores(
            ap=_mean(everything),
            ap50=_mean(everything[_IOU_50]),
            ap75=_mean(everything[_IOU_75]),
            ap_small=_mean(precision[:, :, :, _SMALL, _MOST]),
            ap_medium=_mean(precision[:, :, :, _MEDIUM, _MOST]),
            ap_large=_mean(precision[:, :, :, _LARGE, _MOST]),
            ar=_mean(recall[:, :, _ALL, _MOST]),
            classes=self.classes,
            class_ap=tuple(_mean(x) for x in everything.transpose(2, 0, 1)),
            class_ap50=tuple(_mean(x) for x in everything[_IOU_50].T),
            images=len(self.annotations),
            boxes=self._boxes,
            found=len(rows),
        )

    def _indexed(self, rows: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - the evaluator's COCO
        """Return boxes as the evaluator takes them; its numbers of boxes begin with 1."""
        for number, row in enumerate(rows, 1):
            row["id"] = number
        return self._evaluator.COCO(
            {
                "images": [
                    {"id": image, "height": given.size[0], "width": given.size[1]}
                    for image, given in enumerate(self.annotations)
                ],
                "annotations": rows,
                "categories": [{"id": i, "name": name} for i, name in enumerate(self.classes)],
            }
        )


def _evaluator() -> ModuleType:
    try:
        return importlib.import_module("faster_coco_eval")
    except ModuleNotFoundError as error:
        if error.name != "faster_coco_eval":
            raise
        raise ConfigError(
            "average precision: expected faster-coco-eval to be installed, got no such module. "
            "Install it: pip install 'spikewright[detection]'."
        ) from error


def _columns(given: Annotations) -> Iterable[tuple[list[float], int, float, int]]:
    """Return box, class, area and crowd mark of each box."""
    crowd, difficult = marks(given)
    known = areas(given.boxes.double()) if given.areas is None else given.areas
    # The evaluator knows no other mark than crowd, but passes over what is in no range of areas.
    inside = np.where(difficult, -1.0, known.numpy(force=True))
    labels = given.labels.tolist()
    return zip(
        sides(given.boxes).tolist(),
        labels,
        inside.tolist(),
        crowd.astype(int).tolist(),
        strict=True,
    )


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
