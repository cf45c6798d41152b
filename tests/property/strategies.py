# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies that the property tests share."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from spikewright.codes import Radix


def _fits(k: float, steps: int) -> bool:
    """Whether float32 holds the code's values exactly, by the geometric series."""
    return math.log2(sum(k**j for j in range(steps)) + 1.0) <= 24


@st.composite
def radix_codes(draw: st.DrawFn, max_steps: int = 16) -> Radix:
    """Any admissible radix code: round and crooked k, with and without the extra step."""
    k = draw(st.sampled_from([2.0, 1.5, 1.2]) | st.floats(1.0078125, 2.0, exclude_min=True))
    T = draw(st.integers(1, max_steps - 1).filter(lambda T: _fits(k, T + 1)))
    return Radix(k=k, T=T, extra_step=draw(st.booleans()))


@st.composite
def dyadic_codes(draw: st.DrawFn) -> Radix:
    """Codes whose weights are short binary fractions, so that float64 runs are exact."""
    k = draw(st.sampled_from([2.0, 1.75, 1.5, 1.25]))
    return Radix(k=k, T=draw(st.integers(1, 8)), extra_step=draw(st.booleans()))


@dataclass(frozen=True)
class Targets:
    """Numbers in units around a code's range, many of them at or just below its own values.

    They are made outside the strategy: the run-time type checks draw random numbers of their own
    when a code lists its weights, which Hypothesis forbids inside strategies.
    """

    kind: str
    size: int
    seed: int
    dtype: torch.dtype

    def of(self, code: Radix) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        values = torch.rand(self.size, generator=generator, dtype=torch.float64) * 2.0 - 1.0
        signs = values.sign()
        values = values * 1.5 * code.max_value
        if self.kind == "whole":
            values = values.round()
        if self.kind in ("value", "below value"):
            bits = torch.rand((code.steps, self.size), generator=generator) < 0.5
            weights = torch.tensor(code.weights, dtype=torch.float64)
            values = (bits.to(torch.float64) * weights[:, None]).sum(0) * signs
        values = values.to(self.dtype)
        if self.kind == "below value":
            values = torch.nextafter(values, torch.zeros_like(values))
        return values


def targets() -> st.SearchStrategy[Targets]:
    """Recipes for targets; call ``of(code)`` on what is drawn."""
    return st.builds(
        Targets,
        kind=st.sampled_from(["any", "whole", "value", "below value"]),
        size=st.integers(1, 24),
        seed=st.integers(0, 2**31 - 1),
        dtype=st.sampled_from([torch.float32, torch.float64]),
    )


