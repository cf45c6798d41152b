# SPDX-License-Identifier: Apache-2.0
"""The encoder neuron: it writes its potential as a train of any code, symbol by symbol."""

from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.neurons.base import Accumulating
from spikewright.shapes import Potential, Spikes

__all__ = ["Encoder"]


class Encoder(Accumulating):
    """Trains of every code, also of those that no inverse-LIF neuron emits.

    When it has its whole input it rounds its potential to a value of the code and keeps that in
    place of the potential; in every step it sends what the code's train has there.

    Example:
        >>> from spikewright.codes import Rate
        >>> v, code = torch.tensor([2.6]), Rate(T=4)
        >>> [float(Encoder.fire_(v, 1.0, code, t, False, torch.empty(1))) for t in (1, 2, 3, 4)]
        [0.0, 1.0, 0.0, 1.0]
    """

    name: ClassVar[str] = "encoder"

    @staticmethod
    def fire_(
        v: Potential, threshold: float | Tensor, code: Code, t: int, signed: bool, out: Spikes
    ) -> Spikes:
        """Send symbol ``t``: what the first t steps of the train carry beyond the first t − 1."""
        if t == 1:
            code.quantise_(v.div_(threshold), signed=signed)
        torch.sub(code.prefix(v, t), code.prefix(v, t - 1), out=out)
        return out.div_(code.weights[t - 1])
