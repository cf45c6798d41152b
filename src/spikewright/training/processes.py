# SPDX-License-Identifier: Apache-2.0
"""Training in several processes at once; in one process every function here changes nothing.

Every sum is taken over all processes, never a mean of means, so that the result is that of one
process up to the order in which numbers are added.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from spikewright.calibration import Statistics
from spikewright.errors import CalibrationError
from spikewright.processes import count as count
from spikewright.processes import joined as joined
from spikewright.processes import rank as rank
from spikewright.processes import share as share
from spikewright.processes import total as total

__all__ = [
    "add_gradients",
    "batch_norm",
    "broadcast",
    "count",
    "joined",
    "merge_over_processes",
    "rank",
    "share",
    "total",
]


def broadcast(network: nn.Module) -> None:
    """Give every process the weights of the first one."""
    if count() > 1:
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, 0)


def add_gradients(network: nn.Module) -> None:
    """Replace every gradient by its sum over all processes."""
    if count() == 1:
        return
    for parameter in network.parameters():
        if parameter.grad is not None:  # none on any process: the graph does not read it
            gradient = parameter.grad.contiguous()
            dist.all_reduce(gradient)
            parameter.grad.copy_(gradient)


def merge_over_processes(statistics: Statistics | None) -> Statistics:
    """Add up what every process has seen, exactly.

    Args:
        statistics: This process's own, None if it got no data. Changed.

    Returns:
        The same statistics on all processes: those of one process that has seen everything, to
        the last bit.

    Raises:
        CalibrationError: If no process has seen anything, or the sites differ.
    """
    parts: list[Any] = [None if statistics is None else statistics.to_tensors()]
    if count() > 1:
        parts = [None] * count()
        dist.all_gather_object(parts, None if statistics is None else statistics.to_tensors())
    seen = [Statistics.from_tensors(part) for part in parts if part is not None]
    if not seen:
        raise CalibrationError(
            "calibration: expected at least one batch, got none. An iterator can be read only "
            "once; pass a list or a DataLoader."
        )
    for other in seen[1:]:
        seen[0].merge(other)
    return seen[0]


def batch_norm(
    x: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise by the statistics of the batches of all processes, and follow them.

    The mean comes first and then the mean square about it, which is exact where Σx² - (Σx)²/n
    would cancel.

    Args:
        x: This process's part, "batch channel *space"; may be empty.
        mean: Running mean, "channel", changed; None for none.
        var: Running (unbiased) variance, "channel", changed; None for none.
        weight: Gain, "channel".
        bias: Shift, "channel".
        momentum: Weight of this batch in the running statistics.
        eps: Added to the variance.

    Returns:
        The same shape and type as ``x``.
    """
    axes = [0, *range(2, x.ndim)]
    wide = x if x.dtype == torch.float64 else x.float()
    view = (1, -1, *(1 for _ in axes[1:]))
    number = float(total(torch.tensor(float(x.numel() // x.shape[1]), dtype=torch.float64)))
    centre: Tensor = _Sum.apply(wide.sum(axes)) / number  # type: ignore[no-untyped-call]
    moved = wide - centre.view(view)
    spread: Tensor = _Sum.apply((moved * moved).sum(axes)) / number  # type: ignore[no-untyped-call]
    if mean is not None and var is not None:
        with torch.no_grad():
            mean.lerp_(centre.to(mean.dtype), momentum)
            unbiased = spread * (number / max(number - 1.0, 1.0))
            var.lerp_(unbiased.to(var.dtype), momentum)
    y = moved * torch.rsqrt(spread + eps).view(view)
    if weight is not None:
        y = y * weight.view(view)
    if bias is not None:
        y = y + bias.view(view)
    return y.to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; the gradient of every part is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:  # noqa: ANN401 - autograd's context
        return total(part)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401 - as above
        return total(grad.contiguous())
