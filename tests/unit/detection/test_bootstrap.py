# SPDX-License-Identifier: Apache-2.0
"""Averages of drawn images are the evaluator's own, and intervals cover what they should."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikewright.detection import CocoTruth, difference
from spikewright.detection.matching import ClassMatches, match
from spikewright.detection.resampled import average_precisions, coco_judge, first_reaching
from spikewright.errors import ConfigError
from tests.unit.detection.scenes import CLASSES, found, scene, truth

NAMES = CLASSES[:3]


def averages(matches: list[ClassMatches], times: np.ndarray) -> np.ndarray:
    """AP of each class at each IoU for one draw."""
    return np.stack([average_precisions(x, times[None])[0] for x in matches])


def as_array(values: tuple[float | None, ...]) -> np.ndarray:
    return np.array([np.nan if x is None else x for x in values])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_with_every_image_once_it_is_the_evaluator_s(seed: int, ties: bool) -> None:
    """With crowds, empty images, 150 boxes of a class in one image, and equal scores."""
    annotations, detections = scene(seed, ties=ties, many=150)
    wanted = CocoTruth(annotations, CLASSES).score(detections)
    matches = match(detections, annotations, len(CLASSES), coco_judge, 100)
    ap = averages(matches, np.ones(len(annotations), dtype=np.int64))
    np.testing.assert_allclose(ap.mean(1), as_array(wanted.class_ap), rtol=0, atol=1e-9)
    np.testing.assert_allclose(ap[:, 0], as_array(wanted.class_ap50), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_an_image_that_counts_thrice_stands_for_three_images(seed: int) -> None:
    annotations, detections = scene(seed, ties=False)
    times = np.random.default_rng(seed).integers(0, 4, len(annotations))
    repeated = [i for i, n in enumerate(times) for _ in range(n)]
    wanted = CocoTruth([annotations[i] for i in repeated], CLASSES).score(
        [detections[i] for i in repeated]
    )
    ap = averages(match(detections, annotations, len(CLASSES), coco_judge, 100), times)
    np.testing.assert_allclose(ap.mean(1), as_array(wanted.class_ap), rtol=0, atol=1e-9)


CASES = {
    # The first box lies halfway between two of the truth and takes the later; the second can only
    # be right at the earlier one.
    "halfway": (truth((0, 0, 10, 10), (4, 0, 14, 10)), [(2, 0, 12, 10, 0.9), (-2, 0, 8, 10, 0.8)]),
    # A crowd covers the box wholly, an object by less: the object counts.
    "crowd": (
        replace(truth((0, 0, 50, 50), (0, 0, 200, 200)), crowd=torch.tensor([False, True])),
        [(2, 2, 52, 52, 0.9)],
    ),
    # The evaluator passes over what is beyond 10^10 square pixels.
    "huge": (truth((0, 0, 50, 50)), [(0, 0, 2e5, 2e5, 0.9), (0, 0, 50, 50, 0.8)]),
}


@pytest.mark.parametrize("name", CASES)
def test_it_decides_as_the_evaluator_does_where_rules_differ(name: str) -> None:
    given, rows = CASES[name]
    seen = [found(*rows)]
    wanted = CocoTruth([given], ["cat"]).score(seen)
    ap = averages(match(seen, [given], 1, coco_judge, 100), np.ones(1, dtype=np.int64))[0]
    assert wanted.ap50 == pytest.approx(1.0)
    assert (ap.mean(), ap[0]) == pytest.approx((wanted.ap, wanted.ap50), abs=1e-9)


def test_recalls_are_reached_as_the_evaluator_compares_them() -> None:
    """Right boxes over truth against 0, .01, … 1 in floating point, for every number of boxes."""
    recalls = np.linspace(0, 1, 101)
    for count in range(1, 400):
        wanted = np.searchsorted(np.arange(count + 1) / count, recalls)
        assert first_reaching(np.array([count]))[0].tolist() == wanted.tolist()


def test_the_difference_is_that_of_the_scores_and_lies_in_its_interval() -> None:
    annotations, good = scene(1, images=30, many=150)
    _, bad = scene(2, images=30)
    judged = CocoTruth(annotations, NAMES)
    gain = difference(bad, good, annotations, NAMES)
    one, other = judged.score(bad), judged.score(good)
    assert one.ap is not None
    assert other.ap is not None
    assert gain.ap.value == pytest.approx(other.ap - one.ap, abs=1e-9)
    assert 0 < gain.ap.low < gain.ap.value < gain.ap.high
    assert gain.ap50.value > gain.ap.value
    once = difference(bad, good, annotations, NAMES, resamples=1).ap
    assert once.low == once.high != once.value
    back = difference(good, bad, annotations, NAMES).ap
    assert (-back.low, -back.high) == pytest.approx((gain.ap.high, gain.ap.low))


def test_draws_go_by_the_seed_and_a_higher_level_is_wider() -> None:
    annotations, detections = scene(3)
    _, others = scene(4)
    first = difference(detections, others, annotations, NAMES)
    assert difference(detections, others, annotations, NAMES) == first
    assert difference(detections, others, annotations, NAMES, seed=1).ap.low != first.ap.low
    narrow = difference(detections, others, annotations, NAMES, level=0.5)
    assert narrow.ap.value == first.ap.value
    assert first.ap.low < narrow.ap.low < narrow.ap.high < first.ap.high


def test_the_same_boxes_differ_by_nothing() -> None:
    annotations, detections = scene(5)
    gain = difference(detections, detections, annotations, NAMES)
    assert (gain.ap.low, gain.ap.value, gain.ap50.high) == (0.0, 0.0, 0.0)


def test_draws_without_a_box_are_left_out() -> None:
    """Of three images one has a box: some of the draws miss it."""
    given, seen = truth((0, 0, 50, 50)), found((0, 0, 50, 50, 0.9))
    gain = difference([found()] * 3, [found(), seen, found()], [truth(), given, truth()], ["cat"])
    assert gain.ap.low == pytest.approx(1.0)


def test_nothing_to_be_found_is_said() -> None:
    with pytest.raises(ConfigError, match="expected boxes to be found in the images, got none"):
        difference([found()], [found()], [truth()], ["cat"])


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (200, 95.0), (200, 0.0)])
def test_settings_are_checked(resamples: int, level: float) -> None:
    with pytest.raises(ConfigError, match="bootstrap: expected resamples of at least 1"):
        difference([], [], [], ["cat"], resamples=resamples, level=level)
