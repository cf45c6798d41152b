# SPDX-License-Identifier: Apache-2.0
"""YOLOv8n with ReLU in place of SiLU, written after its published description.

Layers are numbered as in Ultralytics' yolov8.yaml and parameters are named as there, so that a
checkpoint of a YOLOv8n trained with ``activation: nn.ReLU()`` has the same state dict.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from spikewright.errors import ConfigError
from spikewright.models.detection.layers import conv_relu

__all__ = ["YOLOv8", "yolov8n_relu"]

_BINS = 16
_STRIDES = (8, 16, 32)
_EPS, _MOMENTUM = 1e-3, 0.03  # of batch norms


class _Conv(nn.Module):
    """A convolution with batch norm and ReLU."""

    def __init__(self, before: int, channels: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.bn, self.act = conv_relu(before, channels, size, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(self.bn(self.conv(x)))
        return activated


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1, self.cv2 = _Conv(channels, channels, 3), _Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class _C2f(nn.Module):
    """Half of the channels pass a row of blocks; everything on the way is joined."""

    def __init__(self, before: int, channels: int, blocks: int, *, shortcut: bool) -> None:
        super().__init__()
        half = channels // 2
        self.cv1 = _Conv(before, 2 * half)
        self.cv2 = _Conv((2 + blocks) * half, channels)
        self.m = nn.ModuleList(_Bottleneck(half, shortcut) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        joined: Tensor = self.cv2(torch.cat(parts, 1))
        return joined


class _SPPF(nn.Module):
    """Three max pools of 5 x 5, one behind the other, joined with what enters them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = _Conv(channels, channels // 2)
        self.cv2 = _Conv(channels * 2, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(self.m(parts[-1]))
        joined: Tensor = self.cv2(torch.cat(parts, 1))
        return joined


class _Expectation(nn.Module):
    """The mean of a distribution over the bins 0 .. 15, as a convolution with fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(_BINS, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.copy_(torch.arange(float(_BINS)).view(1, _BINS, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, anchors = x.shape
        shares = x.view(batch, 4, _BINS, anchors).transpose(2, 1).softmax(1)
        mean: Tensor = self.conv(shares).view(batch, 4, anchors)
        return mean


class _Detect(nn.Module):
    """Two heads at each of three levels."""

    def __init__(self, classes: int, channels: tuple[int, ...], decode: bool) -> None:
        super().__init__()
        self.decode = decode
        boxes = max(16, channels[0] // 4, 4 * _BINS)
        scores = max(channels[0], min(classes, 100))
        self.cv2 = nn.ModuleList(_head(c, boxes, 4 * _BINS) for c in channels)
        self.cv3 = nn.ModuleList(_head(c, scores, classes) for c in channels)
        self.dfl = _Expectation()

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        maps = [head[i](x) for i, x in enumerate(levels) for head in (self.cv2, self.cv3)]
        if not self.decode:
            return tuple(maps)
        boxes = torch.cat([m.flatten(2) for m in maps[::2]], 2)
        scores = torch.cat([m.flatten(2) for m in maps[1::2]], 2)
        centres, strides = _anchors(maps[::2])
        left_top, right_bottom = self.dfl(boxes).chunk(2, 1)
        corners = torch.cat((centres - left_top, centres + right_bottom), 1)
        return corners * strides, scores.sigmoid()


def _head(before: int, middle: int, after: int) -> nn.Sequential:
    last = nn.Conv2d(middle, after, 1)
    return nn.Sequential(_Conv(before, middle, 3), _Conv(middle, middle, 3), last)


def _anchors(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the cells' centres "2 anchor", in cells, and their strides "1 anchor", in pixels."""
    centres, strides = [], []
    for level, stride in zip(maps, _STRIDES, strict=True):
        rows, columns = (
            torch.arange(n, dtype=level.dtype, device=level.device) + 0.5 for n in level.shape[2:]
        )
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres.append(torch.stack((x.flatten(), y.flatten())))
        strides.append(torch.full_like(x.flatten(), stride)[None])
    return torch.cat(centres, 1), torch.cat(strides, 1)


class YOLOv8(nn.Module):
    """YOLOv8 of the smallest size, with ReLU.

    Args:
        classes: Number of kinds of objects.
        decode: Whether boxes and scores come out, or the raw maps.

    Raises:
        ConfigError: If there is no class.
    """

    outputs: ClassVar[tuple[str, ...]] = tuple(
        f"{kind}_{stride}" for stride in _STRIDES for kind in ("boxes", "classes")
    )

    def __init__(self, classes: int = 80, *, decode: bool = False) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError(f"YOLOv8.classes: expected at least 1, got {classes}.")
        self.model = nn.ModuleList(
            (
                _Conv(3, 16, 3, 2),
                _Conv(16, 32, 3, 2),
                _C2f(32, 32, 1, shortcut=True),
                _Conv(32, 64, 3, 2),
                _C2f(64, 64, 2, shortcut=True),
                _Conv(64, 128, 3, 2),
                _C2f(128, 128, 2, shortcut=True),
                _Conv(128, 256, 3, 2),
                _C2f(256, 256, 1, shortcut=True),
                _SPPF(256),
                nn.Upsample(scale_factor=2),
                nn.Identity(),  # joins 10 and 6
                _C2f(384, 128, 1, shortcut=False),
                nn.Upsample(scale_factor=2),
                nn.Identity(),  # joins 13 and 4
                _C2f(192, 64, 1, shortcut=False),
                _Conv(64, 64, 3, 2),
                nn.Identity(),  # joins 16 and 12
                _C2f(192, 128, 1, shortcut=False),
                _Conv(128, 128, 3, 2),
                nn.Identity(),  # joins 19 and 9
                _C2f(384, 256, 1, shortcut=False),
                _Detect(classes, (64, 128, 256), decode),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = _EPS, _MOMENTUM

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images "batch 3 height width", RGB in 0..1, to what was found.

        Height and width are multiples of 32.

        Returns:
            Raw: of strides 8, 16 and 32, the boxes' distributions "batch 64 h w" (16 bins each of
            the distances, in cells, from the cell's centre to left, top, right, bottom) and classes
            "batch class h w". Decoded: boxes "batch 4 anchor" (left, top, right, bottom in pixels)
            and scores "batch class anchor" in 0..1.
        """
        kept: dict[int, Tensor] = {}
        joined = {11: 6, 14: 4, 17: 12, 20: 9}
        for number, layer in enumerate(self.model[:-1]):
            x = torch.cat((x, kept[joined[number]]), 1) if number in joined else layer(x)
            kept[number] = x
        found: tuple[Tensor, ...] = self.model[-1]([kept[i] for i in (15, 18, 21)])
        return found


def yolov8n_relu(classes: int = 80, *, decode: bool = False) -> YOLOv8:
    """Build YOLOv8n with ReLU and random weights.

    Example:
        >>> sum(p.numel() for p in yolov8n_relu().parameters())
        3157200
    """
    return YOLOv8(classes, decode=decode)
