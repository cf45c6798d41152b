# SPDX-License-Identifier: Apache-2.0
"""The one-level YOLO without anchors of the wake-sleep paper: every cell says one box."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spikewright.detection.boxes import Detections
from spikewright.detection.decoders import base
from spikewright.detection.nms import Suppression
from spikewright.errors import ShapeError

__all__ = ["AnchorFreeYolo", "boxes_of", "scores_of"]

_STRIDES = (32, 16, 8)


def boxes_of(raw: Float[Tensor, "batch 4 h w"], stride: int) -> Float[Tensor, "batch cell 4"]:
    """Return every cell's box, row after row; the loss of training uses it too.

        centre = (cell + σ(t_xy)) · stride,  size = e^t_wh · stride,  t_wh at most 8

    Args:
        raw: t_x, t_y, t_w, t_h of every cell, as the network returns them.
        stride: Input pixels for a cell.

    Returns:
        Left, top, right, bottom in pixels of the network's input; cell = row · w + column.

    Example:
        >>> import torch
        >>> boxes_of(torch.zeros(1, 4, 1, 2), stride=32)[0].tolist()
        [[0.0, 0.0, 32.0, 32.0], [32.0, 0.0, 64.0, 32.0]]
    """
    centre = (base.grid(raw) + raw[:, :2].sigmoid()) * stride
    size = raw[:, 2:].clamp(max=base.LARGEST_EXPONENT).exp() * stride
    return base.centred(centre.flatten(2).transpose(1, 2), size.flatten(2).transpose(1, 2))


def scores_of(
    objectness: Float[Tensor, "batch 1 h w"], classes: Float[Tensor, "batch class h w"]
) -> Float[Tensor, "batch cell class"]:
    """Return √(σ(t_obj) · σ(t_class)) of every cell, row after row.

    The square root of the product is our choice: it orders boxes as the product does, and of an
    object and a class that are both half sure the box is half sure. The authors' code multiplies
    σ(t_obj) by a softmax over the classes.

    Example:
        >>> import torch
        >>> scores_of(torch.zeros(1, 1, 1, 1), torch.zeros(1, 2, 1, 1)).tolist()
        [[[0.5, 0.5]]]
    """
    return (objectness.sigmoid() * classes.sigmoid()).sqrt().flatten(2).transpose(1, 2)


@dataclass(frozen=True, kw_only=True)
class AnchorFreeYolo:
    """Boxes of one-level YOLO heads without anchors.

    The network returns three raw maps: objectness "batch 1 h w", classes "batch class h w" and
    boxes "batch 4 h w"; see :func:`boxes_of` and :func:`scores_of`.

    Attributes:
        stride: Input pixels for a cell; None finds which of 8, 16 and 32 fits the maps.
        every_class: Whether a cell may be found as several classes or as its best one.
        suppression: What is kept.

    References:
        Wang et al., CASC, 2024: VGG-16 or ResNet-50 with one map of stride 32.

    Example:
        >>> import torch
        >>> maps = torch.full((1, 1, 1, 1), 9.0), torch.zeros(1, 2, 1, 1), torch.zeros(1, 4, 1, 1)
        >>> AnchorFreeYolo()(maps, (32, 32))[0].boxes.tolist()
        [[0.0, 0.0, 32.0, 32.0]]
    """

    stride: int | None = None
    every_class: bool = False
    suppression: Suppression = base.KEPT

    def __call__(self, outputs: Any, input_size: tuple[int, int]) -> list[Detections]:  # noqa: ANN401 - nested as the network returns it
        """See :class:`Decoder`."""
        where = "anchor-free decoder"
        maps = base.flat(outputs)
        stride = _fitting(maps, input_size) if self.stride is None else self.stride
        ((objectness, classes, boxes),) = base.level_maps(maps, [stride], input_size, where, (3,))
        channels = objectness.shape[1], classes.shape[1], boxes.shape[1]
        if channels[::2] != (1, 4):
            raise ShapeError(
                f"{where}: expected maps of objectness (1 channel), classes and boxes (4), got "
                f"{', '.join(map(str, channels))} channels. Return them in this order."
            )
        scores = scores_of(objectness, classes)
        return base.settle(boxes_of(boxes, stride), scores, self.suppression, self.every_class)


def _fitting(maps: Sequence[Tensor], input_size: tuple[int, int]) -> int:
    """Return the stride that an input of this size and its maps have, the paper's if none fits."""
    sizes = {tuple(x.shape[2:]) for x in maps if x.ndim == 4}
    fitting = (s for s in _STRIDES if (input_size[0] / s, input_size[1] / s) in sizes)
    return next(fitting, _STRIDES[0])