@dataclass(frozen=True)
class Window:
    """A pooling window over a map of ``size``; every field has one entry per axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool

    def pool(self, maps: Tensor) -> Tensor:
        """PyTorch's max pool with this window."""
        pools: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
        return pools[len(self.size)](
            maps,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def members(self, axis: int) -> list[list[int]]:
        """Input positions of every window along one axis, from the definition of pooling."""
        size, kernel = self.size[axis], self.kernel[axis]
        stride, padding, dilation = self.stride[axis], self.padding[axis], self.dilation[axis]
        room = size + 2 * padding - dilation * (kernel - 1) - 1
        number = (-(-room // stride) if self.ceil_mode else room // stride) + 1
        if self.ceil_mode and (number - 1) * stride >= size + padding:
            number -= 1
        return [
            [p for i in range(kernel) if 0 <= (p := o * stride - padding + i * dilation) < size]
            for o in range(number)
        ]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows of one to three axes: overlapping, padded, dilated, non-square, with ceil mode."""
    axes = draw(st.sampled_from([1, 2, 2, 3]))
    size, kernel, stride, padding, dilation = [], [], [], [], []
    for _ in range(axes):
        n = draw(st.integers(1, 3))
        d = draw(st.integers(1, 2))
        p = draw(st.integers(0, n // 2))
        smallest = max(1, d * (n - 1) + 1 - 2 * p)
        size.append(draw(st.integers(smallest, smallest + (2 if axes == 3 else 4))))
        kernel.append(n)
        dilation.append(d)
        padding.append(p)
        stride.append(draw(st.integers(1, 3)))
    window = Window(
        tuple(size),
        tuple(kernel),
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        draw(st.booleans()),
    )
    # A dilated window can lie wholly in the padding; the network itself then yields -inf.
    assume(all(all(window.members(axis)) for axis in range(axes)))
    return window


@dataclass(frozen=True)
class Values:
    """Values of several channels with ranges far apart, many zeros and exact powers of two."""

    channels: int
    samples: int
    seed: int
    spread: int
    dtype: torch.dtype

    def make(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        size = (self.channels, self.samples)
        values = torch.randn(size, generator=generator, dtype=torch.float64)
        reach = torch.randint(
            -self.spread, self.spread + 1, (self.channels, 1), generator=generator
        )
        late = torch.rand(size, generator=generator) * 2.0  # outliers that double ranges late
        values = torch.ldexp(values * torch.where(late > 1.9, 40.0, 1.0), reach)
        exact = torch.ldexp(torch.ones(size, dtype=torch.float64), reach)
        kind = torch.rand(size, generator=generator)
        values = torch.where(kind < 0.15, exact, values)
        return torch.where(kind > 0.8, torch.zeros_like(values), values).to(self.dtype)


def values() -> st.SearchStrategy[Values]:
    """Recipes for a site's values; call ``make()``."""
    return st.builds(
        Values,
        channels=st.integers(1, 4),
        samples=st.integers(1, 60),
        seed=st.integers(0, 2**31 - 1),
        spread=st.sampled_from([0, 3, 12, 90]),
        dtype=st.sampled_from([torch.float32, torch.float64]),
    )


@dataclass(frozen=True)
class Symbols:
    """A train of whole spikes in a map, from ``low`` to ``high``, most of them zero or not."""

    steps: int
    samples: int
    low: int
    high: int
    silence: float
    seed: int

    def make(self, size: tuple[int, ...]) -> Tensor:
        """Return "time batch channel *size", float32; two channels."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.steps, self.samples, 2, *size)
        symbols = torch.randint(self.low, self.high + 1, shape, generator=generator).float()
        return symbols * (torch.rand(shape, generator=generator) >= self.silence)


def symbols(low: int = -4, high: int = 5) -> st.SearchStrategy[Symbols]:
    """Recipes for spikes on the wire; call ``make(size)``."""
    return st.builds(
        Symbols,
        steps=st.integers(1, 12),
        samples=st.integers(1, 2),
        low=st.integers(low, 0),
        high=st.integers(min(1, high), high),
        silence=st.sampled_from([0.0, 0.5, 0.9]),
        seed=st.integers(0, 2**31 - 1),
    )


@dataclass(frozen=True)
class Drive:
    """What drives a few neurons, in sixteenths, so that every sum of it is exact in float32.

    Attributes:
        currents: One list a step, one number a neuron.
        v_init: Initial potential of each neuron.
        thresholds: θ of each neuron, at least 1/16.
    """

    currents: tuple[tuple[int, ...], ...]
    v_init: tuple[int, ...]
    thresholds: tuple[int, ...]


@st.composite
def drives(draw: st.DrawFn, low: int = -96, high: int = 96) -> Drive:
    """Currents of both signs up to several thresholds, with ties and silence."""
    neurons, steps = draw(st.integers(1, 3)), draw(st.integers(1, 16))

    def row(smallest: int, largest: int) -> tuple[int, ...]:
        number = st.integers(smallest, largest)
        return tuple(draw(st.lists(number, min_size=neurons, max_size=neurons)))

    currents = tuple(row(low, high) for _ in range(steps))
    return Drive(currents, row(-32, 32), row(1, 48))
