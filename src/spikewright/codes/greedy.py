# SPDX-License-Identifier: Apache-2.0
"""The greedy rule on plain numbers: fire where the residual holds the weight, then subtract it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from spikewright.errors import ConfigError

__all__ = ["check_type", "flat_parts", "greedy_levels", "greedy_residual"]

_CHUNK = 1 << 16  # elements that one part holds: temporaries stay small and in the cache


def greedy_residual(target: Tensor, weights: Sequence[float]) -> Tensor:
    """Return what the greedy rule leaves of non-negative targets.

    r ← r - w_j·[r ≥ w_j] for every weight in turn, r = target at the start.

    Args:
        target: Numbers ≥ 0 in units, any shape. Not changed.
        weights: Weights of the steps, largest first.

    Returns:
        A new tensor like ``target``.

    Example:
        >>> greedy_residual(torch.tensor([5.75, 0.5]), (4.0, 2.0, 1.0))
        tensor([0.7500, 0.5000])
    """
    residual = target.clone()
    spikes = torch.empty_like(target)
    for weight in weights:
        torch.ge(residual, weight, out=spikes)
        residual.sub_(spikes, alpha=weight)
    return residual


def greedy_levels(weights: Sequence[float], limit: int) -> tuple[float, ...] | None:
    """List the sums of weights that the greedy rule can fire.

    Args:
        weights: Weights of the steps, largest first.
        limit: Largest number of sums wanted.

    Returns:
        All sums in ascending order, None if there are more than ``limit``.
    """
    levels = [0.0]
    for weight in reversed(weights):
        # A silent step leaves less than its weight, a spike leaves anything that follows.
        levels = [n for n in levels if n < weight] + [weight + n for n in levels]
        if len(levels) > limit:
            return None
    return tuple(levels)


def flat_parts(values: Tensor) -> Iterator[Tensor]:
    """Cut a tensor into flat views in memory order; a small one, or one with gaps, stays whole.

    Args:
        values: Any shape and memory order.

    Yields:
        Views that cover ``values``, for element-wise work in place.
    """
    if values.numel() <= 2 * _CHUNK:  # to make views of it would cost more than it saves
        yield values
        return
    order = sorted(range(values.ndim), key=values.stride, reverse=True)
    dense = values if values.is_contiguous() else values.permute(order)
    if dense.is_contiguous():
        yield from torch.split(dense.view(-1), _CHUNK)
    else:
        yield values


def check_type(values: Tensor) -> None:
    """Refuse number types that do not hold a code's values exactly.

    Args:
        values: Any tensor.

    Raises:
        ConfigError: If it is neither float32 nor float64.
    """
    if values.dtype not in (torch.float32, torch.float64):
        raise ConfigError(
            f"code: expected float32 or float64, got {values.dtype}. "
            "Convert the tensor; narrower types do not hold the values exactly."
        )
