# SPDX-License-Identifier: Apache-2.0
"""The few-spikes code: the train itself computes a function of the target (Stöckl & Maass, 2021).

Every step has a threshold, a reset and a weight of its own. They are fitted so that what the train
carries is near to a function of the target, so nothing needs to be computed before firing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.codes.greedy import check_type
from spikewright.codes.tally import SumTally, Tally
from spikewright.codes.train_code import TrainCode
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded, Train

__all__ = ["FewSpikes", "trains_of"]

_MOST_STEPS = 16
_MOST = 1 << 24
"""What float32 holds exactly."""


def trains_of(thresholds: Sequence[float], resets: Sequence[float]) -> Tensor:
    """Return the train of every target, each once, in the order of the targets: "steps train".

    A step cuts those intervals of targets in two in which its threshold lies.

    Args:
        thresholds: θ of each step, whole numbers.
        resets: h of each step, whole numbers.

    Example:
        >>> trains_of((2, 1), (2, 1)).int().tolist()
        [[0, 0, 1, 1], [0, 1, 0, 1]]
    """
    starts = torch.tensor([-torch.inf], dtype=torch.float64)
    taken = torch.zeros(1, dtype=torch.float64)  # Σ h·s of the interval
    found = torch.zeros((0, 1), dtype=torch.float64)
    for threshold, reset in zip(thresholds, resets, strict=True):
        ends = torch.cat([starts[1:], starts.new_tensor([torch.inf])])
        edges = taken + threshold
        cut = (starts < edges) & (edges < ends)
        order = torch.argsort(torch.cat([starts, edges[cut]]), stable=True)
        starts = torch.cat([starts, edges[cut]])[order]
        taken = torch.cat([taken, taken[cut]])[order]
        edges = torch.cat([edges, edges[cut]])[order]
        found = torch.cat([found, found[:, cut]], 1)[:, order]
        fires = (starts >= edges).double()
        found = torch.cat([found, fires[None]])
        taken = taken + reset * fires
    return found


@dataclass(frozen=True, kw_only=True)
class FewSpikes(TrainCode):
    """T steps with a threshold θ, a reset h and a weight d each.

        s[t] = [v ≥ θ_t];  v ← v - h_t·s[t];  n = Σ_t d_t·s[t];  v = target at the start.

    All of them are whole numbers of a unit. No train carries more than ``max_value``, whatever the
    target is.

    A value belongs to one train, so that whoever is told values can count spikes. Values are in no
    order, so no gate can take their maximum while they stream.

    Args:
        thresholds: θ_t.
        resets: h_t.
        steps_weigh: d_t, none of them 0.

    Raises:
        ConfigError: If they are no whole numbers, not as many of each, too many or too large, or
            two trains have one value.

    References:
        C. Stöckl, W. Maass, Optimized spiking neurons can classify images with high accuracy
        through temporal coding with two spikes, Nature Machine Intelligence 3, 2021, equations 1
        and 2 (T, h and d there).

    Example:
        >>> code = FewSpikes(thresholds=(2, 1), resets=(2, 1), steps_weigh=(4, 1))  # x·x
        >>> code.quantise_(torch.tensor([0.5, 1.0, 2.5])).tolist()
        [0.0, 1.0, 4.0]
    """

    name: ClassVar[str] = "few-spikes"
    k: ClassVar[float] = 0.0  # no ratio: every spike enters with the weight of its step
    greedy: ClassVar[bool] = False
    pool_base: ClassVar[float] = 1.0

    thresholds: tuple[float, ...] = (0.0,)
    resets: tuple[float, ...] = (0.0,)
    steps_weigh: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        own = (self.thresholds, self.resets, self.steps_weigh)
        plain = all(
            isinstance(part, tuple)
            and 1 <= len(part) <= _MOST_STEPS
            and all(type(x) in (int, float) and abs(x) < _MOST and x == int(x) for x in part)
            for part in own
        )
        if not plain or len({*map(len, own)}) > 1 or 0.0 in self.steps_weigh:
            raise ConfigError(
                f"few-spikes code: expected 1 to {_MOST_STEPS} thresholds, as many resets and as "
                f"many weights other than 0, whole numbers below 2^24, got {str(own)[:200]}."
            )
        for name in ("thresholds", "resets", "steps_weigh"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        values = self._table[0]
        if not self.max_value < _MOST or not bool((values.diff() > 0).all()):
            raise ConfigError(
                "few-spikes code: expected weights with which every train has a value of its own, "
                f"below 2^24, got {self.steps_weigh}. Move them."
            )

    @property
    def T(self) -> int:  # type: ignore[override] # it follows from the settings
        """Time steps."""
        return len(self.thresholds)

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight d of each step in units."""
        return self.steps_weigh

    @cached_property
    def max_value(self) -> float:
        """Largest size of a value, in units; 1 at least."""
        return max(1.0, float(self._table[0].abs().max()))

    def encode(self, target: Decoded, signed: bool = False) -> Train:
        """Write the train that each target fires; see the class.

        Args:
            target: Numbers in units, any shape, float32 or float64, no NaN.
            signed: Must be False: weights have signs, spikes have none.

        Returns:
            Train, "steps *target", symbols {0, 1}.

        Raises:
            ConfigError: If ``signed``, or the type is another.
        """
        _check(target, signed)
        v = target.clone()
        train = v.new_empty((self.steps, *v.shape))
        for spikes, threshold, reset in zip(train, self.thresholds, self.resets, strict=True):
            torch.ge(v, threshold, out=spikes)
            v.sub_(spikes, alpha=reset)
        return train

    def quantise_(self, target: Decoded, signed: bool = False) -> Decoded:
        """Overwrite targets by what their trains carry; arguments as in ``encode``."""
        _check(target, signed)
        n, spikes = torch.zeros_like(target), torch.empty_like(target)
        for threshold, reset, weight in zip(
            self.thresholds, self.resets, self.weights, strict=True
        ):
            torch.ge(target, threshold, out=spikes)
            target.sub_(spikes, alpha=reset)
            n.add_(spikes, alpha=weight)
        return target.copy_(n)

    def count(self, n: Tensor, signed: bool = True) -> Tensor:
        """Count the spikes of values as ``quantise_`` returns them, "*n", uint8."""
        check_type(n)
        return self._table[2].to(n.device)[self._place(n)]

    def tally(self, signed: bool = True, alike: Sequence[Tensor] | None = None) -> Tally:
        """Return a counter of spikes that has seen nothing yet; see `Code.tally`."""
        return SumTally(self.count)

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Return what the first ``t`` symbols of the train of each value carry."""
        check_type(n)
        self.check_step(t)
        return self._table[1][t].to(n.device, n.dtype)[self._place(n)]

    def levels(self, limit: int) -> tuple[float, ...] | None:
        """Return all values in ascending order, None if there are more than ``limit``."""
        values = self._table[0]
        return tuple(values.tolist()) if len(values) <= limit else None

    def share(self, t: int) -> float:
        """Return t/T, what has entered of a constant current after ``t`` steps."""
        self.check_step(t)
        return t / self.T

    def _place(self, n: Tensor) -> Tensor:
        values = self._table[0]
        return torch.searchsorted(values.to(n.device), n.double().contiguous()).clamp_(
            max=len(values) - 1
        )

    @cached_property
    def _table(self) -> tuple[Tensor, Tensor, Tensor]:
        """The values of all trains, ascending; what t steps of each carry; its spikes."""
        train = trains_of(self.thresholds, self.resets)
        carried = (train * train.new_tensor(self.steps_weigh)[:, None]).cumsum(0)
        values, order = carried[-1].sort()
        begun = torch.cat([torch.zeros_like(carried[:1]), carried])
        return values, begun[:, order], train.sum(0).to(torch.uint8)[order]


def _check(target: Tensor, signed: bool) -> None:
    check_type(target)
    if signed:
        raise ConfigError(
            "few-spikes code: expected neurons whose spikes have no sign, since the weights of "
            "its steps have one, got an ON/OFF pair. Leave signed out."
        )
