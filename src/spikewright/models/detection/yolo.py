# SPDX-License-Identifier: Apache-2.0
"""The one-level detectors of CASC: a backbone, an encoder, two heads, no anchors, ReLU throughout.

CASC (2024) detects with YOLO on one map of stride 32: VGG-16 with batch norm and spatial pyramid
pooling (K. He et al., TPAMI 2015; windows 5, 9, 13), or ResNet-50 and the dilated encoder of YOLOF
(Q. Chen et al., CVPR 2021). Classes and boxes have a head of two convolutions each; whether there
is an object is read off the head of the boxes.

A cell's raw numbers mean, in pixels of the input and with s the stride:

    centre = (cell + sigmoid(t_xy)) · s,  size = exp(min(t_wh, 8)) · s,
    score of a class = sqrt(sigmoid(object) · sigmoid(class)).
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from spikewright.errors import ConfigError
from spikewright.models.detection.layers import checked_width, conv_relu, conv_unit

__all__ = ["Yolo", "casc_yolo_resnet50", "casc_yolo_vgg16"]

_VGG16 = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)  # a max pool ends each
_RESNET50 = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels and blocks of each stage
_EXPANSION = 4
_DILATIONS = (2, 4, 6, 8)
_WINDOWS = (5, 9, 13)
_STRIDES = (8, 16, 32)
_PRIOR = 0.01  # what sigmoid(object) is before training; sigmoid(class) is one of the classes


class Yolo(nn.Module):
    """A detector with one map of predictions.

    Args:
        backbone: Images "batch 3 height width" to a map "batch channels h w".
        encoder: That map to one of ``channels`` channels and the same size.
        channels: Of the heads.
        classes: Number of kinds of objects.
        stride: Pixels of the input for a cell of the map.
    """

    outputs: ClassVar[tuple[str, ...]] = ("object", "classes", "boxes")

    def __init__(
        self, backbone: nn.Module, encoder: nn.Module, channels: int, classes: int, stride: int
    ) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError(f"Yolo.classes: expected at least 1, got {classes}.")
        self.backbone, self.encoder, self.stride = backbone, encoder, stride
        self.class_head = nn.Sequential(*(m for _ in "12" for m in conv_relu(channels, channels)))
        self.box_head = nn.Sequential(*(m for _ in "12" for m in conv_relu(channels, channels)))
        self.object = nn.Conv2d(channels, 1, 1)
        self.classes = nn.Conv2d(channels, classes, 1)
        self.boxes = nn.Conv2d(channels, 4, 1)
        rare, any_class = -math.log((1 - _PRIOR) / _PRIOR), -math.log(max(classes - 1, 1))
        for conv, bias in ((self.object, rare), (self.classes, any_class), (self.boxes, 0.0)):
            assert conv.bias is not None  # noqa: S101 - for the type checker
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.constant_(conv.bias, bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map images to raw maps, see the module.

        Args:
            x: "batch 3 height width", height and width multiples of the stride.

        Returns:
            Whether there is an object, "batch 1 h w"; which, "batch class h w"; its box t_x, t_y,
            t_w, t_h, "batch 4 h w".
        """
        x = self.encoder(self.backbone(x))
        of_boxes = self.box_head(x)
        return self.object(of_boxes), self.classes(self.class_head(x)), self.boxes(of_boxes)


class _PyramidPooling(nn.Module):
    """Spatial pyramid pooling: the map and its maxima in three windows, side by side."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(*conv_relu(before, channels // 2, 1))
        self.pools = nn.ModuleList(nn.MaxPool2d(w, 1, w // 2) for w in _WINDOWS)
        self.join = nn.Sequential(*conv_relu(channels // 2 * 4, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        joined: Tensor = self.join(torch.cat([x, *(pool(x) for pool in self.pools)], 1))
        return joined


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions with a shortcut around them."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        after = channels * _EXPANSION
        self.residual = nn.Sequential(
            *conv_relu(before, channels, 1),
            *conv_relu(channels, channels, 3, stride),
            *conv_unit(channels, after, 1),
        )
        changes = stride != 1 or before != after
        self.identity = nn.Sequential(*(conv_unit(before, after, 1, stride) if changes else ()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.identity(x))


class _Dilated(nn.Module):
    """A residual block of YOLOF's encoder: what it adds is rectified, the sum is not below zero."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        middle = max(channels // 4, 1)
        self.residual = nn.Sequential(
            *conv_relu(channels, middle, 1),
            *conv_relu(middle, middle, 3, dilation=dilation),
            *conv_relu(middle, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.residual(x)
        return added


def casc_yolo_vgg16(classes: int = 20, width: float = 1.0, *, stride: int = 32) -> Yolo:
    """Build the detector with VGG-16 and spatial pyramid pooling, with random weights.

    Args:
        classes: Number of kinds of objects; 20 in PASCAL VOC.
        width: Factor on the number of channels of every convolution.
        stride: 32 in the paper. 16 and 8 leave out the last one or two max pools, for small
            objects in small pictures.

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> maps = casc_yolo_vgg16(3, width=1 / 16).eval()(torch.zeros(1, 3, 64, 96))
        >>> [tuple(m.shape) for m in maps]
        [(1, 1, 2, 3), (1, 3, 2, 3), (1, 4, 2, 3)]
    """
    width = checked_width("casc_yolo_vgg16", width)
    pools = _halvings("casc_yolo_vgg16", stride)
    layers: list[nn.Module] = []
    channels = 3
    for number, stage in enumerate(_VGG16):
        for wanted in stage:
            before, channels = channels, round(width * wanted)
            layers += conv_relu(before, channels)
        if number < pools:
            layers.append(nn.MaxPool2d(2))
    heads = max(round(width * 512), 2)
    backbone = nn.Sequential(*layers)
    return Yolo(backbone, _PyramidPooling(channels, heads), heads, classes, stride)


def casc_yolo_resnet50(classes: int = 20, width: float = 1.0, *, stride: int = 32) -> Yolo:
    """Build the detector with ResNet-50 and the dilated encoder, with random weights.

    Takes what :func:`casc_yolo_vgg16` takes; with a stride of 16 or 8 the last one or two stages
    keep the size of the map.

    Example:
        >>> maps = casc_yolo_resnet50(3, width=1 / 16).eval()(torch.zeros(1, 3, 64, 96))
        >>> [tuple(m.shape) for m in maps]
        [(1, 1, 2, 3), (1, 3, 2, 3), (1, 4, 2, 3)]
    """
    width = checked_width("casc_yolo_resnet50", width)
    halvings = _halvings("casc_yolo_resnet50", stride) - 2  # two are in front of the stages
    channels = round(width * 64)
    layers: list[nn.Module] = [*conv_relu(3, channels, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for number, (wanted, blocks) in enumerate(_RESNET50):
        for block in range(blocks):
            first = block == 0 and 0 < number <= halvings
            layers.append(_Bottleneck(channels, round(width * wanted), 2 if first else 1))
            channels = round(width * wanted) * _EXPANSION
    heads = max(round(width * 512), 4)
    encoder = nn.Sequential(
        *conv_unit(channels, heads, 1),
        *conv_unit(heads, heads),
        *(_Dilated(heads, dilation) for dilation in _DILATIONS),
    )
    return Yolo(nn.Sequential(*layers), encoder, heads, classes, stride)


def _halvings(where: str, stride: int) -> int:
    """Return how often the map is halved."""
    if stride not in _STRIDES:
        raise ConfigError(f"{where}.stride: expected 8, 16 or 32, got {stride}.")
    return int(math.log2(stride))
