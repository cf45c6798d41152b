# SPDX-License-Identifier: Apache-2.0
"""Scenes of digits: the same in every run, boxes around the ink, no scan in both parts."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from spikewright.data import Preprocess, load_digits, pasted_digits
from spikewright.data.detection import digits_scenes
from spikewright.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "pasted_digits.count: expected at least 1, got 0. Raise it."),
        ({"size": 31}, "pasted_digits.size: expected at least 32, got 31"),
        ({"seed": -1}, "pasted_digits.seed: expected at least 0, got -1"),
        ({"most": 0}, "pasted_digits.most: expected at least 1, got 0"),
        ({"scales": (3.0, 2.0)}, "pasted_digits.scales: expected the least and the greatest"),
        ({"size": 32, "scales": (2.0, 5.0)}, "in 0.5 to 4 for scenes of 32 pixels, got (2.0, 5.0)"),
    ],
)
def test_a_number_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        pasted_digits("train", **({"count": 2} | settings))


@pytest.mark.usefixtures("unchecked")
def test_a_part_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="expected part 'train' or 'test', got 'val'"):
        pasted_digits("val", 2)  # type: ignore[arg-type]


def test_a_scene_depends_on_its_number_alone() -> None:
    first, again = pasted_digits("train", 50, seed=3), pasted_digits("train", 7, seed=3)
    for i in (6, 0, 3):
        (x, found), (y, marked) = first[i], again[i]
        assert torch.equal(x, y)
        assert torch.equal(found.boxes, marked.boxes)
        assert torch.equal(found.labels, marked.labels)
    others = [first[1], pasted_digits("train", 7, seed=4)[0], pasted_digits("test", 7, seed=3)[0]]
    assert not any(torch.equal(first[0][0], x) for x, _ in others)


@pytest.mark.parametrize("part", ["train", "test"])
def test_digits_are_inside_few_and_hardly_overlap(part: Any) -> None:
    items = pasted_digits(part, 150)
    counts = set()
    for i in range(len(items)):
        found = items[i][1]
        counts.add(len(found))
        assert found.boxes.min() >= 0
        assert found.boxes.max() <= 96
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        assert found.areas is not None
        assert torch.equal(found.areas, sides.prod(dim=1))
        assert sides.min() >= 3
        assert sides.max() <= 32
        inner = torch.min(found.boxes[:, None, 2:], found.boxes[None, :, 2:]) - torch.max(
            found.boxes[:, None, :2], found.boxes[None, :, :2]
        )
        smaller = torch.min(found.areas[:, None], found.areas[None])
        shared = inner.clamp(min=0).prod(dim=2) / smaller
        assert shared.fill_diagonal_(0).max() <= 0.1
    assert counts == {1, 2, 3, 4, 5, 6}


def test_number_and_size_of_digits_follow_the_settings() -> None:
    items = pasted_digits("train", 60, size=48, most=2, scales=(1.0, 1.5))
    found = [items[i][1] for i in range(60)]
    assert {len(f) for f in found} == {1, 2}
    assert max(float((f.boxes[:, 2:] - f.boxes[:, :2]).max()) for f in found) <= 12


def test_a_box_is_the_smallest_around_the_ink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits_scenes, "_GROUND", 0)
    monkeypatch.setattr(digits_scenes, "_INK", (200, 201))
    items = pasted_digits("test", 20, most=1, preprocess=Preprocess(channels="L", scale=1.0))
    for i in range(20):
        x, found = items[i]
        rows, columns = (x[0] >= 50).nonzero(as_tuple=True)  # a quarter of 200
        ink = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found.boxes.tolist() == [[int(edge) for edge in ink]]


def test_each_part_pastes_its_own_scans() -> None:
    ink = {part: digits_scenes._scans(part)[0].reshape(-1, 64) for part in ("train", "test")}
    assert {part: len(scans) for part, scans in ink.items()} == {"train": 1352, "test": 445}
    for part in ("train", "test"):
        x, digit = load_digits(part)[7]
        assert np.array_equal(ink[part][7], x.flatten().numpy())
        assert digits_scenes._scans(part)[1][7] == digit


def test_labels_name_what_was_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that is all ink, of one class only: every label is that class."""
    scans = (np.ones((3, 8, 8), np.float32), np.array([4, 4, 4]))
    monkeypatch.setattr(digits_scenes, "_scans", lambda _: scans)
    items = pasted_digits("train", 5)
    assert {items.classes[int(k)] for i in range(5) for k in items[i][1].labels} == {"4"}


def test_colour_scenes_are_three_equal_channels() -> None:
    colour = pasted_digits("train", 1)[0][0]
    grey = pasted_digits("train", 1, preprocess=Preprocess(channels="L"))[0][0]
    assert colour.shape == (3, 96, 96)
    assert torch.equal(colour, grey.expand(3, -1, -1))
