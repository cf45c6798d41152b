# SPDX-License-Identifier: Apache-2.0
"""What every score asks of truth and detections before it compares them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from spikewright.detection.boxes import Annotations, Detections
from spikewright.errors import ConfigError, ShapeError
from spikewright.text import counted

__all__ = ["check_detections", "check_truth", "marks", "sides"]


def sides(boxes: Float[Tensor, "box 4"]) -> Float[np.ndarray, "box 4"]:
    """Return left, top, width and height, as COCO's evaluators take them."""
    corners = boxes.numpy(force=True).astype(np.float64)
    return np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), 1)


def marks(given: Annotations) -> tuple[Bool[np.ndarray, " box"], Bool[np.ndarray, " box"]]:
    """Return which boxes are crowds and which are difficult."""
    crowd, difficult = (
        np.zeros(len(given), dtype=bool) if mark is None else mark.numpy(force=True)
        for mark in (given.crowd, given.difficult)
    )
    return crowd, difficult


def check_truth(annotations: Sequence[Annotations], classes: Sequence[str]) -> None:
    """Refuse a truth without images or classes, or with classes beyond the names.

    Raises:
        ConfigError: If it is one.
    """
    if not annotations or not classes:
        raise ConfigError(
            f"truth: expected images and classes, got {counted(len(annotations), 'image')} and "
            f"{counted(len(classes), 'class', 'classes')}. Give at least one of each."
        )
    for image, given in enumerate(annotations):
        _check(f"annotations of image {given.name or image}", given.labels, classes, given.boxes)


def check_detections(
    detections: Sequence[Detections],
    annotations: Sequence[Annotations],
    classes: Sequence[str],
) -> None:
    """Refuse detections that cannot be held against the truth.

    Raises:
        ShapeError: If there are not as many as images.
        ConfigError: If a class number is beyond the names, or a box or score is not finite.
    """
    if len(detections) != len(annotations):
        raise ShapeError(
            f"detections: expected one an image, {len(annotations)} in all, got {len(detections)}. "
            "Give images without boxes an empty one."
        )
    for image, (found, given) in enumerate(zip(detections, annotations, strict=True)):
        where = f"detections in image {given.name or image}"
        _check(where, found.labels, classes, found.boxes, found.scores)


def _check(where: str, labels: Tensor, classes: Sequence[str], *values: Tensor) -> None:
    if not all(bool(x.isfinite().all()) for x in values):
        raise ConfigError(
            f"{where}: expected finite numbers, got infinity or NaN. Look for the output that is "
            "not finite, and where it becomes so."
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        wrong = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
        raise ConfigError(
            f"{where}: expected class numbers from 0 to {len(classes) - 1}, got {wrong}. Give the "
            "names of all classes of the network, in its order."
        )
