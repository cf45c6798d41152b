# SPDX-License-Identifier: Apache-2.0
"""The neuron of the signed radix code: two comparators, spikes of either sign, doubling."""

from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes import Code, SignedRadix
from spikewright.neurons.base import Accumulating
from spikewright.neurons.encoder import Encoder
from spikewright.shapes import Potential, Spikes

__all__ = ["TwoThresholds"]


class TwoThresholds(Accumulating):
    """Trains of the signed radix code, decided step by step.

        s[t] = [v ≥ θ·rise_t·2^(t-1)] - [v < θ·fall_t·2^(t-1)];  v ← 2·(v - θ·2^(T-1)·s[t])

    Before the first step a potential below zero is set to zero, one above S·θ to S·θ. Populations
    whose values have signs round before they fire, and send the train of the magnitude with their
    sign; an :class:`Encoder` does that.

    Example:
        >>> v, code = torch.tensor([7.9]), SignedRadix(T=4)
        >>> [float(TwoThresholds.fire_(v, 1.0, code, t, False, torch.empty(1))) for t in (1, 2)]
        [1.0, 0.0]
    """

    name: ClassVar[str] = "two-thresholds"
    codes: ClassVar[tuple[type, ...]] = (SignedRadix,)
    comparators: ClassVar[int] = 2

    @staticmethod
    def fire_(
        v: Potential, threshold: float | Tensor, code: Code, t: int, signed: bool, out: Spikes
    ) -> Spikes:
        """Fire step ``t``; see the class and :class:`Accumulating`."""
        if signed or not isinstance(code, SignedRadix):
            return Encoder.fire_(v, threshold, code, t, signed, out)
        if t == 1:
            top = threshold * code.max_value
            v.clamp_(min=0.0)
            v.copy_(torch.minimum(v, torch.as_tensor(top, dtype=v.dtype, device=v.device)))
        rise, fall = (threshold * (edge * 2.0 ** (t - 1)) for edge in code.thresholds[t - 1])
        torch.ge(v, rise, out=out)
        out.sub_(torch.lt(v, fall, out=torch.empty_like(v)))
        return _reset(v, out, threshold * code.weights[0])


def _reset(v: Potential, out: Spikes, step: float | Tensor) -> Spikes:
    """Take what was fired off the potential and double the rest."""
    if isinstance(step, Tensor):
        v.addcmul_(out, step, value=-1.0)
    else:
        v.sub_(out, alpha=step)
    v.mul_(2.0)
    return out
