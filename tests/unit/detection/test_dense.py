# SPDX-License-Identifier: Apache-2.0
"""RetinaNet and FCOS against torchvision's own networks, from the picture to the boxes."""

import re
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikewright._vision import torchvision
from spikewright.detection import DenseDetector, DenseLevel, decoder, suppress
from spikewright.detection.decoders import FCOS, RETINANET
from spikewright.errors import ConfigError, ShapeError

SIZE = (288, 352)  # the coarsest maps are 3x3, of cells that are not 128 pixels apart


class Backbone(nn.Module):
    """Five maps of strides 8 to 128, as a feature pyramid has them."""

    out_channels = 32

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, stride=4, padding=1)
        self.down = nn.Conv2d(32, 32, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> "OrderedDict[str, Tensor]":
        maps, x = OrderedDict(), self.first(x)
        for level in range(5):
            x = maps[str(level)] = self.down(x)
        return maps


def network(name: str) -> Any:
    """A class of torchvision on a small body, with scores that are spread out."""
    models = torchvision().models.detection
    options = {"num_classes": 5, "min_size": min(SIZE), "max_size": max(SIZE)}
    model = getattr(models, name)(Backbone(), **options).eval()
    with torch.no_grad():
        for module in model.head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)
        model.head.classification_head.cls_logits.bias.fill_(-3.0)
    return model


@pytest.mark.parametrize("name", ["RetinaNet", "FCOS"])
def test_boxes_scores_and_classes_are_torchvision_s(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, heads = network(name), []
    boxes = torchvision().ops.boxes
    monkeypatch.setattr(  # its compiled operator may be missing; ours is tested by itself
        boxes, "batched_nms", lambda b, s, c, iou: suppress(b, s, c, iou=iou, most=len(b))
    )
    model.head.register_forward_hook(lambda module, given, outputs: heads.append(outputs))
    with torch.no_grad():
        expected = model(list(torch.rand(2, 3, *SIZE)))
    decode = decoder(name.lower())
    (head,) = heads
    found = decode(head, SIZE)
    assert len(found) == len(expected) == 2
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == decode.suppression.most
        torch.testing.assert_close(ours.boxes, theirs["boxes"])
        torch.testing.assert_close(ours.scores, theirs["scores"])
        assert torch.equal(ours.labels, theirs["labels"])
    again = decode(tuple(head.values()), SIZE)
    assert torch.equal(again[1].boxes, found[1].boxes)


def test_candidates_of_a_level_are_its_best() -> None:
    """Two levels of one cell; the first has two sure boxes of which one may stand."""
    head = DenseDetector(
        levels=(DenseLevel(32, (8.0, 16.0)), DenseLevel(64, (32.0,))), coder="size", candidates=1
    )
    logits = torch.tensor([2.0, 3.0, -1.0]).reshape(1, 3, 1)
    (found,) = head([logits, torch.zeros(1, 3, 4)], (32, 32))
    assert found.boxes.tolist() == [[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 16.0, 16.0]]
    assert len(replace(head, candidates=2)([logits, torch.zeros(1, 3, 4)], (32, 32))[0]) == 3


def test_outputs_of_another_size_or_network_are_refused() -> None:
    count = sum(len(x.anchors(SIZE)) for x in FCOS.levels)
    rows = [torch.zeros(1, count, k) for k in (5, 4, 1)]
    assert FCOS(rows, SIZE)[0].labels.tolist() != []
    message = f"dense decoder: expected cls_logits, bbox_regression of {9 * count} anchors"
    with pytest.raises(ShapeError, match=re.escape(message)):
        RETINANET(rows, SIZE)
    for wrong in (rows[::-1], rows[:2], [x[:, 1:] for x in rows]):
        with pytest.raises(ShapeError, match="dense decoder: expected cls_logits"):
            FCOS(wrong, SIZE)


def test_levels_and_candidates_are_needed() -> None:
    with pytest.raises(ConfigError, match="got 0 levels and candidates=1000"):
        DenseDetector(levels=(), coder="size")
