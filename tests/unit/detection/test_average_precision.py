# SPDX-License-Identifier: Apache-2.0
"""COCO's scores on cases small enough to do by hand; tests/contract has the second evaluator."""

import importlib
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from spikewright.detection import Annotations, CocoTruth, Detections
from spikewright.errors import ConfigError, ShapeError
from tests.unit.detection.scenes import boxes, found, scene, truth

NOTHING = found()


def test_one_right_and_one_wrong_box_of_two() -> None:
    """Recalls 0 to .5, 51 of 101, have precision 1; nothing reaches the others."""
    given = truth((0, 0, 50, 50), (100, 0, 150, 50))
    seen = found((0, 0, 50, 50, 0.9), (300, 300, 350, 350, 0.8))
    scores = CocoTruth([given], ["cat"]).score([seen])
    assert scores.ap == pytest.approx(51 / 101)
    assert scores.class_ap50 == (scores.ap50,) == (scores.ap75,)
    assert scores.ar == 0.5
    assert (scores.images, scores.boxes, scores.found) == (1, 2, 2)


def test_a_wrong_box_that_is_surer_halves_precision() -> None:
    given = truth((0, 0, 50, 50))
    seen = found((300, 300, 350, 350, 0.9), (0, 0, 50, 50, 0.8))
    assert CocoTruth([given], ["cat"]).score([seen]).ap == pytest.approx(0.5)


def test_an_overlap_of_seven_tenths_is_right_at_five_thresholds_of_ten() -> None:
    """.50 to .70; 40x50 of 50x50 would be .8, here it is 0.72."""
    scores = CocoTruth([truth((0, 0, 50, 50))], ["cat"]).score([found((0, 0, 36, 50, 0.9))])
    assert scores.ap == pytest.approx(0.5)
    assert scores.ap50 == pytest.approx(1.0)
    assert scores.ap75 == 0.0


def test_sizes_go_by_the_areas_given_or_else_by_the_boxes() -> None:
    given = truth((0, 0, 30, 30), (100, 0, 150, 50), (0, 100, 200, 300))
    seen = found((0, 0, 30, 30, 0.9), (100, 0, 150, 50, 0.8))
    scores = CocoTruth([given], ["cat"]).score([seen])
    assert (scores.ap_small, scores.ap_medium) == (pytest.approx(1.0), pytest.approx(1.0))
    assert scores.ap_large == 0.0
    small = replace(given, areas=torch.tensor([9.0, 9.0, 9.0]))
    scores = CocoTruth([small], ["cat"]).score([seen])
    assert scores.ap_small == pytest.approx(67 / 101)
    assert scores.ap_medium is None
    assert scores.ap_large is None


def test_classes_that_no_image_holds_have_no_score_and_do_not_count() -> None:
    given = truth((0, 0, 50, 50), labels=[1])
    seen = found((0, 0, 50, 50, 0.9), (0, 0, 50, 50, 0.8), labels=[1, 0])
    scores = CocoTruth([given], ["cat", "dog"]).score([seen])
    assert scores.class_ap == (None, pytest.approx(1.0))
    assert scores.ap == pytest.approx(1.0)


def test_images_without_boxes_and_detectors_without_detections() -> None:
    empty = truth()
    given = truth((0, 0, 50, 50))
    right = found((0, 0, 50, 50, 0.5))
    both = CocoTruth([given, empty], ["cat"])
    assert both.score([right, NOTHING]).ap == pytest.approx(1.0)
    assert both.score([right, found((0, 0, 9, 9, 0.9))]).ap == pytest.approx(0.5)
    assert both.score([NOTHING, NOTHING]).ap == 0.0
    nothing_there = CocoTruth([empty], ["cat"]).score([right])
    assert nothing_there.ap is None
    assert nothing_there.ar is None
    assert nothing_there.class_ap == (None,)


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = torch.tensor([True, False])
    given = replace(truth((0, 0, 200, 200), (300, 300, 350, 350)), crowd=crowd)
    inside = [(x, 0, x + 40, 40, 0.9 - x / 1000) for x in (0, 50, 100)]
    scores = CocoTruth([given], ["cat"]).score([found(*inside, (300, 300, 350, 350, 0.1))])
    assert scores.ap == pytest.approx(1.0)
    alone = replace(given, crowd=None)
    assert CocoTruth([alone], ["cat"]).score([found(*inside)]).ap == 0.0


def test_a_difficult_box_need_not_be_found_and_does_no_harm_if_it_is() -> None:
    given = truth((0, 0, 50, 50), (100, 0, 150, 50))
    difficult = replace(given, difficult=torch.tensor([False, True]))
    both = found((100, 0, 150, 50, 0.9), (0, 0, 50, 50, 0.8))
    one, other = found((0, 0, 50, 50, 0.8)), found((100, 0, 150, 50, 0.9))
    judged = CocoTruth([difficult], ["cat"])
    assert [judged.score([x]).ap for x in (both, one)] == [pytest.approx(1.0)] * 2
    assert judged.score([other]).ap == 0.0
    assert CocoTruth([given], ["cat"]).score([one]).ap == pytest.approx(51 / 101)


def test_one_truth_scores_many_steps_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    annotations, detections = scene(1)
    judged = CocoTruth(annotations, ["cat", "dog", "cow"])
    first = judged.score(detections)
    half = [Detections(x.boxes[::2], x.scores[::2], x.labels[::2]) for x in detections]
    assert judged.score(half) != first
    assert judged.score(detections) == first
    assert capfd.readouterr() == ("", "")


# --- misuse


def test_without_the_evaluator_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError("absent", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=re.escape("pip install 'spikewright[detection]'")):
        CocoTruth([truth()], ["cat"])


def test_a_truth_needs_images_and_classes() -> None:
    with pytest.raises(ConfigError, match="expected images and classes, got 0 images and 1 class"):
        CocoTruth([], ["cat"])
    with pytest.raises(ConfigError, match="got 1 image and 0 classes"):
        CocoTruth([truth()], [])


@pytest.mark.parametrize("wrong", [-1, 1])
def test_classes_beyond_the_names_are_refused(wrong: int) -> None:
    beyond = truth((0, 0, 1, 1), labels=[wrong])
    message = f"annotations of image 0: expected class numbers from 0 to 0, got {wrong}"
    with pytest.raises(ConfigError, match=message):
        CocoTruth([beyond], ["cat"])
    judged = CocoTruth([replace(truth(), name="a.jpg")], ["cat"])
    message = f"detections in image a.jpg: expected class numbers from 0 to 0, got {wrong}"
    with pytest.raises(ConfigError, match=message):
        judged.score([found((0, 0, 1, 1, 0.5), labels=[wrong])])


def test_every_image_needs_its_detections() -> None:
    with pytest.raises(ShapeError, match="expected one an image, 2 in all, got 1"):
        CocoTruth([truth(), truth()], ["cat"]).score([NOTHING])


@pytest.mark.parametrize("row", [(0, 0, float("inf"), 1, 0.5), (0, 0, 1, 1, float("nan"))])
def test_what_is_not_finite_is_refused(row: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="detections in image 0: expected finite numbers"):
        CocoTruth([truth()], ["cat"]).score([found(row)])
    bad = Annotations(boxes((0, 0, float("nan"), 1)), torch.tensor([0]), (9, 9))
    with pytest.raises(ConfigError, match="annotations of image 0: expected finite numbers"):
        CocoTruth([bad], ["cat"])
