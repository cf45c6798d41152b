# SPDX-License-Identifier: Apache-2.0
"""Boxes of two networks held beside each other."""

from collections.abc import Sequence

import torch
from _coco import Coco

import spikewright as sw
from spikewright.detection import (
    Annotations,
    CocoTruth,
    Detections,
    DetectionScores,
    Difference,
    as_annotations,
    difference,
)

__all__ = ["compared", "flat", "nested", "percent"]


def compared(
    coco: Coco, ann: list[Detections], found: list[Detections], annotations: list[Annotations]
) -> tuple[Difference, DetectionScores, DetectionScores]:
    """Return ΔAP with its interval, the scores, and those against the ANN's own boxes."""
    gap = difference(ann, found, annotations, coco.classes)
    scores = CocoTruth(annotations, coco.classes).score(found)
    own = CocoTruth(as_annotations(ann, annotations), coco.classes).score(found)
    return gap, scores, own


def nested(snn: sw.SpikingNetwork, outputs: Sequence[torch.Tensor]) -> object:
    """Nest outputs as the model returns them."""
    return snn.graph.results.build(tuple(outputs))


def flat(outputs: object) -> list[torch.Tensor]:
    """Return nested outputs one after the other."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return [x for part in parts for x in flat(part)]  # type: ignore[attr-defined]


def percent(share: float | None) -> str:
    """Return a share in per cent."""
    return "-" if share is None else f"{100 * share:.2f}"
