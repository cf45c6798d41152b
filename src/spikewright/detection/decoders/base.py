# SPDX-License-Identifier: Apache-2.0
"""What every decoder is and shares: maps by level, a grid, and boxes that become detections."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from spikewright.detection.boxes import Detections
from spikewright.detection.nms import Suppression
from spikewright.errors import ConfigError, ShapeError

__all__ = [
    "KEPT",
    "LARGEST_EXPONENT",
    "Custom",
    "Decoder",
    "centred",
    "flat",
    "grid",
    "level_maps",
    "settle",
]

LARGEST_EXPONENT = 8.0
"""Of sizes e^t: no box is e^8 ≈ 3000 times an anchor or a cell wide, but a stray t may be large."""

KEPT = Suppression()


class Decoder(Protocol):
    """Turns what a network returns into boxes."""

    def __call__(self, outputs: Any, input_size: tuple[int, int]) -> list[Detections]:  # noqa: ANN401 - nested as the network returns it
        """Return the detections of every image of a batch, best first.

        Args:
            outputs: A tensor, or sequences and mappings of tensors, batch first.
            input_size: Height and width of the network's input, in pixels.

        Returns:
            For each image its detections after suppression, in pixels of the network's input;
            ``Placement.to_image`` takes them back into the image.

        Raises:
            ShapeError: If the outputs are not those of the decoder's family of detectors.
        """
        ...


@dataclass(frozen=True)
class Custom:
    """A user's function as a decoder; what it returns is checked.

    Attributes:
        function: Takes outputs and input size as :class:`Decoder` does.
        where: Its name in messages, e.g. ``"mine.py:decode"``.

    Raises:
        ConfigError: If it is no function, or, when called, returns something else than a list of
            Detections.
    """

    function: Callable[[Any, tuple[int, int]], Any]
    where: str

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(
                f"decoder {self.where}: expected a function of (outputs, input size), got "
                f"{type(self.function).__name__}. Name a function."
            )

    def __call__(self, outputs: Any, input_size: tuple[int, int]) -> list[Detections]:  # noqa: ANN401 - nested as the network returns it
        """See :class:`Decoder`."""
        found, images = self.function(outputs, input_size), len(flat(outputs)[0])
        if (
            not isinstance(found, list)
            or len(found) != images
            or not all(isinstance(x, Detections) for x in found)
        ):
            got = type(found).__name__
            if isinstance(found, list):
                kinds = sorted({type(x).__name__ for x in found})
                got = f"a list of {len(found)} ({', '.join(kinds)})"
            raise ConfigError(
                f"decoder {self.where}: expected a list of {images} Detections, one an image, got "
                f"{got}. Return spikewright.detection.Detections(boxes, scores, labels) for each."
            )
        return found


def flat(outputs: Any) -> list[Tensor]:  # noqa: ANN401 - nested as the network returns it
    """Return the tensors of nested outputs in their order.

    Raises:
        ShapeError: If there is something else among them, or nothing.
    """
    if isinstance(outputs, Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    if not isinstance(outputs, Mapping | Sequence) or isinstance(outputs, str) or not parts:
        raise ShapeError(
            f"decoder: expected tensors in sequences and mappings, got {type(outputs).__name__}"
            f"{' without any' if isinstance(outputs, Mapping | Sequence) else ''}. "
            "Give the network's outputs as they are."
        )
    return [tensor for part in parts for tensor in flat(part)]


def level_maps(
    outputs: Sequence[Tensor],
    strides: Sequence[int],
    input_size: tuple[int, int],
    where: str,
    each: Sequence[int],
) -> list[list[Tensor]]:
    """Sort maps by level, told apart by their sizes, so that levels may come in any order.

    Args:
        outputs: Maps "batch channel h w".
        strides: Input pixels for a cell of each level.
        input_size: Height and width of the network's input.
        where: Whose maps they are, for messages.
        each: How many maps a level may have.

    Returns:
        The maps of each level, in the order given.

    Raises:
        ShapeError: If a level has another number of maps, or a map belongs to no level.
    """
    height, width = input_size
    sizes = [(-(-height // stride), -(-width // stride)) for stride in strides]
    levels = [[x for x in outputs if x.ndim == 4 and x.shape[2:] == size] for size in sizes]
    if any(len(x) not in each for x in levels) or sum(map(len, levels)) != len(outputs):
        wanted = ", ".join(
            f"{h}x{w} (stride {s})" for (h, w), s in zip(sizes, strides, strict=True)
        )
        raise ShapeError(
            f"{where}: expected for an input of {height}x{width} {' or '.join(map(str, each))} "
            f"maps (batch, channels, h, w) of each size {wanted}, got shapes "
            f"{', '.join(str(tuple(x.shape)) for x in outputs)}. "
            "Give the raw maps, and the height and width that the network was given."
        )
    return levels


def grid(like: Tensor) -> Float[Tensor, "2 h w"]:
    """Return the column and row of every cell of maps "... h w"."""
    height, width = like.shape[-2:]
    x = torch.arange(width, dtype=like.dtype, device=like.device).expand(height, width)
    y = torch.arange(height, dtype=like.dtype, device=like.device)[:, None].expand(height, width)
    return torch.stack((x, y))


def centred(
    centre: Float[Tensor, "*box 2"], size: Float[Tensor, "*box 2"]
) -> Float[Tensor, "*box 4"]:
    """Return boxes, left, top, right, bottom, from centres (x, y) and sizes (width, height)."""
    return torch.cat((centre - size / 2, centre + size / 2), -1)


def settle(
    boxes: Float[Tensor, "batch point 4"],
    scores: Float[Tensor, "batch point class"],
    suppression: Suppression,
    every_class: bool,
) -> list[Detections]:
    """Return each image's detections.

    Args:
        boxes: One a point.
        scores: Of every class at every point.
        suppression: What is kept.
        every_class: Whether a point may be found as several classes, or only as its best.
    """
    if not every_class:
        best, labels = scores.max(-1)
        return [suppression(b, s, c) for b, s, c in zip(boxes, best, labels, strict=True)]
    found = []
    for box, score in zip(boxes, scores, strict=True):
        point, label = (score > suppression.least).nonzero(as_tuple=True)
        found.append(suppression(box[point], score[point, label], label))
    return found
