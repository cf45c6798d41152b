# SPDX-License-Identifier: Apache-2.0
"""Suppression against the loop that defines it, and its settings."""

import pytest
import torch
from torch import Tensor

from spikewright.detection import Suppression, suppress
from spikewright.errors import ConfigError


def one_by_one(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> list[int]:
    """The definition: the best box that is left drops those of its class that it covers."""
    left = sorted(range(len(boxes)), key=lambda i: -float(scores[i]))
    sides, kinds, kept = boxes.tolist(), labels.tolist(), []
    while left:
        best, *left = left
        kept.append(best)
        left = [i for i in left if kinds[i] != kinds[best] or share(sides[best], sides[i]) <= iou]
    return kept


def share(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(width, 0.0) * max(height, 0.0)
    both = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
    return inside / (both - inside)


def crowded(count: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes with whole numbers for sides, so that overlaps and scores are often equal."""
    corner = torch.randint(0, 12, (count, 2)).float()
    boxes = torch.cat((corner, corner + torch.randint(1, 9, (count, 2))), 1)
    return boxes, torch.randint(0, 20, (count,)) / 20, torch.randint(classes, (count,))


@pytest.mark.parametrize("count", [0, 1, 60, 600])  # 600: three blocks
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 1.0])
def test_it_keeps_what_the_loop_keeps(count: int, iou: float) -> None:
    boxes, scores, labels = crowded(count, 3)
    expected = one_by_one(boxes, scores, labels, iou)
    assert suppress(boxes, scores, labels, iou=iou, most=count + 1).tolist() == expected
    assert suppress(boxes, scores, labels, iou=iou, most=7).tolist() == expected[:7]


def test_a_long_chain_of_boxes_that_cover_the_next_one_only() -> None:
    """Every second box comes back after the one before it was dropped, one round after another."""
    left = torch.arange(200.0)
    boxes = torch.stack((left, 0 * left, left + 2.5, 0 * left + 1), 1)
    scores = torch.linspace(1, 0.1, 200)
    kept = suppress(boxes, scores, torch.zeros(200, dtype=torch.int64), iou=0.4, most=200)
    assert kept.tolist() == list(range(0, 200, 2))


def test_the_threshold_itself_is_kept_as_are_boxes_without_area() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 1], [1.0, 0, 3, 1], [5.0, 5, 5, 5], [5.0, 5, 5, 5]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.zeros(4, dtype=torch.int64)
    third = float(torch.tensor(1.0) / torch.tensor(3.0))
    assert len(suppress(boxes, scores, labels, iou=third, most=9)) == 4
    assert suppress(boxes, scores, labels, iou=0.33, most=9).tolist() == [0, 2, 3]


def test_an_image_s_detections_are_the_sure_ones_best_first() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [20.0, 0, 29, 9], [40.0, 0, 49, 9], [0.0, 0, 9, 9]])
    scores = torch.tensor([0.3, 0.9, 0.25, float("nan")], dtype=torch.float64)
    found = Suppression(least=0.25)(boxes.double(), scores, torch.arange(4))
    assert found.labels.tolist() == [1, 0]
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert len(Suppression(most=1)(boxes, scores, torch.arange(4))) == 1


@pytest.mark.parametrize("settings", [{"iou": 45}, {"least": -0.1}, {"least": float("nan")}])
def test_shares_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"expected {next(iter(settings))} in 0\.\.1, got"):
        Suppression(**settings)


def test_nothing_kept_is_no_setting() -> None:
    with pytest.raises(ConfigError, match="at least one box, got most=0"):
        Suppression(most=0)
