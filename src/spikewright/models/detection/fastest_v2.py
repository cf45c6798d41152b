# SPDX-License-Identifier: Apache-2.0
"""YOLO-FastestV2: ShuffleNetV2 units, two levels of a pyramid, a quarter of a million parameters.

The network and its parameters' names are those of github.com/dog-qiuqiu/Yolo-FastestV2, so that
the published weights load. Its authors split channels by moving half of them through the axis of
the batch, as the official code of ShuffleNetV2 does; so does this.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.models.detection.layers import conv_relu, conv_unit

__all__ = ["YoloFastestV2", "yolo_fastest_v2"]

_STAGES = ((4, 24, 48), (8, 48, 96), (4, 96, 192))  # units, channels before and after
_HEAD = 72
_ANCHORS = 3


class YoloFastestV2(nn.Module):
    """A detector with maps of strides 16 and 32 and three anchors at each cell.

    Args:
        classes: Number of kinds of objects.
    """

    outputs: ClassVar[tuple[str, ...]] = tuple(
        f"{kind}_{stride}" for stride in (16, 32) for kind in ("boxes", "object", "classes")
    )

    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.fpn = _Pyramid(_STAGES[1][2], _STAGES[2][2])
        self.output_reg_layers = nn.Conv2d(_HEAD, 4 * _ANCHORS, 1)
        self.output_obj_layers = nn.Conv2d(_HEAD, _ANCHORS, 1)
        self.output_cls_layers = nn.Conv2d(_HEAD, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images "batch 3 height width", BGR in 0..1, to raw maps.

        Height and width are multiples of 32; the published weights are for 352 x 352.

        Returns:
            Of stride 16, then of stride 32: boxes "batch 12 h w" (t_x, t_y, t_w, t_h of each
            anchor), whether there is an object "batch 3 h w", which "batch class h w".
        """
        maps: list[Tensor] = []
        for of_classes, of_boxes in self.fpn(*self.backbone(x)):
            maps += [
                self.output_reg_layers(of_boxes),
                self.output_obj_layers(of_classes),
                self.output_cls_layers(of_classes),
            ]
        return tuple(maps)


class _Unit(nn.Module):
    """ShuffleNetV2's unit: half of the channels pass, the others are filtered."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        middle, added = after // 2, after - before
        self.branch_main = nn.Sequential(
            *conv_relu(before, middle, 1),
            *conv_unit(middle, middle, 3, stride, groups=middle),
            *conv_relu(middle, added, 1),
        )
        if stride == 2:
            self.branch_proj = nn.Sequential(
                *conv_unit(before, before, 3, 2, groups=before), *conv_relu(before, before, 1)
            )
        self.shrinks = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        if self.shrinks:
            return torch.cat((self.branch_proj(x), self.branch_main(x)), 1)
        passed, filtered = _split(x)
        return torch.cat((passed, self.branch_main(filtered)), 1)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the even channels and the odd ones."""
    batch, channels, height, width = x.shape
    pairs = x.reshape(batch * channels // 2, 2, height * width).permute(1, 0, 2)
    halves = pairs.reshape(2, -1, channels // 2, height, width)
    return halves[0], halves[1]


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(*conv_relu(3, _STAGES[0][1], 3, 2))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.stage2, self.stage3, self.stage4 = (_stage(*stage) for stage in _STAGES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        middle: Tensor = self.stage3(self.stage2(self.maxpool(self.first_conv(x))))
        return middle, self.stage4(middle)


def _stage(units: int, before: int, after: int) -> nn.Sequential:
    same = (_Unit(after // 2, after, 1) for _ in range(units - 1))
    return nn.Sequential(_Unit(before, after, 2), *same)


class _Pyramid(nn.Module):
    """Two levels, each with a head for classes and one for boxes."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.conv1x1_2 = nn.Sequential(*conv_relu(fine + coarse, _HEAD, 1))
        self.conv1x1_3 = nn.Sequential(*conv_relu(coarse, _HEAD, 1))
        self.cls_head_2, self.cls_head_3 = _Head(), _Head()
        self.reg_head_2, self.reg_head_3 = _Head(), _Head()

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        last = self.conv1x1_3(coarse)
        joined = self.conv1x1_2(torch.cat((F.interpolate(coarse, scale_factor=2.0), fine), 1))
        return (
            (self.cls_head_2(joined), self.reg_head_2(joined)),
            (self.cls_head_3(last), self.reg_head_3(last)),
        )


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = [
            layer
            for _ in range(2)
            for layer in (
                *conv_relu(_HEAD, _HEAD, 5, groups=_HEAD),
                *conv_unit(_HEAD, _HEAD, 1),
            )
        ]
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        head: Tensor = self.block(x)
        return head


def yolo_fastest_v2(classes: int = 80) -> YoloFastestV2:
    """Build YOLO-FastestV2 with random weights.

    Example:
        >>> sum(p.numel() for p in yolo_fastest_v2().parameters())
        243095
    """
    return YoloFastestV2(classes)
