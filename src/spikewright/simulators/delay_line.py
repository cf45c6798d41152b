# SPDX-License-Identifier: Apache-2.0
"""A delay line: the train so far in one register, from which its symbols can be read again.

Greedy trains are numbers of base ``pool_base``, most significant symbol first, so the register
takes a symbol in and gives it out as a neuron does. Of other codes it holds the value of the train
and asks the code for each symbol.
"""

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.neurons.inverse_lif import accumulate_, fire_
from spikewright.neurons.max_gate import register_type

__all__ = ["hold_", "replay_"]


def hold_(register: Tensor | None, spikes: Tensor, code: Code, step: int) -> Tensor:
    """Take in a symbol.

    Args:
        register: What it holds, overwritten; None before the first step.
        spikes: The symbols of this step, "batch *neuron". Not changed.
        code: The code of the train.
        step: Step, from 1.

    Returns:
        The register.
    """
    if register is None:
        if not code.greedy:
            return spikes * code.weights[0]
        return spikes.to(register_type(code.steps, spikes.dtype, code.pool_base), copy=True)
    if code.greedy:
        return accumulate_(register, spikes, code.pool_base)
    return register.add_(spikes, alpha=code.weights[step - 1])


def replay_(register: Tensor, code: Code, step: int, signed: bool, out: Tensor) -> Tensor:
    """Give out a symbol.

    Args:
        register: What is held; overwritten if the code is greedy.
        code: The code of the train.
        step: Step, from 1; all of them in order.
        signed: Whether spikes carry signs.
        out: Memory for the symbols, of the register's shape.

    Returns:
        ``out``.
    """
    if code.greedy:
        base = code.pool_base
        return fire_(register, base ** (code.steps - 1), base, signed=signed, out=out)
    torch.sub(code.prefix(register, step), code.prefix(register, step - 1), out=out)
    return out.div_(code.weights[step - 1])
