# SPDX-License-Identifier: Apache-2.0
"""Spikes at a price: what a population sends for given scales, and thresholds that send less.

The price of a spike is told in squared errors, as a share of the mean square of the population's
values, so that one number serves every layer.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.calibration.coding_error import mean_square
from spikewright.calibration.histogram import RangeHistogram
from spikewright.codes import Code, SignedRadix
from spikewright.codes.signed_radix import GRID

__all__ = ["price_of", "priced_thresholds", "spikes_of"]

_POINTS = 4  # places in each bin of a histogram
_PASSES = 3  # over all steps; each choice changes what the others meet
_FAR = 1e12  # squared units; nothing that is sent is so far off


def spikes_of(histogram: RangeHistogram, code: Code, scale: Tensor, half: float) -> Tensor:
    """Return how many spikes a channel's values take, all together.

    Args:
        histogram: What was seen.
        code: The code; S is its largest value.
        scale: λ > 0, one for all channels or "channels"; or several such, "tries channels".
        half: What is added before the code floors, in units.

    Returns:
        "channels" or "tries channels", float64.
    """
    middles = (torch.arange(histogram.bins, dtype=torch.float64) + 0.5) * histogram.bin_width[
        :, None
    ]
    unit = scale.double()[..., None] / code.max_value
    values = code.quantise_(middles / unit + half)
    return (code.count(values, signed=False).double() * histogram.counts).sum(-1)


def price_of(histogram: RangeHistogram, share: float) -> float:
    """Return what a spike costs in squared values: a share of the mean square of all values."""
    count = histogram.count.double()
    return share * float((mean_square(histogram) * count).sum() / count.sum())


def priced_thresholds(
    histogram: RangeHistogram, T: int, scale: Tensor, half: float, price: float
) -> SignedRadix:
    """Find the thresholds of a signed radix code by dynamic programming.

    Minimised is Σ (squared error + price · spikes) over a population's values. What the steps
    behind a step make of a residual depends on the residual alone, so from the last step to the
    first each step's two thresholds are chosen, given those behind it and how often each residual
    is met, which depends on those in front; this is done a few times from the non-adjacent form on,
    and no choice makes the sum larger. Thresholds that would write one value in two ways are left
    out.

    Args:
        histogram: What was seen.
        T: Time steps.
        scale: λ > 0, one for all channels or "channels".
        half: What is added before the code floors, in units.
        price: Of a spike, in squared values; 0 gives the non-adjacent form.

    Returns:
        The code.

    Example:
        >>> seen = RangeHistogram(1)
        >>> seen.update(torch.linspace(0.0, 15.0, 4096).view(1, -1))
        >>> priced_thresholds(seen, 4, torch.tensor(15.0), 0.5, 0.5).rise
        (6.0, 3.25, 2.0, 1.25)
    """
    code = SignedRadix(T=T)
    if price <= 0.0:
        return code
    met = _met(histogram, code, scale, half)
    edges = [(int(r * GRID), int(f * GRID)) for r, f in code.thresholds]
    for _ in range(_PASSES):
        edges = _pass(code, met, edges, half, price)
    rise, fall = zip(*((r / GRID, f / GRID) for r, f in edges), strict=True)
    return SignedRadix(T=T, rise=rise, fall=fall)


class _Met(NamedTuple):
    """How often each residual is met, from -(S + 1) to S + 1 in parts of a unit."""

    values: Tensor
    squares: Tensor  # the same times the squared unit of their channel

    def sent(self, weight: int, edges: tuple[int, int]) -> "_Met":
        """Return what a step leaves."""
        rise, fall = edges
        return _Met(*(_left(q, weight, rise, fall) for q in self))


class _Cost(NamedTuple):
    """What the steps behind make of each residual."""

    error: Tensor  # squared units
    spikes: Tensor
    value: Tensor  # units

    def after(self, symbol: int, weight: int) -> "_Cost":
        """Return the same in front of a symbol."""
        shift = symbol * weight * GRID
        error, spikes, value = (
            _moved(part, shift, fill) for part, fill in zip(self, (_FAR, 0.0, 0.0), strict=True)
        )
        return _Cost(error, spikes + abs(symbol), value + symbol * weight)

    def of(self, met: _Met, price: float) -> Tensor:
        """Return what each residual costs in all."""
        return met.squares * self.error + price * met.values * self.spikes


def _met(histogram: RangeHistogram, code: SignedRadix, scale: Tensor, half: float) -> _Met:
    """Return how often each target is met."""
    top = int(code.max_value)
    unit = (scale.double() / top).expand(histogram.channels)[:, None]
    points = (torch.arange(histogram.bins * _POINTS, dtype=torch.float64) + 0.5) / _POINTS
    target = points * histogram.bin_width[:, None] / unit + half
    place = (target.clamp(max=top) * GRID).long() + (top + 1) * GRID
    counts = histogram.counts.double().repeat_interleave(_POINTS, 1) / _POINTS
    empty = torch.zeros(2 * (top + 1) * GRID + 1, dtype=torch.float64)
    found = (empty.index_add(0, place.flatten(), q.flatten()) for q in (counts, counts * unit**2))
    return _Met(*found)


def _pass(
    code: SignedRadix, met: _Met, edges: list[tuple[int, int]], half: float, price: float
) -> list[tuple[int, int]]:
    """Choose the thresholds of every step anew, from the last to the first."""
    weights = [int(w) for w in code.weights]
    arriving = [met]
    for weight, edge in zip(weights, edges, strict=True):
        arriving.append(arriving[-1].sent(weight, edge))
    zero = len(met.values) // 2
    residual = (torch.arange(len(met.values), dtype=torch.float64) - zero + 0.5) / GRID - half
    cost = _Cost(residual**2, torch.zeros_like(residual), torch.zeros_like(residual))
    chosen = list(edges)
    for j in reversed(range(len(weights))):
        weight, here = weights[j], arriving[j]
        up, down = cost.after(1, weight), cost.after(-1, weight)
        silent = cost.of(here, price)
        lowest = max(weight // 2, 1) * GRID
        rise = _edge(silent, up.of(here, price), cost.value, up.value, zero, lowest, 2 * weight)
        fall = -_edge(
            silent.flip(0),
            down.of(here, price).flip(0),
            -cost.value.flip(0),
            -down.value.flip(0),
            zero + 1,
            (weight // 2) * GRID,
            2 * weight,
        )
        chosen[j] = rise, fall
        cost = _Cost(
            *(_taken(*parts, zero, rise, fall) for parts in zip(cost, up, down, strict=True))
        )
    return chosen


def _edge(
    silent: Tensor,
    fires: Tensor,
    below: Tensor,
    above: Tensor,
    zero: int,
    lowest: int,
    most: int,
) -> int:
    """Return from which residual on it is best to fire, in parts of a unit.

    Args:
        silent: Cost of silence at every residual.
        fires: Cost of a spike there.
        below: What the train decodes to if it is silent.
        above: The same if it fires.
        zero: Place of residual 0.
        lowest: Least threshold, in parts of a unit.
        most: Largest threshold, in units.
    """
    places = torch.arange(zero + lowest, min(zero + most * GRID, len(silent) - 1) + 1)
    held = silent.cumsum(0)
    fired = fires.flip(0).cumsum(0).flip(0)
    total = held[places - 1] + fired[places]
    differs = below[places - 1] < above[places]
    return int(places[torch.where(differs, total, torch.inf).argmin()]) - zero


def _taken(silent: Tensor, up: Tensor, down: Tensor, zero: int, rise: int, fall: int) -> Tensor:
    out = silent.clone()
    out[zero + rise :] = up[zero + rise :]
    out[: zero + fall] = down[: zero + fall]
    return out


def _left(q: Tensor, weight: int, rise: int, fall: int) -> Tensor:
    zero, shift = len(q) // 2, weight * GRID
    up, down, out = torch.zeros_like(q), torch.zeros_like(q), q.clone()
    up[zero + rise :] = q[zero + rise :]
    down[: zero + fall] = q[: zero + fall]
    out[zero + rise :] = 0.0
    out[: zero + fall] = 0.0
    return out + _moved(up, -shift, 0.0) + _moved(down, shift, 0.0)


def _moved(values: Tensor, shift: int, fill: float) -> Tensor:
    """Move values along their axis, to higher places if ``shift`` is above 0."""
    out = torch.full_like(values, fill)
    size = len(values)
    if abs(shift) < size:
        out[max(shift, 0) : size + min(shift, 0)] = values[max(-shift, 0) : size - max(shift, 0)]
    return out
