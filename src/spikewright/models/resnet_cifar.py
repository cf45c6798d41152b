# SPDX-License-Identifier: Apache-2.0
"""ResNet for 32 x 32 images, the form in which CIFAR-10 results of conversion papers are reported.

K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: 6n+2 layers,
three stages of n blocks, shortcuts without parameters (option A). The parameter names are those of
the widely used public weights (``conv1``, ``layerL.B.conv1``, ``linear``), so that these load as
they are.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CifarResNet", "resnet20", "resnet56"]


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
