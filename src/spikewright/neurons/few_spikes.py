# SPDX-License-Identifier: Apache-2.0
"""The few-spikes neuron: a threshold and a reset of its own for every step (Stöckl & Maass)."""

from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes import Code, FewSpikes
from spikewright.errors import ConfigError
from spikewright.neurons.base import Accumulating
from spikewright.shapes import Potential, Spikes

__all__ = ["FewSpikesNeuron"]


class FewSpikesNeuron(Accumulating):
    """Trains of the few-spikes code, decided step by step; no growth, no leak.

        s[t] = [v ≥ V_th·θ_t];  v ← v - V_th·h_t·s[t]

    References:
        C. Stöckl, W. Maass, Nature Machine Intelligence 3, 2021, equations 1 and 2.

    Example:
        >>> v, code = torch.tensor([2.5]), FewSpikes(thresholds=(2, 1), resets=(2, 1),
        ...                                          steps_weigh=(4, 1))
        >>> fire = FewSpikesNeuron.fire_
        >>> [float(fire(v, 1.0, code, t, False, torch.empty(1))) for t in (1, 2)]
        [1.0, 0.0]
    """

    name: ClassVar[str] = "few-spikes"
    codes: ClassVar[tuple[type, ...]] = (FewSpikes,)

    @staticmethod
    def fire_(
        v: Potential, threshold: float | Tensor, code: Code, t: int, signed: bool, out: Spikes
    ) -> Spikes:
        """Fire step ``t``; see the class and :class:`Accumulating`.

        Raises:
            ConfigError: If the code is another, or the neurons are ON/OFF pairs.
        """
        if signed or not isinstance(code, FewSpikes):
            raise ConfigError(
                f"few-spikes neuron: expected the few-spikes code and spikes without sign, got "
                f"{code.name}{' with signs' if signed else ''}. Use an encoder."
            )
        torch.ge(v, threshold * code.thresholds[t - 1], out=out)
        reset = threshold * code.resets[t - 1]
        if isinstance(reset, Tensor):
            v.addcmul_(out, reset, value=-1.0)
        else:
            v.sub_(out, alpha=reset)
        return out
