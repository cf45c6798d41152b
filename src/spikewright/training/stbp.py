# SPDX-License-Identifier: Apache-2.0
"""Directly trained spiking networks (STBP): leaky neurons, a surrogate gradient, time unrolled.

Time is folded into the batch, "(time batch)": layers without state see one large batch (batch norm
takes its statistics over time, too), neurons step through it.
"""

from typing import Any

import torch
from torch import Tensor

from spikewright.training.activations import SiteActivation
from spikewright.training.network import TrainableNetwork

__all__ = ["LEAK", "LIF", "TimeFolded"]

LEAK = 0.5
"""τ, the share of the potential that is left after a step. The paper has 0.2 to 0.5; ours."""


class LIF(SiteActivation):
    """v ← τ·v·(1 - s') + I;  s = [v ≥ θ], over a train "(time batch) *neuron".

    Backwards the step counts as one of slope 1 in |v - θ| < ½, also through the reset.

    Args:
        steps: T.
        leak: τ.

    References:
        Y. Wu, L. Deng, G. Li, J. Zhu, L. Shi, Spatio-temporal backpropagation for training
        high-performance spiking neural networks, Frontiers in Neuroscience 2018: equations 9 to
        12, rectangular surrogate h_1 of width 1.

    Example:
        >>> LIF(3)(torch.tensor([0.75, 0.75, 0.75])[:, None]).T.tolist()
        [[0.0, 1.0, 0.0]]
    """

    name = "stbp"

    def __init__(self, steps: int, leak: float = LEAK) -> None:
        super().__init__(1.0)
        self.steps, self.leak = steps, leak

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes for a train of currents, same shape."""
        v: Tensor | None = None
        spikes: list[Tensor] = []
        for current in x.view(self.steps, -1, *x.shape[1:]):
            v = current if v is None else self.leak * v * (1.0 - spikes[-1]) + current
            spikes.append(_Spike.apply(v - self.cap))  # type: ignore[no-untyped-call]
        return torch.cat(spikes)

    def extra_repr(self) -> str:
        """Return the settings for ``print(module)``."""
        return f"steps={self.steps}, leak={self.leak}"


class _Spike(torch.autograd.Function):
    """[x ≥ 0]; backwards the derivative of a ramp from -½ to ½."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - autograd's context
        ctx.save_for_backward(x.abs() < 0.5)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401 - autograd's context
        (near,) = ctx.saved_tensors
        result: Tensor = grad * near
        return result


class TimeFolded(TrainableNetwork):
    """A network that is shown a constant input for T steps and answers with its mean output."""

    def forward(self, x: Tensor) -> Any:  # noqa: ANN401 - what the original returns
        """Run the network on a batch, "batch *feature"; several outputs come as a tuple."""
        T = int(self.settings["levels"])
        found = super().forward(x.repeat(T, *[1] * (x.ndim - 1)))
        outputs = found if isinstance(found, tuple) else (found,)
        means = tuple(o.view(T, -1, *o.shape[1:]).mean(0) for o in outputs)
        return means if isinstance(found, tuple) else means[0]
