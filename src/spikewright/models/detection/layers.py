# SPDX-License-Identifier: Apache-2.0
"""What detectors are built of: a convolution with batch norm and ReLU, and scaled channels."""

import math

from torch import nn

from spikewright.errors import ConfigError

__all__ = ["checked_width", "conv_relu", "conv_unit"]


def conv_unit(
    before: int,
    channels: int,
    size: int = 3,
    stride: int = 1,
    *,
    groups: int = 1,
    dilation: int = 1,
) -> list[nn.Module]:
    """Make a convolution with batch norm that keeps the size of the map but for its stride."""
    padding = dilation * (size // 2)
    conv = nn.Conv2d(
        before, channels, size, stride, padding, dilation=dilation, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(channels)]


def conv_relu(
    before: int,
    channels: int,
    size: int = 3,
    stride: int = 1,
    **options: int,
) -> list[nn.Module]:
    """Make the same with a ReLU behind it; options as above."""
    return [*conv_unit(before, channels, size, stride, **options), nn.ReLU()]


def checked_width(where: str, width: float) -> float:
    """Return a factor on the number of channels.

    Raises:
        ConfigError: If it is not finite, or below 1/64, where one channel is left of 64.
    """
    if not 1 / 64 <= width < math.inf:
        raise ConfigError(
            f"{where}.width: expected at least 1/64 and finite, got {width}. "
            "Give the factor on the number of channels, 1.0 for the paper's."
        )
    return width
