# SPDX-License-Identifier: Apache-2.0
"""The inverse-LIF neuron of SpikeConverter: it grows its potential k-fold at every step.

First it accumulates a whole train without firing, then it fires a whole train without input.
The functions work in place, because memory traffic is all that they cost.
"""

from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.codes.greedy import flat_parts
from spikewright.neurons.base import Accumulating
from spikewright.shapes import Current, Potential, Spikes

__all__ = ["InverseLIF", "accumulate_", "begin_fire_", "fire_"]


class InverseLIF(Accumulating):
    """Greedy trains of base k, the most significant step first: the radix and the switch code."""

    name: ClassVar[str] = "inverse-lif"

    @classmethod
    def emits(cls, code: Code) -> bool:
        """Tell whether a code is greedy; see :class:`Accumulating`."""
        return code.greedy

    @staticmethod
    def fire_(
        v: Potential, threshold: float | Tensor, code: Code, t: int, signed: bool, out: Spikes
    ) -> Spikes:
        """Fire once and inflate what is left; see :func:`fire_`."""
        return fire_(v, threshold * code.k ** (code.steps - 1), code.k, signed=signed, out=out)


def accumulate_(v: Potential, current: Current, k: float) -> Potential:
    """Take in the weighted input of one step.

    v ← k·v + I[t];  after a whole train v = Σ_t I[t] k^(steps - t).

    Args:
        v: Potential, "batch *neuron"; overwritten.
        current: Weighted input of this step, bias included, same shape and unit.
        k: Inflation per step, the k of the incoming code.

    Returns:
        ``v``.

    References:
        F. Liu et al., SpikeConverter, AAAI 2022, inverse-LIF neuron.

    Example:
        >>> accumulate_(torch.tensor([3.0]), torch.tensor([1.0]), 2.0)
        tensor([7.])
    """
    return torch.add(current, v, alpha=k, out=v)


def begin_fire_(v: Potential, pre_bias: float | Tensor, signed: bool = False) -> Potential:
    """Add a pre-bias between accumulating and firing; half a unit turns floor into rounding.

    v ← v + b;  signed: v ← v + sign(v)·b with sign(0) = 0, so a zero potential stays silent.

    Args:
        v: Potential after accumulating, "batch *neuron"; overwritten.
        pre_bias: b in the unit of ``v``, 0 ≤ b < one unit of the code, scalar or broadcastable.
        signed: Whether the neurons are ON/OFF pairs written as one signed potential. The pair's
            potentials are v + b and -v + b; whichever is smaller stays below one unit and silent.

    Returns:
        ``v``.

    Example:
        >>> begin_fire_(torch.tensor([3.0, -3.0, 0.0]), 0.5, signed=True)
        tensor([ 3.5000, -3.5000,  0.0000])
    """
    if not signed:
        return v.add_(pre_bias)
    if isinstance(pre_bias, Tensor):
        return v.addcmul_(v.sign(), pre_bias)
    for part in flat_parts(v):
        part.add_(part.sign(), alpha=pre_bias)
    return v


def fire_(
    v: Potential,
    threshold: float | Tensor,
    k: float,
    signed: bool = False,
    out: Spikes | None = None,
) -> Spikes:
    """Fire once and inflate what is left; run for every step of the code without input between.

    s[t] = [v ≥ θ], signed: [v ≥ θ] - [v ≤ -θ];  v ← k·(v - θ·s[t]).

    Ties fire. After all steps v = k^steps·(v_acc - V_th·n) with n = Σ_t s[t] k^(steps - t).

    Args:
        v: Potential, "batch *neuron"; overwritten.
        threshold: θ = V_th·k^(steps - 1) > 0 in the unit of ``v``, scalar or broadcastable.
        k: Inflation per step, the k of the outgoing code.
        signed: Whether the neurons are ON/OFF pairs written as one signed potential.
        out: Memory for the spikes, shape and type of ``v``; None takes new memory, which costs
            more than the arithmetic.

    Returns:
        Spikes in {0, 1}, or {-1, 0, 1} if signed, shape and type of ``v``; it is ``out`` if given.

    References:
        F. Liu et al., SpikeConverter, AAAI 2022, soft reset and temporal separation.
        The signed pair is not in the paper.

    Example:
        >>> v = torch.tensor([5.0, 4.0, 1.0])
        >>> fire_(v, 4.0, 2.0), v
        (tensor([1., 1., 0.]), tensor([2., 0., 2.]))
    """
    spikes = torch.empty_like(v) if out is None else out
    torch.ge(v, threshold, out=spikes)
    if signed:
        # Comparisons written as numbers are several times faster than through booleans.
        spikes.sub_(torch.le(v, -threshold, out=torch.empty_like(v)))
    if isinstance(threshold, Tensor):
        v.addcmul_(spikes, threshold, value=-1.0)
    else:
        v.sub_(spikes, alpha=threshold)
    v.mul_(k)
    return spikes
