# SPDX-License-Identifier: Apache-2.0
"""YOLO-FastestV2 and its COCO images, in the folder that SPIKEWRIGHT_DATA names.

``val`` are 67 images of val2017, ``train`` 128 of train2017, on which conversions are calibrated.
"""

from functools import cached_property
from typing import Literal

import torch
from _data import data_root
from torch import Tensor
from torch.utils.data import DataLoader

import spikewright as sw
from spikewright.data import Preprocess, loader
from spikewright.data.detection import open_detection
from spikewright.detection import Annotations, Detections, decoder
from spikewright.methods import Prepared
from spikewright.models import resolve

__all__ = ["SIZE", "Coco"]

SIZE = (352, 352)
_SEEN = Preprocess(size=352, channels="BGR")


class Coco:
    """The detector, its images and what its outputs are worth."""

    def __init__(self) -> None:
        root = data_root()
        self.train, self.val = (
            open_detection(root / f"coco_{part}.json", preprocess=_SEEN)
            for part in ("train_128", "val_dev")
        )
        self.model = resolve("yolo-fastest-v2", weights=root / "coco_yolo_fastestv2.safetensors")
        self.classes = self.val.classes
        self.decode = decoder("yolo-fastestv2")
        self.task = sw.Detection(decode=self.decode, classes=self.classes)

    def calibration(self) -> DataLoader[tuple[Tensor, Annotations]]:
        """Batch the calibration images."""
        return loader(self.train, 32)

    @cached_property
    def prepared(self) -> Prepared:
        """The detector, calibrated."""
        return sw.calibrate(self.model, self.calibration())

    def batches(
        self, part: Literal["train", "val"], limit: int | None = None
    ) -> list[tuple[Tensor, list[Annotations]]]:
        """Return a part as batches, or its first images only."""
        return list(loader(getattr(self, part), 16, limit=limit))

    def boxes(self, outputs: object, images: list[Annotations]) -> list[Detections]:
        """Decode what the network returned for a batch, into pixels of the stored images."""
        found = self.decode(outputs, SIZE)
        return [
            Detections(image.placement.to_image(d.boxes), d.scores, d.labels)
            for d, image in zip(found, images, strict=True)
        ]

    def original(self, x: Tensor) -> object:
        """Return the original network's outputs."""
        with torch.no_grad():
            return self.model(x)
