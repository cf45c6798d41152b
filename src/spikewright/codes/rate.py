# SPDX-License-Identifier: Apache-2.0
"""Rate code: a value is how many spikes were sent, whenever they were.

Hard reset, soft reset and burst neurons all emit it; bursts are symbols above one.
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.uniform import UniformCode
from spikewright.shapes import Decoded, Train

__all__ = ["Rate"]


@dataclass(frozen=True, kw_only=True)
class Rate(UniformCode):
    """Count code of T steps; see :class:`UniformCode`.

    ``encode`` spreads the spikes as a soft-reset neuron does under a constant current; trains that
    neurons emit on other currents have the same count at other times.

    Example:
        >>> code = Rate(T=4)
        >>> code.encode(torch.tensor([2.0, 9.0])).T.tolist()
        [[0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """

    name: ClassVar[str] = "rate"

    def encode(self, target: Decoded, signed: bool = False) -> Train:
        """Write numbers as evenly spread trains: s[t] = floor(t·n/T) - floor((t - 1)·n/T).

        Args:
            target: Numbers in units, any shape, float32 or float64, no NaN; clipped to [0, T] and
                floored (signed: sign(target) times the train of the magnitude).
            signed: Whether negative numbers are written with negative spikes; else they are silent.

        Returns:
            Train, "steps *target", symbols {0, 1} or {-1, 0, 1}.

        Raises:
            ConfigError: If the type is another.
        """
        n = self._counts(target, signed).double()
        sent = [torch.floor(n * t / self.T) for t in range(self.T + 1)]
        train = torch.stack([b - a for a, b in itertools.pairwise(sent)]).to(target.dtype)
        return train.mul_(target.sign()) if signed else train

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Return what the first ``t`` steps of the evenly spread train carry: trunc(t·n/T)."""
        self.check_step(t)
        return torch.trunc(n.double() * t / self.T).to(n.dtype)
