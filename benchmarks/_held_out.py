# SPDX-License-Identifier: Apache-2.0
"""Settings compared on calibration pictures alone, half of which they have not seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from _boxes import percent
from _coco import Coco

import spikewright as sw
from spikewright.detection import CocoTruth, as_annotations
from spikewright.text import table

__all__ = ["held_out"]

T, BATCH = 5, 16


def held_out(
    coco: Coco,
    limit: int | None,
    settings: Mapping[str, Mapping[str, Any]],
    chosen: Sequence[str],
) -> int:
    """Print fidelity on every second picture of train, calibrated on the others."""
    items = [coco.train[i] for i in range(len(coco.train))][:limit]
    x = torch.stack([picture for picture, _ in items])
    own, held, images = x[0::2], x[1::2].split(BATCH), [a for _, a in items[1::2]]
    places = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    prepared = sw.calibrate(coco.model, own.split(32))
    ann = [d for x, at in zip(held, places, strict=True) for d in coco.boxes(coco.original(x), at)]
    truth, rows = CocoTruth(as_annotations(ann, images), coco.classes), []
    for label in chosen:
        snn = sw.convert(prepared, "spikeconverter", T=T, **settings[label])
        found = [d for x, at in zip(held, places, strict=True) for d in coco.boxes(snn(x), at)]
        scores = truth.score(found)
        rows.append([label, percent(scores.ap50), percent(scores.ap)])
    print(f"\nSpikeConverter, T = {T}, calibrated on {len(own)} pictures of train; the others")
    print(table(["setting", "fid. AP50", "fid. AP"], rows, left=1), flush=True)
    return 0
