# SPDX-License-Identifier: Apache-2.0
"""Temporal-switch code: a value is how long a synapse stays switched on (Han & Roy, ECCV 2020).

Two events travel, "on" and "off"; in every step between them the receiver adds its weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.tally import SumTally, Tally
from spikewright.codes.uniform import UniformCode
from spikewright.shapes import Decoded, Train

__all__ = ["Switch"]


@dataclass(frozen=True, kw_only=True)
class Switch(UniformCode):
    """Value n in 0..T as one run of n steps from the start of the train; see `UniformCode`.

    The symbols of a train say whether the switch is on in a step; on the wire there are only its
    changes, so a value other than zero costs two events whatever its size. A soft-reset neuron
    that has its whole input before it fires emits exactly this train: it fires while v ≥ θ.

    References:
        B. Han, K. Roy, Deep Spiking Neural Network: Energy Efficiency Through Time based Coding,
        ECCV 2020. That the run starts with the train is our reading; the paper may place it
        elsewhere, which changes neither its length nor its two events.

    Example:
        >>> code = Switch(T=4)
        >>> code.encode(torch.tensor([2.7])).T.tolist()
        [[1.0, 1.0, 0.0, 0.0]]
        >>> code.count(torch.tensor([2.0, 0.0])).tolist()
        [2, 0]
    """

    name: ClassVar[str] = "switch"
    greedy: ClassVar[bool] = True
    holds: ClassVar[bool] = True

    def encode(self, target: Decoded, signed: bool = False) -> Train:
        """Write numbers as runs: s[t] = (t ≤ clip(floor(target), 0, T)).

        Args:
            target: Numbers in units, any shape, float32 or float64, no NaN.
            signed: Write sign(target) times the run of the magnitude; else negative is silent.

        Returns:
            Train, "steps *target", symbols {0, 1} or {-1, 0, 1}.

        Raises:
            ConfigError: If the type is another.
        """
        n = self._counts(target, signed)
        train = torch.stack([(n >= t).to(n.dtype) for t in range(1, self.T + 1)])
        return train.mul_(target.sign()) if signed else train

    def count(self, n: Tensor, signed: bool = True) -> Tensor:
        """Return the events of each value: 2 where n ≠ 0 ("on" and "off"), "*n", uint8."""
        return n.bool().view(torch.uint8).mul_(2)

    def tally(self, signed: bool = True, alike: Sequence[Tensor] | None = None) -> Tally:
        """Return a counter of events that has seen nothing yet; see `Code.tally`."""
        return SumTally(lambda n: n.bool().view(torch.uint8), worth=2)

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Return how long the switch was on in the first ``t`` steps: clip(n, -t, t)."""
        self.check_step(t)
        return n.clamp(-t, t)
