# SPDX-License-Identifier: Apache-2.0
"""Least squares from sums: what a linear correction takes away, judged on inputs it has not seen.

A layer's error r of every output is to be explained by features x, the entries of the window that
the layer reads and the constant 1. Everything about it follows from Σ x·xᵀ, Σ x·rᵀ and Σ r².
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

__all__ = ["Moments", "accepted"]

_FLOOR = 1e-6
"""Ridge of a feature that is always zero, as a share of the mean one."""


@dataclass(frozen=True)
class Moments:
    """Sums over rows; groups of channels are fitted by themselves.

    Attributes:
        a: Σ x·xᵀ, "group feature feature", float64; the last feature is the constant.
        b: Σ x·rᵀ, "group feature output", float64.
        r: Σ r², "group output", float64.
    """

    a: Tensor
    b: Tensor
    r: Tensor

    @classmethod
    def of(cls, x: Tensor, r: Tensor) -> Self:
        """Return the sums of some rows.

        Args:
            x: Features without the constant, "group feature row"; there may be none.
            r: Errors, "group output row".
        """
        one = x.new_ones(x.shape[0], 1, x.shape[2])
        x = torch.cat([x, one], 1)
        wide, tall = x.transpose(1, 2), r.transpose(1, 2)
        return cls((x @ wide).double(), (x @ tall).double(), r.double().square().sum(2))

    def __add__(self, other: Self) -> Self:
        """Return the sums over both's rows."""
        return type(self)(self.a + other.a, self.b + other.b, self.r + other.r)

    def fit(self, ridge: float) -> Tensor:
        """Return the coefficients s of the least Σ (r - sᵀx)² + ridge·Σ_i a_ii·s_i².

        A ridge in units of each feature's own energy keeps weights where they are, whatever the
        scale of a channel; the constant has none. "group feature output".
        """
        energy = self.a.diagonal(dim1=1, dim2=2).clone()
        energy += _FLOOR * energy.mean(1, keepdim=True) + 1e-30
        energy[:, -1] = 0.0
        system = self.a + torch.diag_embed(ridge * energy)
        system[:, -1, -1].clamp_(min=1.0)  # no rows at all
        found: Tensor = torch.linalg.solve(system, self.b)
        return found

    def mean(self) -> Tensor:
        """Return the coefficients of the constant alone: the mean error, "group feature output"."""
        found = torch.zeros_like(self.b)
        found[:, -1] = self.b[:, -1] / self.a[:, -1, -1:].clamp_min(1.0)
        return found

    def error(self, s: Tensor) -> Tensor:
        """Return Σ (r - sᵀx)², "group output"."""
        return self.r - 2.0 * (s * self.b).sum(1) + (s * (self.a @ s)).sum(1)


def accepted(halves: Sequence[Moments], ridges: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Fit each output with the correction that does best on data it was not fitted to.

    Each half of the data judges what the other one suggests: nothing, the mean alone, or all
    features with one of the ridges. The best for an output is then fitted to both halves.

    Args:
        halves: Sums over two parts of the data.
        ridges: Ridges to try; none: the mean alone.

    Returns:
        Coefficients, zero where nothing helps, "group feature output"; which outputs change,
        "group output".
    """
    one, two = halves
    whole = one + two
    least = one.r + two.r
    best = torch.zeros_like(whole.b)
    change = torch.zeros_like(least, dtype=torch.bool)
    tries = [(one.mean(), two.mean(), whole.mean())]
    tries += [(one.fit(ridge), two.fit(ridge), whole.fit(ridge)) for ridge in ridges]
    for first, second, both in tries:
        error = two.error(first) + one.error(second)
        better = error < least
        least = torch.where(better, error, least)
        best = torch.where(better[:, None], both, best)
        change |= better
    return best, change
