# SPDX-License-Identifier: Apache-2.0
"""What happens to an image between the file and the network, as one frozen setting.

The same dataclass is filled by Python, by the command line and from TOML, so that a reported
accuracy can name its preprocessing in full.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spikewright._vision import pillow_image
from spikewright.detection import Placement
from spikewright.errors import ConfigError, ShapeError

__all__ = ["Preprocess"]

Channels = Literal["RGB", "BGR", "L"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Fit = Literal["stretch", "letterbox"]
MOST_PIXELS = 1 << 14
"""Longest side that an image is resized to."""

_Side = tuple[int, int]

CHANNELS: tuple[str, ...] = get_args(Channels)
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
FITS: tuple[str, ...] = get_args(Fit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Crop, resize, pad, reorder, scale and normalise one image.

    The order is fixed: centre crop, resize, pad, channel order, then ``(v * scale - mean) / std``
    on the values v in 0..255. ``mean`` and ``std`` are in the order of ``channels``, so for BGR
    the blue one comes first.

    Args:
        size: Height and width given to the network, one number for a square; None keeps the size.
        crop: Side of the centred square that is kept, as a fraction of the shorter side, in (0,
            1]. None keeps the whole image.
        fit: How it becomes ``size``. ``"stretch"`` takes one scale along each side.
            ``"letterbox"``, as YOLO detectors are trained on, takes the smaller of the two for
            both and centres the image on a grey ground; sides are rounded to whole pixels, and an
            odd row or column of ground is below or to the right.
        pad: The grey of that ground, a stored value in 0..255.
        mean: Subtracted after scaling; one number, or one per channel.
        std: Divided by after that; one number, or one per channel.
        channels: ``"RGB"``, ``"BGR"`` or ``"L"`` (one grey channel).
        scale: Multiplied with the stored values; 1/255 maps them to 0..1, 1 keeps them raw.
        interpolation: How Pillow resizes.

    Raises:
        ConfigError: If a setting is out of range, the lengths of ``mean`` or ``std`` do not fit,
            or there is no size to letterbox to.

    Example:
        >>> grey = Preprocess(channels="L", scale=1 / 16)
        >>> grey(np.full((1, 2, 1), 8, dtype=np.uint8))
        tensor([[[0.5000, 0.5000]]])
    """

    size: int | tuple[int, int] | None = None
    crop: float | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: Channels = "RGB"
    scale: float = 1 / 255
    interpolation: Interpolation = "bilinear"
    fit: Fit = "stretch"
    pad: int = 114

    def __post_init__(self) -> None:
        sides = (self.size,) if isinstance(self.size, int) else self.size or ()
        if any(not 1 <= side <= MOST_PIXELS for side in sides):
            expected = f"a height and width of 1 to {MOST_PIXELS} pixels, or None"
            raise _bad("size", expected, self.size)
        if self.crop is not None and not 0 < self.crop <= 1:
            raise _bad("crop", "a fraction in (0, 1], or None", self.crop)
        if self.channels not in CHANNELS:
            raise _bad("channels", _KINDS["channels"], self.channels)
        if self.interpolation not in INTERPOLATIONS:
            raise _bad("interpolation", _KINDS["interpolation"], self.interpolation)
        if self.fit not in FITS:
            raise _bad("fit", _KINDS["fit"], self.fit)
        if self.fit == "letterbox" and self.size is None:
            raise _bad("size", "a height and width to letterbox to", None)
        if not 0 <= self.pad <= 255:
            raise _bad("pad", _KINDS["pad"], self.pad)
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise _bad("scale", "a finite number above 0", self.scale)
        for field in ("mean", "std"):
            values = getattr(self, field)
            if len(values) not in {1, len(self.channels)} or not all(map(math.isfinite, values)):
                counts = " or ".join(map(str, sorted({1, len(self.channels)})))
                expected = f"{counts} finite numbers for {self.channels}"
                raise _bad(field, expected, values)
        if min(self.std) <= 0:
            raise _bad("std", "numbers above 0", self.std)

    def __call__(self, image: npt.NDArray[Any]) -> Tensor:
        """Turn one stored image into the tensor the network takes.

        Args:
            image: "height width channel", uint8; the channels in the order RGB, or one grey
                channel.

        Returns:
            "channel height width", float32.

        Raises:
            ShapeError: If the image has another number of channels, or is not "height width
                channel".
            ConfigError: If a resize is asked for and Pillow is not installed.
        """
        if image.ndim != 3 or image.shape[2] != len(self.channels) or image.dtype != np.uint8:
            raise ShapeError(
                f"image: expected uint8 height x width x {len(self.channels)} for channels "
                f"{self.channels!r}, got {image.dtype} {'x'.join(map(str, image.shape))}. "
                "Set channels='L' for grey images, 'RGB' or 'BGR' for colour."
            )
        return _normalised(self._fitted(image), self)

    def placement(self, height: int, width: int) -> Placement:
        """Say where the pixels of an image of that size come to be in the network's input.

        Args:
            height: Of the stored image, in pixels.
            width: Of the stored image, in pixels.

        Returns:
            Scales are those of the sides as they are rounded, so along x and y those of a
            letterboxed image may differ a little. A crop has a negative offset.

        Example:
            >>> Preprocess(size=64, fit="letterbox").placement(height=30, width=90)
            Placement(scale=(0.7111111111111111, 0.7), offset=(0.0, 21.0), blue_first=False)
        """
        kept, resized, ground = self._plan(height, width)
        scale = resized[1] / kept[1], resized[0] / kept[0]
        corner = (width - kept[1]) // 2, (height - kept[0]) // 2
        before = (ground[1] - resized[1]) // 2, (ground[0] - resized[0]) // 2
        x, y = (float(b - c * s) for b, c, s in zip(before, corner, scale, strict=True))
        return Placement(scale, (x, y), self.channels == "BGR")

    def _plan(self, height: int, width: int) -> tuple[_Side, _Side, _Side]:
        """Return height and width of what is kept of an image, resized, and with its ground."""
        kept = height, width
        if self.crop is not None:
            kept = (max(1, round(min(height, width) * self.crop)),) * 2
        size = (self.size, self.size) if isinstance(self.size, int) else self.size or kept
        if self.fit == "stretch":
            return kept, size, size
        scale = min(size[0] / kept[0], size[1] / kept[1])
        return kept, (max(1, round(kept[0] * scale)), max(1, round(kept[1] * scale))), size

    def _fitted(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Crop, resize and pad."""
        kept, resized, ground = self._plan(*image.shape[:2])
        image = image[_middle(image.shape[:2], kept)]
        if kept != resized:
            pillow = pillow_image()
            method = pillow.Resampling[self.interpolation.upper()]
            picture = pillow.fromarray(
                np.ascontiguousarray(image[..., 0] if self.channels == "L" else image)
            )
            image = np.asarray(picture.resize((resized[1], resized[0]), method))
            image = image.reshape(*resized, len(self.channels))
        if resized == ground:
            return image
        padded = np.full((*ground, len(self.channels)), self.pad, np.uint8)
        padded[_middle(ground, resized)] = image
        return padded

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain numbers, strings and lists, as TOML and JSON hold them.

        Settings that are None are left out, because TOML has no None.
        """
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not None
        }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Preprocess":
        """Build from a mapping such as a TOML table; the inverse of ``to_dict``.

        Raises:
            ConfigError: If a key is unknown, or a value is of the wrong kind or out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise _bad("keys", f"some of {', '.join(sorted(known))}", ", ".join(unknown))
        values: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()
        }
        for key in ("mean", "std"):
            if isinstance(values.get(key), int | float):
                values[key] = (values[key],)
        for key, value in values.items():
            if not _is_kind(key, value):
                raise _bad(key, _KINDS[key], value)
        return cls(**values)


_KINDS = {
    "size": "a whole number, or two: [height, width]",
    "crop": "a number in (0, 1]",
    "mean": "a number, or a list of them",
    "std": "a number, or a list of them",
    "channels": "'RGB', 'BGR' or 'L'",
    "scale": "a number",
    "interpolation": "'nearest', 'bilinear' or 'bicubic'",
    "fit": "'stretch' or 'letterbox'",
    "pad": "a whole number in 0..255",
}


def _is_kind(key: str, value: object) -> bool:
    def number(item: object) -> bool:
        return isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 1e30

    match key:
        case "size":
            pair = value if isinstance(value, tuple) else (value, value)
            return len(pair) == 2 and all(number(side) and isinstance(side, int) for side in pair)
        case "mean" | "std":
            return isinstance(value, tuple) and all(map(number, value))
        case "channels" | "interpolation" | "fit":
            known = {"channels": CHANNELS, "interpolation": INTERPOLATIONS, "fit": FITS}
            return value in known[key]
        case "pad":
            return number(value) and isinstance(value, int)
        case _:
            return number(value)


def _middle(whole: tuple[int, ...], part: _Side) -> tuple[slice, slice]:
    """Return the rows and columns in the middle of a larger image; an odd one is left behind."""
    top, left = (whole[0] - part[0]) // 2, (whole[1] - part[1]) // 2
    return slice(top, top + part[0]), slice(left, left + part[1])


def _normalised(
    image: UInt8[np.ndarray, "height width channel"], settings: Preprocess
) -> Float[Tensor, "channel height width"]:
    """Reorder the channels, then scale and shift."""
    if settings.channels == "BGR":
        image = image[..., ::-1]
    planes = torch.from_numpy(np.array(image.transpose(2, 0, 1), dtype=np.float32, order="C"))
    planes.mul_(settings.scale)
    if any(settings.mean):
        planes.sub_(torch.tensor(settings.mean).view(-1, 1, 1))
    if any(value != 1 for value in settings.std):
        planes.div_(torch.tensor(settings.std).view(-1, 1, 1))
    return planes


def _bad(setting: str, expected: str, got: object) -> ConfigError:
    return ConfigError(
        f"preprocess.{setting}: expected {expected}, got {got!r}. Correct the setting."
    )
