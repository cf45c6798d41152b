# SPDX-License-Identifier: Apache-2.0
"""Thresholds, resets and weights of few-spikes neurons, fitted to a function of one number.

Given thresholds and resets, the weights with the least squared error are a linear problem. So only
the former are searched, from four starts that are sound by construction, by steps drawn from a
fixed seed: equal calibrations give equal neurons.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.codes import FewSpikes
from spikewright.codes.few_spikes import trains_of
from spikewright.errors import CalibrationError, ConfigError

__all__ = ["FIT_STEPS", "Fit", "fit_few_spikes"]

FIT_STEPS = range(2, 17)
"""Time steps for which neurons can be fitted."""

_PLACES = 769  # where the function is compared while searching, one drawn in every part
_FINER = 8  # of these parts, for the errors that are told
_UNSEEN = 0.1  # share of the weight that is spread over the range evenly
_BEYOND = (0.02, 0.1, 0.5, 2.0, 8.0)  # ranges beyond it, where values should stay what they are
_OUTSIDE = 0.01  # weight of these on either side
_TRIED = 32  # candidates at once
_RIDGE = 1e-6
_BITS = range(12, 22)  # of the range, in which thresholds, resets and weights are whole numbers
_MOVES = 48


@dataclass(frozen=True)
class Fit:
    """Few-spikes neurons of a function.

    Attributes:
        code: Thresholds, resets and weights in units.
        unit: What a unit stands for, of potentials and of values.
        low: Least potential that was fitted.
        high: Largest one.
        error: Root mean square error over the potentials that were seen (a tenth of the weight
            is even over the range).
        worst: Largest error at the places of the range that were compared.
        beyond: Largest distance from the value at the range's end at places beyond it, up to 8
            times its width away.
    """

    code: FewSpikes
    unit: float
    low: float
    high: float
    error: float
    worst: float
    beyond: float


def fit_few_spikes(function: Callable[[Tensor], Tensor], T: int, seen: Tensor) -> Fit:
    """Fit few-spikes neurons of T steps to a function, on the potentials that were seen.

    Args:
        function: Elementwise; equal functions that are hashable are fitted once a process.
        T: Time steps, 2 to 16.
        seen: Potentials of calibration, any shape; their range is fitted, weighted by how often
            they come. Beyond it values are to stay near those at its ends.

    Raises:
        ConfigError: If T is out of range.
        CalibrationError: If there are no potentials, or they or the function are not finite.
    """
    if T not in FIT_STEPS:
        raise ConfigError(
            f"few-spikes neurons: expected T from {FIT_STEPS[0]} to {FIT_STEPS[-1]}, got {T!r}. "
            'Choose T within, or functions="unit".'
        )
    if not seen.numel() or not bool(seen.isfinite().all()):
        raise CalibrationError(
            "few-spikes neurons: expected finite potentials to fit them on, got none. Calibrate "
            "on data that reach the function."
        )
    low, high = float(seen.min()), float(seen.max())
    middle = max(abs(low), abs(high), 1e-6)
    if high - low < 1e-3 * middle:
        low, high = low - 0.05 * middle, high + 0.05 * middle
    counts = torch.histc(seen.double(), bins=_PLACES, min=low, max=high)
    weights = (1.0 - _UNSEEN) * counts / counts.sum() + _UNSEEN / _PLACES
    return _fitted(function, T, low, high, tuple(weights.tolist()))


@functools.lru_cache(maxsize=64)
def _fitted(
    function: Callable[[Tensor], Tensor], T: int, low: float, high: float, shares: tuple[float, ...]
) -> Fit:
    drawn = torch.Generator().manual_seed(T)
    step = (high - low) / _PLACES
    offsets = torch.rand(_PLACES, generator=drawn, dtype=torch.float64)
    inside = low + step * (torch.arange(_PLACES, dtype=torch.float64) + offsets)
    out = (high - low) * torch.tensor(_BEYOND, dtype=torch.float64)
    x = torch.cat([low - out, inside, high + out])
    y, ends = function(x.clamp(low, high)), torch.full_like(out, _OUTSIDE / len(out))
    seen = torch.tensor(shares, dtype=torch.float64)
    weights = torch.cat([ends, seen, ends])
    if not bool(y.isfinite().all()):
        raise CalibrationError(
            f"few-spikes neurons: expected a function that is finite from {low:g} to {high:g}, got "
            'others. Convert with functions="unit".'
        )
    search = _Search(x, y, weights, high - low, T)
    points = [search.climb(p, 60) for p in _starts(low, high, T)]
    for kept, rounds in ((2, 2), (1, max(2, T // 3))):
        points = sorted(points, key=search.error)[:kept]
        for _ in range(rounds):
            points = [search.climb(search.sweep(p), 80) for p in points]
    best = points[0]
    code, unit = _whole(best[:T], best[T:], search.solve(best[None])[0][0], max(-low, high))
    dense = torch.linspace(low, high, _PLACES * _FINER + 1, dtype=torch.float64)[:-1]
    gaps = [
        code.quantise_(at / unit) * unit - function(at.clamp(low, high))
        for at in (dense, torch.cat([low - out, high + out]))
    ]
    error = float((seen.repeat_interleave(_FINER) / _FINER * gaps[0].square()).sum().sqrt())
    worst, beyond = (float(gap.abs().max()) for gap in gaps)
    return Fit(code, unit, low, high, error, worst, beyond)


class _Search:
    """The search for thresholds and resets: one point of it is "2T", first the thresholds."""

    def __init__(self, x: Tensor, y: Tensor, weights: Tensor, span: float, T: int) -> None:
        self._x, self._y, self._weights, self._T = x.float(), y.float(), weights.float(), T
        self._square = float((weights * y.square()).sum())
        self._span = span
        self._random = torch.Generator().manual_seed(T)

    def solve(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best weights of each point, "point T", and their mean squared errors."""
        T, points = self._T, points.float()
        v = self._x.expand(len(points), -1).clone()
        train = v.new_empty((len(points), T, len(self._x)))
        for t in range(T):
            torch.ge(v, points[:, t : t + 1], out=train[:, t])
            v.addcmul_(train[:, t], points[:, T + t : T + t + 1], value=-1.0)
        weighed = train * self._weights
        gram = (weighed @ train.transpose(1, 2)).double() + _RIDGE * torch.eye(T).double()
        right = (weighed @ self._y).double()
        d = torch.cholesky_solve(right[..., None], torch.linalg.cholesky(gram))[..., 0]
        return d, self._square - (d * right).sum(1)

    def error(self, point: Tensor) -> float:
        return float(self.solve(point[None])[1])

    def climb(self, best: Tensor, rounds: int) -> Tensor:
        """Change a few numbers a little, some thresholds with their resets; keep what is better."""
        T, least = self._T, self.error(best)
        for _ in range(rounds):
            size = 0.7 * 10.0 ** (-3.0 * self._uniform(_TRIED, 1))
            moved = self._uniform(_TRIED, 2 * T) < 1.5 / T
            step = self._normal(_TRIED, 2 * T)
            tied = self._uniform(_TRIED, 1) < 0.4
            moved = torch.where(tied, moved[:, :T].repeat(1, 2), moved)
            step = torch.where(tied, step[:, :T].repeat(1, 2), step)
            tried = best + step * size * moved * (best.abs() + self._span * 2.0**-10)
            best, least = self._better(tried, best, least)
        return best

    def sweep(self, best: Tensor) -> Tensor:
        """Try many values of every number in turn, anywhere in the range and near its own."""
        least, half = self.error(best), _MOVES // 2
        for i in torch.randperm(len(best), generator=self._random).tolist():
            tried = best.repeat(_MOVES, 1)
            tried[:half, i] = (self._uniform(half) * 1.2 - 0.6) * self._span
            near = self._normal(half) * 10.0 ** (-3.0 * self._uniform(half))
            tried[half:, i] += near * (best[i].abs() + 1e-3 * self._span)
            best, least = self._better(tried, best, least)
        return best

    def _better(self, tried: Tensor, best: Tensor, least: float) -> tuple[Tensor, float]:
        errors = self.solve(tried)[1]
        place = int(errors.argmin())
        found = float(errors[place])
        return (tried[place].clone(), found) if found < least else (best, least)

    def _uniform(self, *size: int) -> Tensor:
        return torch.rand(size, generator=self._random, dtype=torch.float64)

    def _normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self._random, dtype=torch.float64)


