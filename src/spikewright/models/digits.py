# SPDX-License-Identifier: Apache-2.0
"""The network that the demo trains in seconds: every kind of layer a conversion must take."""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DigitsCNN", "digits_cnn"]


class DigitsCNN(nn.Module):
    """Convolutions with batch norm, one residual block and two max pools, for "batch 1 8 8"."""

    def __init__(self, width: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = _conv(1, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.block_conv1 = _conv(width, width)
        self.block_bn1 = nn.BatchNorm2d(width)
        self.block_conv2 = _conv(width, width)
        self.block_bn2 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = _conv(width, 2 * width)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.linear = nn.Linear(2 * width * 2 * 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map scans "batch 1 8 8" to scores "batch class"."""
        x = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.block_bn1(self.block_conv1(x)))
        x = F.relu(x + self.block_bn2(self.block_conv2(y)))
        x = self.pool(x)
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        scores: Tensor = self.linear(x.flatten(1))
        return scores


def _conv(in_channels: int, channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)


def digits_cnn() -> DigitsCNN:
    """Build the digits network with random weights.

    Example:
        >>> sum(p.numel() for p in digits_cnn().parameters())
        31006
    """
    return DigitsCNN()
