# SPDX-License-Identifier: Apache-2.0
"""Boxes as everything about detection passes them on: what is in a picture, and what was found.

Boxes are float32 "box 4": left, top, right, bottom, in pixels from the upper left corner of the
image (x to the right, y down), as torchvision and COCO's evaluators take them.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from spikewright.errors import ShapeError

__all__ = ["Annotations", "Detections", "Placement"]


@dataclass(frozen=True)
class Placement:
    """How an image was put into the network's input, and the way back for boxes.

    A point (x, y) of the image is at (x · scale[0] + offset[0], y · scale[1] + offset[1]) of the
    input. Stretched images have no offset; letterboxed ones have one scale twice.

    Attributes:
        scale: Input pixels for an image pixel along x and along y.
        offset: Where the image's upper left corner is in the input, x and y, in input pixels.
        blue_first: Whether the input's channels are blue, green, red.

    Example:
        >>> import torch
        >>> place = Placement(scale=(0.5, 0.5), offset=(0.0, 8.0))
        >>> inside = place.to_input(torch.tensor([[10.0, 20.0, 30.0, 40.0]]))
        >>> inside.tolist(), place.to_image(inside).tolist()
        ([[5.0, 18.0, 15.0, 28.0]], [[10.0, 20.0, 30.0, 40.0]])
    """

    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    blue_first: bool = False

    def to_input(self, boxes: Float[Tensor, "box 4"]) -> Float[Tensor, "box 4"]:
        """Take boxes from the image into the network's input."""
        return boxes * boxes.new_tensor(self.scale * 2) + boxes.new_tensor(self.offset * 2)

    def to_image(self, boxes: Float[Tensor, "box 4"]) -> Float[Tensor, "box 4"]:
        """Take boxes from the network's input back into the image."""
        return (boxes - boxes.new_tensor(self.offset * 2)) / boxes.new_tensor(self.scale * 2)


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first.

    Attributes:
        boxes: See the module.
        scores: Confidence in 0..1, falling.
        labels: Class numbers from 0.

    Raises:
        ShapeError: If the numbers of boxes, scores and labels differ.
    """

    boxes: Float[Tensor, "box 4"]
    scores: Float[Tensor, " box"]
    labels: Int64[Tensor, " box"]

    def __post_init__(self) -> None:
        _check_lengths("Detections", self.boxes, self.scores, self.labels)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is in one image, as people marked it.

    Attributes:
        boxes: See the module; in pixels of the image as it is stored.
        labels: Class numbers from 0.
        size: Height and width of the stored image, in pixels.
        placement: How the image was put into the network's input.
        name: Of the image: its file's name or its number in the data set.
        crowd: Boxes around many objects (COCO's ``iscrowd``): what is found in them is neither
            right nor wrong.
        difficult: Objects that need not be found (PASCAL VOC's ``difficult``), neither right nor
            wrong either.
        areas: Areas in pixels, by which COCO tells small, medium and large; those of the objects'
            outlines where they are known, else of the boxes.

    Raises:
        ShapeError: If the numbers of boxes, labels, marks and areas differ.
    """

    boxes: Float[Tensor, "box 4"]
    labels: Int64[Tensor, " box"]
    size: tuple[int, int]
    placement: Placement = field(default_factory=Placement)
    name: str = ""
    crowd: Bool[Tensor, " box"] | None = None
    difficult: Bool[Tensor, " box"] | None = None
    areas: Float[Tensor, " box"] | None = None

    def __post_init__(self) -> None:
        given = (self.crowd, self.difficult, self.areas)
        _check_lengths("Annotations", self.boxes, self.labels, *(x for x in given if x is not None))

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls, size: tuple[int, int]) -> "Annotations":
        """Return those of an image of which nothing is known but its height and width."""
        return cls(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), size)


def _check_lengths(where: str, boxes: Tensor, *others: Tensor) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or any(len(x) != len(boxes) for x in others):
        shapes = ", ".join(str(tuple(x.shape)) for x in (boxes, *others))
        raise ShapeError(
            f"{where}: expected boxes (n, 4) and n of everything else, got shapes {shapes}. "
            "Give every box one score, label and mark."
        )
