# SPDX-License-Identifier: Apache-2.0
"""How far boxes cover each other; suppression, matching and scores all ask here."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["areas", "overlaps"]


def areas(boxes: Float[Tensor, "*box 4"]) -> Float[Tensor, "*box"]:
    """Return the boxes' areas in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlaps(
    first: Float[Tensor, "a 4"],
    second: Float[Tensor, "b 4"],
    crowd: Bool[Tensor, " b"] | None = None,
) -> Float[Tensor, "a b"]:
    """Return the intersection over union of every box with every other.

    Args:
        first: Boxes.
        second: Boxes to compare with.
        crowd: Which of the second are crowds, whose overlap is the intersection over the first
            box's area alone, as COCO's evaluator has it.

    Returns:
        Values in 0..1; NaN for two boxes without area, which no threshold is below.

    Example:
        >>> a = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        >>> b = torch.tensor([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
        >>> [f"{x:.3f}" for x in overlaps(a, b)[0].tolist()]
        ['0.333', '0.000']
    """
    left_top = torch.maximum(first[:, None, :2], second[:, :2])
    sides = torch.minimum(first[:, None, 2:], second[:, 2:]).sub_(left_top).clamp_(min=0)
    shared = sides[..., 0] * sides[..., 1]
    own = areas(first)[:, None]
    union = own + areas(second) - shared
    return shared / (union if crowd is None else torch.where(crowd, own, union))
