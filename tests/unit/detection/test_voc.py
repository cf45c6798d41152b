# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC's average precision by hand, and beside COCO's where both say the same."""

from dataclasses import replace
from typing import Literal

import pytest
import torch

from spikewright.detection import CocoTruth, Detections, voc_scores
from spikewright.errors import ConfigError
from tests.unit.detection.scenes import CLASSES, found, scene, truth

pytestmark = pytest.mark.golden

SIDE = 10.0


def row(order: str) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Boxes side by side, found in an order such as "r.r": right, wrong, right; o is missed."""
    real, seen = [], []
    for i, sign in enumerate(order):
        box = (20.0 * i, 0.0, 20.0 * i + SIDE, SIDE)
        if sign != ".":
            real.append(box)
        if sign != "o":
            seen.append((*box, 0.9 - 0.05 * i))
    return real, seen


@pytest.mark.parametrize(
    ("order", "area", "eleven"),
    [
        ("rr", 1.0, 1.0),
        (".r", 0.5, 0.5),
        ("r.", 1.0, 1.0),
        # recalls 1/2, 1; precisions 1, 2/3. Of 11 recalls six are up to 1/2.
        ("r.r", (1 + 2 / 3) / 2, (6 + 5 * 2 / 3) / 11),
        # recalls 1/3, 2/3; precisions 1 and 2/4, and nothing behind: 4 + 3 recalls of 11
        ("r..ro", (1 + 1 / 2) / 3, (4 + 3 / 2) / 11),
        # precision 1/2 and then 2/3: the later, larger one counts for both recalls
        (".rr", 2 / 3, 2 / 3),
        ("oo", 0.0, 0.0),
    ],
)
def test_the_curve_is_summed_as_the_devkit_sums_it(order: str, area: float, eleven: float) -> None:
    real, seen = row(order)
    given, what = [truth(*real)], [found(*seen)]
    assert voc_scores(what, given, ["cat"]).ap == pytest.approx(area)
    assert voc_scores(what, given, ["cat"], points="11").ap == pytest.approx(eleven)


def test_the_same_object_twice_is_wrong_even_where_another_is_free() -> None:
    """VOC asks for the nearest box only; COCO lets the second take the neighbour, at IoU 0.52."""
    given = [truth((0, 0, 100, 10), (30, 0, 130, 10))]
    seen = [found((0, 0, 100, 10, 0.9), (2, 0, 102, 10, 0.8))]
    assert voc_scores(seen, given, ["cat"]).ap == pytest.approx(0.5)
    assert CocoTruth(given, ["cat"]).score(seen).ap50 == pytest.approx(1.0)


@pytest.mark.parametrize("mark", ["difficult", "crowd"])
def test_difficult_boxes_are_neither_right_nor_wrong(mark: str) -> None:
    given = truth((0, 0, 50, 50), (100, 0, 150, 50))
    hard = [replace(given, **{mark: torch.tensor([False, True])})]
    twice = found((100, 0, 150, 50, 0.9), (101, 0, 150, 50, 0.85), (0, 0, 50, 50, 0.8))
    assert voc_scores([twice], hard, ["cat"]).ap == 1.0
    assert voc_scores([found((0, 0, 50, 50, 0.8))], hard, ["cat"]).ap == 1.0
    assert voc_scores([twice], [given], ["cat"]).ap == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_without_boxes_to_be_found_has_no_score() -> None:
    hard = replace(truth((0, 0, 50, 50), labels=[1]), difficult=torch.tensor([True]))
    seen = found((0, 0, 50, 50, 0.9), (0, 0, 50, 50, 0.9), labels=[1, 2])
    scores = voc_scores([seen], [hard], CLASSES)
    assert scores.class_ap == (None,) * 4
    assert scores.ap is None


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_beside_coco_where_no_box_could_choose(iou: float) -> None:
    """Without crowds and with boxes far apart both match alike; COCO's 101 recalls are coarser.

    The area is that of a falling staircase and COCO's mean of 101 of its values, so that they
    differ by 1/101 at most, for every class.
    """
    given, seen = [], []
    for seed in range(30):
        ((drawn,), _) = scene(seed, images=1)
        real = drawn.boxes / 10 + 60.0 * torch.arange(len(drawn))[:, None]  # 45 wide at most
        moved = real + 0.07 * (real[:, 2:] - real[:, :2]).repeat(1, 2) * torch.randn_like(real)
        given.append(replace(drawn, boxes=real, crowd=None, areas=None))
        everything = torch.cat((moved, moved[:2], moved + 1000))
        labels = torch.cat((drawn.labels, drawn.labels[:2], drawn.labels))
        seen.append(Detections(everything, torch.rand(len(everything)), labels))
    ours = voc_scores(seen, given, CLASSES, iou=iou)
    coco = CocoTruth(given, CLASSES).score(seen)
    assert ours.ap is not None
    assert 0.1 < ours.ap < 0.95
    if iou == 0.5:
        for a, b in zip(ours.class_ap[:3], coco.class_ap50[:3], strict=True):
            assert a == pytest.approx(b, abs=1 / 101)
    assert ours.ap == pytest.approx(coco.ap50 if iou == 0.5 else coco.ap75, abs=1 / 101)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("iou", "points"), [(0.0, "area"), (50, "11"), (0.5, "12")])
def test_settings_are_checked(iou: float, points: Literal["area", "11"]) -> None:
    with pytest.raises(ConfigError, match=r"voc: expected an IoU in 0\.\.1 and points"):
        voc_scores([found()], [truth()], ["cat"], iou=iou, points=points)
