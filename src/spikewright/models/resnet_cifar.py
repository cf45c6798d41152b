# SPDX-License-Identifier: Apache-2.0
"""ResNet for 32 x 32 images, in the two forms in which conversion papers report CIFAR results.

`CifarResNet`: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2:
6n+2 layers, three stages of n blocks, shortcuts without parameters (option A). The parameter names
are those of the widely used public weights (``conv1``, ``layerL.B.conv1``, ``linear``), so that
these load as they are.

`WideCifarResNet`: the "ResNet-20" of the conversion papers' tables, forty times as large: N. Rathi
et al., "Enabling deep spiking neural networks with hybrid conversion and spike timing dependent
backpropagation", ICLR 2020, and with them RMP-SNN (Han et al., 2020) and those that quote its rows.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CifarResNet", "WideCifarResNet", "resnet20", "resnet20_wide", "resnet56"]


class _Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut around them."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shrinks = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        """Option A: every other pixel, and as many zero channels before the old ones as after."""
        if not self.shrinks:
            return x
        extra = self.conv2.out_channels // 4
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra))


class CifarResNet(nn.Module):
    """ResNet of 6n+2 layers for images of 3 channels and about 32 x 32 pixels.

    Args:
        blocks: n, the number of blocks in each of the three stages of 16, 32 and 64 channels.
        classes: Number of outputs.
    """

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images "batch 3 height width" to scores "batch class"."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Block(in_channels, channels, stride)
    return nn.Sequential(first, *(_Block(channels, channels, 1) for _ in range(blocks - 1)))


def resnet20(classes: int = 10) -> CifarResNet:
    """Build ResNet-20 (n = 3) with random weights.

    Example:
        >>> sum(p.numel() for p in resnet20().parameters())
        269722
    """
    return CifarResNet(3, classes)


def resnet56(classes: int = 10) -> CifarResNet:
    """Build ResNet-56 (n = 9) with random weights.

    Example:
        >>> sum(p.numel() for p in resnet56().parameters())
        853018
    """
    return CifarResNet(9, classes)


class _WideBlock(nn.Module):
    """Two 3 x 3 convolutions, and a 1 x 1 convolution around them where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int, batch_norm: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(in_channels, channels, 3, stride, batch_norm),
            nn.ReLU(),
            *_convolution(channels, channels, 3, 1, batch_norm),
        )
        changes = stride != 1 or in_channels != channels
        self.identity = nn.Sequential(
            *(_convolution(in_channels, channels, 1, stride, batch_norm) if changes else ())
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.identity(x))


class WideCifarResNet(nn.Module):
    """ResNet-20 of the conversion papers, for images of 3 channels and 32 x 32 pixels.

    Three 3 x 3 convolutions of 64 channels and an average pool of 2 x 2 stand in for the stem; then
    come four stages of two basic blocks with 64, 128, 256 and 512 channels, of which the last three
    begin with stride 2; the classifier reads all 2 x 2 x 512 values. 3 + 16 + 1 = 20 weighted
    layers, not counting the three 1 x 1 convolutions of shortcuts.

    Args:
        classes: Number of outputs.
        batch_norm: Whether every convolution has one. The papers' networks have none and are
            trained with dropout instead; ours have, because they fold into the weights, so that
            the converted network is of the same form.
    """

    def __init__(self, classes: int = 10, *, batch_norm: bool = True) -> None:
        super().__init__()
        stem: list[nn.Module] = []
        for before in (3, 64, 64):
            stem += [*_convolution(before, 64, 3, 1, batch_norm), nn.ReLU()]
        self.stem = nn.Sequential(*stem, nn.AvgPool2d(2))
        stages, before = list[nn.Module](), 64
        for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            stages.append(_WideBlock(before, channels, stride, batch_norm))
            stages.append(_WideBlock(channels, channels, 1, batch_norm))
            before = channels
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(512 * 2 * 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images "batch 3 32 32" to scores "batch class"."""
        scores: Tensor = self.classifier(self.blocks(self.stem(x)).flatten(1))
        return scores


def _convolution(
    in_channels: int, channels: int, size: int, stride: int, batch_norm: bool
) -> Sequence[nn.Module]:
    """A convolution that keeps the size of the map but for its stride, without bias."""
    conv = nn.Conv2d(in_channels, channels, size, stride, padding=size // 2, bias=False)
    return (conv, nn.BatchNorm2d(channels)) if batch_norm else (conv,)


def resnet20_wide(classes: int = 10) -> WideCifarResNet:
    """Build the conversion papers' ResNet-20, with batch norm and random weights.

    Example:
        >>> sum(p.numel() for p in resnet20_wide().parameters())
        11263306
    """
    return WideCifarResNet(classes)
