# SPDX-License-Identifier: Apache-2.0
"""A small network whose outputs are read as boxes, and made-up images with boxes in them."""

from functools import cache
from typing import Any

import torch
from torch import nn

import spikewright as sw
from spikewright.detection import Annotations, Custom, Detections, Placement
from spikewright.evaluation.result import Result

CLASSES = ("cat", "dog", *(f"kind {i}" for i in range(40)))
SIZE = 400, 200
"""Height and width of the stored images; the network is given half of them."""


def decoded(outputs: Any, size: tuple[int, int]) -> list[Detections]:
    """Read two boxes an image: one on the left, one on the right, as wide as the output says."""
    found = []
    for row in outputs.sigmoid():
        wide = 20.0 + 30.0 * float(row[0])
        boxes = torch.tensor([[5.0, 10.0, 5.0 + wide, 90.0], [60.0, 10.0, 60.0 + wide, 230.0]])
        scores, order = row[1:3].sort(descending=True)
        found.append(Detections(boxes[order], scores, order))
    return found


@cache
def measured(images: int = 5, labelled: bool = True) -> Result:
    """Return what the network does on some images, two looked at."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 25 * 12, 3)
    )
    x = torch.rand(images, 3, 200, 100)
    boxes = torch.tensor([[8.0, 20.0, 90.0, 180.0], [120.0, 20.0, 190.0, 500.0]])
    given = [
        Annotations(boxes, torch.tensor([0, 1]), SIZE, Placement(scale=(0.5, 0.5)))
        for _ in range(images)
    ]
    snn = sw.convert(model, "spikeconverter", T=5, calibration=x)
    task = sw.Detection(decode=Custom(decoded, "decoded"), classes=CLASSES, resamples=0)
    batches = [(x, given)] if labelled else [x]
    return sw.evaluate(snn, batches, reference=model, task=task, examples=2)
