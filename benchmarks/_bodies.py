# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors with random weights: what becomes of their bodies."""

import time

import torch
from _coco import Coco

import spikewright as sw
from spikewright import _vision
from spikewright.models.detection import split
from spikewright.text import table

__all__ = ["torchvision"]

SMALL = {"min_size": 128, "max_size": 128}
DETECTORS = {
    "retinanet_resnet50_fpn": SMALL,
    "fasterrcnn_resnet50_fpn": SMALL,
    "fcos_resnet50_fpn": SMALL,
    "ssd300_vgg16": {},  # takes images of 300 x 300 and no others
}


def torchvision(coco: Coco, limit: int | None) -> int:
    """Print what becomes of torchvision's detectors with random weights; return how many differ."""
    zoo = _vision.torchvision().models.detection
    rows, missed = [], 0
    for name, sizes in DETECTORS.items():
        torch.manual_seed(0)
        detector = getattr(zoo, name)(weights=None, weights_backbone=None, **sizes).eval()
        body, postprocess = split(detector)
        x, _ = postprocess.preprocess(list(torch.rand(2, 3, 128, 128)))
        start = time.perf_counter()
        snn = sw.convert(body, "spikeconverter", T=12, calibration=[x])
        converted = time.perf_counter() - start
        law = snn.provenance["equality"]
        proof = sw.verify(snn, x[:1])
        missed += not proof.agrees
        rows.append(
            [
                name,
                f"{x.shape[-1]}",
                f"{len(list(snn.spiking_nodes()))}",
                f"{law['original']:.1e}",
                "agrees" if proof.agrees else "DIFFERS",
                f"{snn.timing().latency_ticks}",
                f"{converted:.0f} s",
                f"{time.perf_counter() - start - converted:.0f} s",
            ]
        )
    print("\ntorchvision's bodies, random weights, SpikeConverter T = 12")
    head = "detector|px|populations|law: difference|verify|ticks|convert|verify takes"
    print(table(head.split("|"), rows, width=160))
    return missed
