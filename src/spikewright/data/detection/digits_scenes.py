# SPDX-License-Identifier: Apache-2.0
"""Scenes of handwritten digits, made when they are read, for demonstrations without a download."""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64, UInt8

from spikewright.data.detection.sets import DetectionSet
from spikewright.data.digits import load_digits
from spikewright.data.images import Mode
from spikewright.data.preprocess import Preprocess
from spikewright.detection import Annotations
from spikewright.errors import ConfigError

__all__ = ["pasted_digits"]

_GROUND = 48  # brightest noise of the ground, of 255
_INK = (176, 256)  # full ink is between these
_EDGE = 0.25  # of full ink; the box holds every pixel with at least that much
_OVERLAP = 0.1  # of the smaller box, at most
_TRIES = 20


def pasted_digits(
    part: Literal["train", "test"],
    count: int,
    size: int = 96,
    seed: int = 0,
    *,
    most: int = 6,
    scales: tuple[float, float] = (2.0, 4.0),
    preprocess: Preprocess | None = None,
) -> DetectionSet:
    """Make scenes of a few digits at random places on a dark, noisy ground.

    The digits are the scans of :func:`spikewright.data.load_digits`, 8 x 8 pixels and enlarged,
    wholly inside, and overlapping by at most a tenth of the smaller box; digits that find no place
    in 20 tries are left out, so crowded scenes hold fewer. A box is the smallest one around all
    pixels with at least a quarter of full ink. Scene i depends on the settings and on i, not on
    ``count``.

    Args:
        part: Which scans: those for training or those for testing; no scan is in both.
        count: Number of scenes.
        size: Height and width of a scene in pixels, at least 32.
        seed: Of all random numbers.
        most: Digits of a scene at most; there is at least one.
        scales: Least and greatest magnification of a scan.
        preprocess: How scenes become tensors. Default: values / 255, three equal channels.

    Returns:
        Items are (float32 "channel height width", Annotations) with the classes "0" to "9".

    Raises:
        ConfigError: If a number is out of range or ``part`` is neither.

    Example:
        >>> scene, found = pasted_digits("train", 2000)[0]
        >>> tuple(scene.shape), len(found)
        ((3, 96, 96), 1)
    """
    numbers = ("count", count, 1), ("size", size, 32), ("seed", seed, 0), ("most", most, 1)
    for name, value, least in numbers:
        if value < least:
            raise ConfigError(
                f"pasted_digits.{name}: expected at least {least}, got {value}. Raise it."
            )
    if not 0.5 <= scales[0] <= scales[1] <= size / 8:
        raise ConfigError(
            f"pasted_digits.scales: expected the least and the greatest magnification, in 0.5 to "
            f"{size / 8:g} for scenes of {size} pixels, got {scales}. Correct them."
        )
    scenes = _Scenes(*_scans(part), part, count, size, seed, most, scales)
    return DetectionSet(
        name=f"pasted-digits-{part}",
        classes=tuple("0123456789"),
        reader=scenes,
        marks=scenes,
        preprocess=preprocess or Preprocess(),
    )


def _scans(
    part: Literal["train", "test"],
) -> tuple[Float32[np.ndarray, "scan 8 8"], Int64[np.ndarray, " scan"]]:
    """Return ink in 0..1 and the digits."""
    digits = load_digits(part)
    ink = np.stack([digits[i][0][0].numpy() for i in range(len(digits))])
    return ink, digits.labels


@dataclass(frozen=True, eq=False)
class _Scenes:
    """Reader and boxes in one: both come from the same random numbers."""

    ink: Float32[np.ndarray, "scan 8 8"]
    digits: Int64[np.ndarray, " scan"]
    part: str
    count: int
    size: int
    seed: int
    most: int
    scales: tuple[float, float]
    left_out: int = 0

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, mode: Mode) -> UInt8[np.ndarray, "height width channel"]:
        """Draw scene ``index``."""
        return np.repeat(_scene(self, index)[0][..., None], len(mode), axis=2)

    def at(self, index: int, size: tuple[int, int]) -> Annotations:
        """Return the digits of scene ``index``."""
        _, boxes, labels = _scene(self, index)
        found = torch.tensor(boxes, dtype=torch.float32)
        return Annotations(
            boxes=found,
            labels=torch.tensor(labels, dtype=torch.int64),
            size=size,
            name=f"{self.part} {index}",
            crowd=torch.zeros(len(boxes), dtype=torch.bool),
            difficult=torch.zeros(len(boxes), dtype=torch.bool),
            areas=(found[:, 2:] - found[:, :2]).prod(dim=1),
        )


@functools.lru_cache(maxsize=1)  # picture and boxes are asked for one after the other
def _scene(
    scenes: _Scenes, index: int
) -> tuple[UInt8[np.ndarray, "size size"], list[tuple[int, int, int, int]], list[int]]:
    """Paste digits; return the picture, boxes and classes."""
    draw = np.random.default_rng((scenes.seed, index, scenes.size, scenes.part == "test"))
    scene = draw.integers(0, _GROUND + 1, (scenes.size, scenes.size)).astype(np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    for _ in range(draw.integers(1, scenes.most + 1)):
        scan = int(draw.integers(len(scenes.ink)))
        side = round(8 * draw.uniform(*scenes.scales))
        full = int(draw.integers(*_INK))
        ink = _enlarged(scenes.ink[scan], side)
        rows, columns = (np.flatnonzero((ink >= _EDGE).any(axis=axis)) for axis in (1, 0))
        for _ in range(_TRIES):
            top, left = draw.integers(0, scenes.size - side + 1, 2).tolist()
            box = (
                int(left + columns[0]),
                int(top + rows[0]),
                int(left + columns[-1] + 1),
                int(top + rows[-1] + 1),
            )
            if all(_shared(box, other) <= _OVERLAP for other in boxes):
                break
        else:
            continue
        under = scene[top : top + side, left : left + side]
        np.maximum(under, (ink * full).astype(np.uint8), out=under)
        boxes.append(box)
        labels.append(int(scenes.digits[scan]))
    return scene, boxes, labels


def _enlarged(ink: Float32[np.ndarray, "8 8"], side: int) -> Float32[np.ndarray, "side side"]:
    """Enlarge a scan bilinearly, to full ink at its darkest place."""
    large = F.interpolate(torch.from_numpy(ink)[None, None], size=(side, side), mode="bilinear")
    enlarged: Float32[np.ndarray, "side side"] = (large / large.max())[0, 0].numpy()
    return enlarged


def _shared(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return what two boxes share, as a fraction of the smaller one."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(right - left) * (lower - upper) for left, upper, right, lower in (box, other)]
    return max(width, 0) * max(height, 0) / min(areas)
