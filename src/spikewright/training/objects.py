# SPDX-License-Identifier: Apache-2.0
"""The objects in a batch of images, and how they move when the images are changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from spikewright.detection import Annotations

__all__ = ["Objects"]


@dataclass(frozen=True, eq=False)
class Objects:
    """All objects of a batch, one behind the other.

    Attributes:
        images: Which image of the batch each is in.
        boxes: Left, top, right, bottom in pixels of the input.
        labels: Class numbers from 0.
        ignored: Whether what is found there is neither right nor wrong (crowds, difficult ones).
        count: Images in the batch.
    """

    images: Int64[Tensor, " object"]
    boxes: Float[Tensor, "object 4"]
    labels: Int64[Tensor, " object"]
    ignored: Bool[Tensor, " object"]
    count: int

    @classmethod
    def of(cls, annotations: Sequence[Annotations]) -> "Objects":
        """Join what is in the images of a batch, with boxes as they lie in the network's input.

        Example:
            >>> one = Annotations(torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([2]), (8, 8))
            >>> Objects.of([one, one]).images.tolist()
            [0, 1]
        """
        none = torch.empty(0)
        boxes = [a.placement.to_input(a.boxes) for a in annotations]
        numbers = [torch.full((len(a),), i) for i, a in enumerate(annotations)]
        return cls(
            images=torch.cat([none.long(), *numbers]),
            boxes=torch.cat([none.view(0, 4), *boxes]),
            labels=torch.cat([none.long(), *(a.labels for a in annotations)]),
            ignored=torch.cat([none.bool(), *(_ignored(a) for a in annotations)]),
            count=len(annotations),
        )

    def to(self, device: torch.device) -> "Objects":
        """Return the same on a device."""
        images, boxes, labels, ignored = (
            t.to(device) for t in (self.images, self.boxes, self.labels, self.ignored)
        )
        return Objects(images, boxes, labels, ignored, self.count)

    def mirrored(self, which: Bool[Tensor, " image"], width: int) -> "Objects":
        """Mirror the objects of some images, left to right."""
        left, top, right, bottom = self.boxes.unbind(1)
        there = torch.stack((width - right, top, width - left, bottom), 1)
        return replace(self, boxes=torch.where(which[self.images][:, None], there, self.boxes))

    def scaled(self, x: float, y: float) -> "Objects":
        """Follow images that are resized by factors along x and y."""
        return replace(self, boxes=self.boxes * self.boxes.new_tensor([x, y, x, y]))


def _ignored(annotations: Annotations) -> Tensor:
    """Return which boxes are marked as crowds or as difficult."""
    marks = torch.zeros(len(annotations), dtype=torch.bool)
    for given in (annotations.crowd, annotations.difficult):
        marks = marks if given is None else marks | given
    return marks
