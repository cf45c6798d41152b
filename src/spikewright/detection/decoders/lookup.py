# SPDX-License-Identifier: Apache-2.0
"""Decoders by the names of published detectors."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from spikewright.detection.decoders import anchors
from spikewright.detection.decoders.anchor_free import AnchorFreeYolo
from spikewright.detection.decoders.anchors import AnchorYolo
from spikewright.detection.decoders.dense import FCOS, RETINANET, DenseDetector
from spikewright.detection.decoders.dfl import DflYolo
from spikewright.errors import unknown_name

__all__ = ["decoder", "names"]

_Known = AnchorYolo | AnchorFreeYolo | DflYolo | DenseDetector

_NAMED: Mapping[str, _Known] = MappingProxyType(
    {
        "anchor-free": AnchorFreeYolo(),
        "fcos": FCOS,
        "retinanet": RETINANET,
        "yolo-fastestv2": anchors.YOLO_FASTEST_V2,
        "yolov2": anchors.YOLO_V2,
        "yolov2-voc": anchors.YOLO_V2_VOC,
        "yolov3": anchors.YOLO_V3,
        "yolov3-tiny": anchors.YOLO_V3_TINY,
        "yolov4": anchors.YOLO_V4,
        "yolov5": anchors.YOLO_V5,
        "yolov8": DflYolo(),
    }
)


def names() -> tuple[str, ...]:
    """Return the names that stand for a decoder with its published settings."""
    return tuple(_NAMED)


def decoder(
    name: str, *, iou: float | None = None, least: float | None = None, most: int | None = None
) -> _Known:
    """Return a decoder by name; other anchors, strides and layouts are set on its class.

    Args:
        name: One of ``names()``.
        iou: Overlap from which a better box drops one of its class; None for the published one.
        least: Score from which boxes count.
        most: Boxes kept in an image.

    Raises:
        UnknownNameError: If there is none of this name.
        ConfigError: If a setting is out of its range.

    Example:
        >>> decoder("yolo-fastestv2", iou=0.5).suppression
        Suppression(iou=0.5, least=0.01, most=300)
    """
    if name not in _NAMED:
        raise unknown_name("decoder", name, _NAMED)
    known = _NAMED[name]
    given = {"iou": iou, "least": least, "most": most}
    settings = {key: value for key, value in given.items() if value is not None}
    return replace(known, suppression=replace(known.suppression, **settings))  # type: ignore[arg-type]
