# SPDX-License-Identifier: Apache-2.0
"""COCO's scores from pycocotools, the first evaluator, and from ours: the same digits."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from spikewright.detection import Annotations, CocoTruth, Detections, DetectionScores
from spikewright.detection.truth import sides
from tests.unit.detection.scenes import CLASSES, scene

pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra: crosscheck)")

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def second_hand(
    detections: Sequence[Detections],
    annotations: Sequence[Annotations],
    classes: int = len(CLASSES),
) -> tuple[np.ndarray, np.ndarray]:
    """Pycocotools' twelve numbers and its precision, "IoU recall class area limit"."""
    truth, rows = COCO(), []
    truth.dataset = {
        "images": [{"id": i} for i in range(len(annotations))],
        "categories": [{"id": k} for k in range(classes)],
        "annotations": rows,
    }
    for image, given in enumerate(annotations):
        columns = sides(given.boxes), given.labels, given.areas, given.crowd
        for box, label, area, crowd in zip(*(x.tolist() for x in columns), strict=True):  # type: ignore[union-attr]
            row = {"image_id": image, "category_id": label, "bbox": box, "area": area}
            rows.append({**row, "iscrowd": int(crowd), "id": len(rows) + 1})
    found: list[dict[str, Any]] = [
        {"image_id": image, "category_id": label, "bbox": box, "score": score}
        for image, x in enumerate(detections)
        for box, label, score in zip(
            sides(x.boxes).tolist(), x.labels.tolist(), x.scores.tolist(), strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats, run.eval["precision"]


def known(value: float | None) -> float:
    return -1.0 if value is None else value


def numbers(scores: DetectionScores) -> list[float]:
    overall = (scores.ap, scores.ap50, scores.ap75)
    by_size = (scores.ap_small, scores.ap_medium, scores.ap_large)
    return [known(x) for x in (*overall, *by_size, scores.ar)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_every_digit_is_the_same(seed: int, ties: bool) -> None:
    """Crowds, images without boxes or detections, equal scores, more than 100 boxes of a class."""
    annotations, detections = scene(seed, ties=ties, many=150 * (seed % 2))
    stats, precision = second_hand(detections, annotations)
    ours = CocoTruth(annotations, CLASSES).score(detections)
    assert numbers(ours) == pytest.approx([*stats[:6], stats[8]], abs=1e-12)
    assert 0.05 < known(ours.ap) < 0.95
    for k, (ap, ap50) in enumerate(zip(ours.class_ap, ours.class_ap50, strict=True)):
        assert known(ap) == pytest.approx(precision[:, :, k, 0, 2].mean(), abs=1e-12)
        assert known(ap50) == pytest.approx(precision[0, :, k, 0, 2].mean(), abs=1e-12)
    assert ours.class_ap[-1] is None
