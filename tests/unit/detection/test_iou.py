# SPDX-License-Identifier: Apache-2.0
"""Intersection over union of segmentations, by hand."""

import pytest
import torch

from spikewright.detection import Confusion, confusion
from spikewright.errors import ConfigError, ShapeError

TRUTH = torch.tensor([[0, 0, 0, 1], [1, 1, 2, 255]])
FOUND = torch.tensor([[0, 0, 1, 1], [1, 0, 1, 7]])


def test_counts_and_shares() -> None:
    """Class 0: 2 right of 3 true and 3 found; 1: 2 of 3 and 4; 2: never found; 3: nowhere."""
    seen = confusion(FOUND, TRUTH, classes=4)
    assert seen.counts.tolist() == [[2, 1, 0, 0], [1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert seen.class_iou() == (2 / 4, 2 / 5, 0.0, None)
    assert seen.mean_iou == pytest.approx((2 / 4 + 2 / 5) / 3)
    assert seen.accuracy == 4 / 7
    assert seen.pixels == 7


def test_parts_add_up_to_the_whole() -> None:
    parts = [confusion(f, t, classes=4) for f, t in zip(FOUND, TRUTH, strict=True)]
    whole = confusion(FOUND, TRUTH, classes=4)
    assert torch.equal((parts[0] + parts[1]).counts, whole.counts)
    assert torch.equal((parts[1] + parts[0]).counts, whole.counts)
    with pytest.raises(ShapeError, match="expected counts of 4 classes, got 2"):
        whole + Confusion(torch.zeros(2, 2, dtype=torch.int64))


def test_a_class_that_is_found_but_not_there_counts() -> None:
    seen = confusion(torch.tensor([0, 1]), torch.tensor([0, 0]), classes=3)
    assert seen.class_iou() == (0.5, 0.0, None)
    assert seen.mean_iou == 0.25


def test_without_pixels_there_is_no_share() -> None:
    seen = confusion(torch.tensor([0]), torch.tensor([9]), classes=2, ignore=9)
    assert (seen.pixels, seen.accuracy, seen.mean_iou) == (0, None, None)


def test_small_integers_as_images_have_them() -> None:
    seen = confusion(FOUND.to(torch.uint8), TRUTH.to(torch.uint8), classes=200)
    assert seen.counts[0, 0] == 2


@pytest.mark.parametrize("wrong", [-1, 2])
def test_classes_that_there_are_not(wrong: int) -> None:
    good, bad = torch.tensor([0, 1]), torch.tensor([0, wrong])
    with pytest.raises(ConfigError, match=f"from 0 to 1 in the truth, got {wrong}"):
        confusion(good, bad, classes=2)
    with pytest.raises(ConfigError, match=f"from 0 to 1 in what was found, got {wrong}"):
        confusion(bad, good, classes=2)


@pytest.mark.usefixtures("unchecked")
def test_shapes_must_agree() -> None:
    message = r"expected classes found of shape \(2,\), the truth's, got \(1,\)"
    with pytest.raises(ShapeError, match=message):
        confusion(torch.tensor([0]), torch.tensor([0, 1]), classes=2)
