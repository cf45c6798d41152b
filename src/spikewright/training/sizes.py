# SPDX-License-Identifier: Apache-2.0
"""Training at several input sizes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import ConfigError

__all__ = ["check_sizes", "resized"]


def check_sizes(where: str, sizes: tuple[int, ...]) -> None:
    """Refuse sides of inputs that are none.

    Raises:
        ConfigError: If one is not a whole number above 0.
    """
    if any(type(s) is not int or s < 1 for s in sizes):
        raise ConfigError(f"{where}.sizes: expected sides in whole pixels, got {sizes!r}.")


def resized(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Resize images to squares of one of some sides, drawn from torch's global random numbers.

    Args:
        x: "batch channel height width".
        sizes: Sides in pixels; without any the images stay.
    """
    if not sizes or not len(x):
        return x
    side = sizes[int(torch.randint(len(sizes), ()))]
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