def _starts(low: float, high: float, T: int) -> Iterator[Tensor]:
    """Yield where the search begins: binary digits, alone or behind some fixed steps below 0."""
    halves = 0.5 ** torch.arange(1, T, dtype=torch.float64)
    digits = (high - low) * halves
    first = torch.tensor([low - (high - low), low], dtype=torch.float64)
    yield torch.cat([first[:1], digits, first[1:], digits])
    span = max(high, 0.25 * (high - low))
    for below in sorted({max(1, T // 5), max(1, T // 3), max(1, 2 * T // 5)}):
        edges = torch.linspace(0.6, 0.05, below, dtype=torch.float64) * min(low, -0.1 * span)
        digits = span * 0.5 ** torch.arange(1, T - below + 1, dtype=torch.float64)
        yield torch.cat([edges, digits, torch.zeros_like(edges), digits])


def _whole(
    thresholds: Tensor, resets: Tensor, weights: Tensor, largest: float
) -> tuple[FewSpikes, float]:
    """Return the code in the coarsest unit in which every train has a value of its own."""
    jitter = torch.Generator().manual_seed(0)
    for bits in _BITS:
        unit = largest / 2.0**bits
        edges, steps = (_rounded(part / unit) for part in (thresholds, resets))
        trains = trains_of(edges, steps)
        for tried in range(8):
            moved = weights / unit
            if tried:
                moved = moved + torch.randn(len(moved), generator=jitter, dtype=moved.dtype) * 1.5
            whole = tuple(d if d else 1.0 for d in _rounded(moved))
            values = (trains * torch.tensor(whole, dtype=torch.float64)[:, None]).sum(0)
            exact = float(values.abs().max()) < 2.0**24  # in float32
            if exact and len(set(values.tolist())) == len(values):
                code = FewSpikes(thresholds=edges, resets=steps, steps_weigh=whole)
                return code, unit
    raise CalibrationError(
        f"few-spikes neurons: expected trains with values of their own in {_BITS[-1]} bits, got "
        "equal ones, or values too large beside the potentials. Choose another T, or "
        'functions="unit".'
    )


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(values.round().tolist())
