# SPDX-License-Identifier: Apache-2.0
"""Random changes of training images, a whole batch at a time.

All are drawn from torch's global random numbers, so that one seed decides on them.
"""

import torch
from torch import Tensor

__all__ = ["augmented", "cutout", "mirrored"]


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Mirror some images, left to right.

    Args:
        images: "batch channel height width", any type.
        which: Those to mirror, "batch", bool.
    """
    return torch.where(which.view(-1, 1, 1, 1), images.flip(3), images)


def augmented(images: Tensor) -> Tensor:
    """Cut a random window out of every padded image, and mirror every other one, at random.

    The padding is black (0), an eighth of the side but at least 1 pixel: 4 pixels for 32, as in
    the published codes for CIFAR.

    Args:
        images: "batch channel height width", any type.

    Returns:
        The same shape and type.
    """
    count, _, height, width = images.shape
    down, right = max(1, height // 8), max(1, width // 8)
    padded = torch.nn.functional.pad(images, (right, right, down, down))
    top = torch.randint(2 * down + 1, (count, 1))
    left = torch.randint(2 * right + 1, (count, 1))
    mirrored = torch.rand(count, 1) < 0.5
    ahead = torch.arange(width)
    rows = top + torch.arange(height)
    columns = left + torch.where(mirrored, ahead.flip(0), ahead)
    last = padded.permute(0, 2, 3, 1).contiguous()
    cut = last[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def cutout(x: Tensor) -> Tensor:
    """Set a square of half the side to 0 in every input, its centre anywhere in the image.

    Args:
        x: "batch channel height width", normalised; changed in place.

    Returns:
        ``x``.

    References:
        T. DeVries, G. W. Taylor, Improved regularization of convolutional neural networks with
        cutout, 2017: holes may lie partly outside; 16 pixels for CIFAR-10.
    """
    count, _, height, width = x.shape
    half = max(1, min(height, width) // 4)
    y0, x0 = torch.randint(height, (count, 1)), torch.randint(width, (count, 1))
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= y0 - half) & (rows < y0 + half)
    in_columns = (columns >= x0 - half) & (columns < x0 + half)
    hole = in_rows[:, :, None] & in_columns[:, None, :]
    return x.masked_fill_(hole[:, None], 0.0)
