# SPDX-License-Identifier: Apache-2.0
"""YOLOv8 and its kin: the distances to a box's four sides, each an expectation over bins."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spikewright.detection.boxes import Detections
from spikewright.detection.decoders.base import centred, flat, grid, level_maps, settle
from spikewright.detection.nms import Suppression
from spikewright.errors import ShapeError

__all__ = ["DflYolo"]

_KEPT = Suppression(iou=0.7, least=0.001)


@dataclass(frozen=True, kw_only=True)
class DflYolo:
    """Boxes of YOLO heads trained with distribution focal loss.

    Raw maps, "batch 4·bins + classes h w" for each level, are decoded here: with p the softmax over
    the bins of a side, its distance from the cell's middle is Σ_i i·p_i cells; class scores are
    sigmoids. A level may also come as two maps, sides before classes. Where the network decodes by
    itself, its output "batch 4 + classes point" (centre x, y, width and height in pixels, then
    class scores in 0..1) is taken as it is, and what comes beside it is not needed.

    Attributes:
        strides: Input pixels for a cell of each level.
        bins: Of each side's distribution.
        every_class: Whether a cell may be found as several classes or as its best one.
        suppression: What is kept.

    References:
        Li et al., Generalized Focal Loss, 2020, equation 6, https://arxiv.org/abs/2006.04388.
        Jocher et al., Ultralytics YOLOv8, 2023.

    Example:
        >>> import torch
        >>> raw = torch.zeros(1, 4 * 2 + 1, 1, 1)  # both bins alike: every side 1/2 cell away
        >>> DflYolo(strides=(8,), bins=2)([raw], (8, 8))[0].boxes.tolist()
        [[0.0, 0.0, 8.0, 8.0]]
    """

    strides: tuple[int, ...] = (8, 16, 32)
    bins: int = 16
    every_class: bool = True
    suppression: Suppression = _KEPT

    def __call__(self, outputs: Any, input_size: tuple[int, int]) -> list[Detections]:  # noqa: ANN401 - nested as the network returns it
        """See :class:`Decoder`."""
        maps = flat(outputs)
        if maps[0].ndim == 3:
            boxes, scores = self._decoded(maps[0])
        else:
            levels = level_maps(maps, self.strides, input_size, "DFL decoder", (1, 2))
            pairs = [
                self._level(torch.cat(x, 1), s) for x, s in zip(levels, self.strides, strict=True)
            ]
            boxes, scores = (torch.cat(parts, 1) for parts in zip(*pairs, strict=True))
        return settle(boxes, scores, self.suppression, self.every_class)

    def _level(
        self, raw: Float[Tensor, "batch channel h w"], stride: int
    ) -> tuple[Float[Tensor, "batch cell 4"], Float[Tensor, "batch cell class"]]:
        sides = 4 * self.bins
        if raw.shape[1] <= sides:
            raise ShapeError(
                f"DFL decoder, stride {stride}: expected {sides} channels of sides and one a "
                f"class, got {raw.shape[1]}. Check the number of bins."
            )
        likely = torch.unflatten(raw[:, :sides], 1, (4, self.bins)).softmax(2)
        steps = torch.arange(self.bins, dtype=raw.dtype, device=raw.device)
        distance = torch.einsum("bsihw,i->bshw", likely, steps)
        middle = grid(raw) + 0.5
        corners = torch.cat((middle - distance[:, :2], middle + distance[:, 2:]), 1) * stride
        scores = raw[:, sides:].sigmoid()
        return corners.flatten(2).transpose(1, 2), scores.flatten(2).transpose(1, 2)

    def _decoded(
        self, output: Float[Tensor, "batch channel point"]
    ) -> tuple[Float[Tensor, "batch point 4"], Float[Tensor, "batch point class"]]:
        if output.shape[1] <= 4:
            raise ShapeError(
                "DFL decoder: expected a decoded output (batch, 4 + classes, points), got shape "
                f"{tuple(output.shape)}. Check the order of its axes."
            )
        points = output.transpose(1, 2)
        return centred(points[..., :2], points[..., 2:4]), points[..., 4:]
