# SPDX-License-Identifier: Apache-2.0
"""Wake-sleep code: a value is spikes sent minus spikes taken back, while awake and asleep."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.greedy import check_type
from spikewright.codes.uniform import UniformCode
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded, Train

__all__ = ["WakeSleep"]


@dataclass(frozen=True, kw_only=True)
class WakeSleep(UniformCode):
    """T awake steps and ``sleep`` more in which the input is off: n = Σ_t s[t], a = λ·n/T.

    A neuron may take a spike back by a negative one, so the number of spikes does not follow from
    the value; ``count`` is the least that can carry it.

    Args:
        T: Steps awake, at least 1: the levels of a value.
        sleep: Steps asleep, at least 0.

    Raises:
        ConfigError: If T or ``sleep`` is out of range.

    References:
        CASC, 2024 (wake-sleep conversion).

    Example:
        >>> code = WakeSleep(T=4, sleep=2)
        >>> code.steps, code.encode(torch.tensor([2.0])).T.tolist()
        (6, [[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]])
    """

    name: ClassVar[str] = "wake-sleep"

    sleep: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.sleep) is not int or self.sleep < 0:
            raise ConfigError(
                f"{self.name} code: expected a whole number of steps asleep, 0 or more, got "
                f"sleep={self.sleep!r}."
            )

    @property
    def steps(self) -> int:
        """Symbols in a train: T + sleep."""
        return self.T + self.sleep

    def encode(self, target: Decoded, signed: bool = False) -> Train:
        """Write numbers as trains spread evenly over the awake steps, silent asleep.

        Args:
            target: Numbers in units, any shape, float32 or float64, no NaN; see ``quantise_``.
            signed: Whether negative numbers are written with negative spikes; else they are silent.

        Returns:
            Train, "steps *target", symbols {0, 1} or {-1, 0, 1}.

        Raises:
            ConfigError: If the type is another.
        """
        n = self.quantise_(target.clone(), signed).double()
        sent = [torch.trunc(n * min(t, self.T) / self.T) for t in range(self.steps + 1)]
        return torch.stack([b - a for a, b in itertools.pairwise(sent)]).to(target.dtype)

    def quantise_(self, target: Decoded, signed: bool = False) -> Decoded:
        """Overwrite numbers by what settled neurons send: clip(floor(target), 0 or -T, T)."""
        check_type(target)
        return target.floor_().clamp_(-self.max_value if signed else 0.0, self.max_value)

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Return what the first ``t`` steps of the evenly spread train carry."""
        self.check_step(t)
        return torch.trunc(n.double() * min(t, self.T) / self.T).to(n.dtype)

    def share(self, t: int) -> float:
        """Return what has entered of a constant current after ``t`` steps: none of it asleep."""
        self.check_step(t)
        return min(t, self.T) / self.T
