# SPDX-License-Identifier: Apache-2.0
"""A published detector from its six maps to COCO's scores, on real pictures."""

import json
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from safetensors.torch import load_file

from spikewright.detection import (
    Annotations,
    CocoTruth,
    Detections,
    Placement,
    as_annotations,
    decoder,
    difference,
    voc_scores,
)
from tests.contract.test_layouts import YoloFastestV2, pictures

pytestmark = pytest.mark.slow

SIZE = 352
Case: TypeAlias = tuple[list[Detections], list[Annotations], list[str]]


def annotated(path: Path) -> tuple[list[Annotations], list[str]]:
    """Read COCO's file by hand: what is in each image, and the names of the classes."""
    table = json.loads(path.read_text())
    numbers = {kind["id"]: k for k, kind in enumerate(table["categories"])}
    truth = []
    for image in table["images"]:
        rows = [row for row in table["annotations"] if row["image_id"] == image["id"]]
        boxes = torch.tensor([row["bbox"] for row in rows]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([numbers[row["category_id"]] for row in rows], dtype=torch.int64)
        truth.append(
            Annotations(
                boxes,
                labels,
                (image["height"], image["width"]),
                Placement((SIZE / image["width"], SIZE / image["height"])),
                str(image["id"]),
                crowd=torch.tensor([bool(row["iscrowd"]) for row in rows], dtype=torch.bool),
                areas=torch.tensor([float(row["area"]) for row in rows]),
            )
        )
    return truth, [kind["name"] for kind in table["categories"]]


@pytest.fixture(scope="module")
def case(data_dir: Path) -> Case:
    """What YOLO-FastestV2 finds in pixels of the pictures, what is in them, and the classes."""
    model = YoloFastestV2()
    weights = load_file(data_dir / "coco_yolo_fastestv2.safetensors")
    model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    truth, classes = annotated(data_dir / "coco_val_dev.json")
    with torch.no_grad():
        maps = model.eval()(pictures(data_dir / "coco_val_dev.npz", len(truth)))
    found = [
        Detections(given.placement.to_image(x.boxes), x.scores, x.labels)
        for given, x in zip(truth, decoder("yolo-fastestv2")(maps, (SIZE, SIZE)), strict=True)
    ]
    return found, truth, classes


def test_average_precision_is_the_published_detector_s(case: Case) -> None:
    """AP 18.14, AP50 32.52, AP75 17.00 were measured with another decoder and pycocotools."""
    found, truth, classes = case
    scores = CocoTruth(truth, classes).score(found)
    assert (scores.images, scores.boxes) == (67, 492)
    measured = [scores.ap, scores.ap50, scores.ap75]
    assert [round(100 * (x or 0), 2) for x in measured] == [18.14, 32.52, 17.00]
    assert voc_scores(found, truth, classes).ap == pytest.approx(scores.ap50, abs=0.01)


def test_pycocotools_says_the_same(case: Case) -> None:
    from tests.contract.test_coco_evaluators import second_hand  # skips where it is missing

    found, truth, classes = case
    scores = CocoTruth(truth, classes).score(found)
    stats, _ = second_hand(found, truth, len(classes))
    assert [scores.ap, scores.ap50, scores.ap75] == pytest.approx(stats[:3], abs=1e-12)


def test_boxes_a_little_off_lose_average_precision_and_fidelity(case: Case) -> None:
    found, truth, classes = case
    moved = [Detections(x.boxes + 4, x.scores, x.labels) for x in found]
    judged = CocoTruth(truth, classes)
    scores, worse = judged.score(found), judged.score(moved)
    lost = difference(found, moved, truth, classes)
    assert lost.ap.value == pytest.approx((worse.ap or 0) - (scores.ap or 0), abs=1e-9)
    assert lost.ap50.value == pytest.approx((worse.ap50 or 0) - (scores.ap50 or 0), abs=1e-9)
    assert lost.ap.low < lost.ap.value < lost.ap.high
    own = CocoTruth(as_annotations(found, truth), classes)
    assert own.score(found).ap == pytest.approx(1.0)
    assert (own.score(moved).ap or 0) < 0.9
