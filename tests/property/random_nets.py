# SPDX-License-Identifier: Apache-2.0
"""Random small networks: every operator and spelling that the conversion takes, mixed at random.

A strategy draws a recipe (names of blocks and a seed); ``build`` makes the network outside the
strategy, because torch's random numbers must not be drawn inside one. Blocks that do not fit the
size that is left are skipped, so every recipe gives a network.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
CONV_T: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
MAX_TO: dict[int, Any] = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}
AVG: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
AVG_TO: dict[int, Any] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
SIZE = {1: (8, 12), 2: (5, 8), 3: (3, 4)}


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, fn: Callable[[Tensor], Tensor], name: str) -> None:
        super().__init__()
        self.fn, self.name = fn, name

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x)

    def extra_repr(self) -> str:
        return self.name


class Residual(nn.Module):
    """``act(body(x) + x)``."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut, act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.body(x) + self.shortcut(x))


class Concat(nn.Module):
    """Branches side by side along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([b(x) for b in self.branches], 1)


class Sum(nn.Module):
    """Branches added up, as they are."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (b(x) for b in self.branches)
        for other in others:
            first = first + other
        return first


class Split(nn.Module):
    """Half of the channels go through a body, the others pass by, in another order."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.cat([b, self.body(a)], 1)


SPELLINGS: dict[str, Callable[[], nn.Module]] = {
    "nn.ReLU": nn.ReLU,
    "nn.ReLU in place": lambda: nn.ReLU(inplace=True),
    "F.relu": lambda: Call(F.relu, "F.relu"),
    "torch.relu": lambda: Call(torch.relu, "torch.relu"),
    "method": lambda: Call(lambda x: x.relu(), "x.relu()"),
    "method in place": lambda: Call(lambda x: x.relu_(), "x.relu_()"),
    "clamp": lambda: Call(lambda x: x.clamp(min=0), "x.clamp(min=0)"),
    "nn.ReLU6": nn.ReLU6,
    "hardtanh": lambda: nn.Hardtanh(0.0, 2.0),
    "clamp in place": lambda: Call(lambda x: x.clamp_(0, 1.5), "x.clamp_(0, 1.5)"),
    "symmetric": lambda: nn.Hardtanh(-1.0, 1.0),
}


class Maker:
    """Draws blocks that suit the shape of the value so far."""

    def __init__(self, dims: int, seed: int) -> None:
        self.d, self.rng = dims, random.Random(seed)

    def one(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def each(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.one(low, high) for _ in range(self.d))

    def act(self) -> nn.Module:
        return SPELLINGS[self.rng.choice(sorted(SPELLINGS))]()

    def norm(self, channels: int) -> nn.Module:
        norm = NORM[self.d](channels)
        with torch.no_grad():
            norm.running_mean.normal_(0.0, 0.3)
            norm.running_var.uniform_(0.3, 2.0)
            norm.weight.uniform_(-0.5, 1.5)
            norm.bias.normal_(0.0, 0.3)
        return norm

    def maybe_norm(self, channels: int) -> nn.Module:
        return self.norm(channels) if self.one(0, 1) else nn.Identity()

    def conv(self, c: int, out: int | None = None, *, same: bool = False) -> nn.Module:
        out = out or self.one(2, 4)
        groups = self.rng.choice([g for g in (1, 2, 3, 4) if c % g == 0 and out % g == 0])
        bias = bool(self.one(0, 1))
        if same:
            kernel = tuple(self.rng.choice([1, 3]) for _ in range(self.d))
            return CONV[self.d](c, out, kernel, padding="same", groups=groups, bias=bias)
        kernel = self.each(1, 3)
        padding = tuple(self.one(0, k - 1) for k in kernel)
        return CONV[self.d](
            c, out, kernel, self.each(1, 2), padding, self.each(1, 2), groups=groups, bias=bias
        )

    def conv_act(self, c: int, *, same: bool = False, out: int | None = None) -> nn.Module:
        conv = self.conv(c, out, same=same)
        return nn.Sequential(conv, self.maybe_norm(conv.out_channels), self.act())

    def block(self, kind: str, shape: torch.Size) -> nn.Module:
        c, d = shape[1], self.d
        if kind == "conv":
            return self.conv_act(c)
        if kind == "bare conv":
            return self.conv(c)
        if kind == "depthwise":
            out = c * self.one(1, 2)
            conv = CONV[d](c, out, 3, self.one(1, 2), 1, self.one(1, 2), groups=c, bias=False)
            return nn.Sequential(conv, self.norm(out), self.act())
        if kind == "transposed":
            groups = self.rng.choice([g for g in (1, 2, 3) if c % g == 0])
            out, stride = groups * self.one(1, 2), self.one(1, 2)
            conv = CONV_T[d](c, out, self.each(1, 3), stride, 0, stride - 1, groups=groups)
            return nn.Sequential(conv, self.maybe_norm(out), self.act())
        if kind == "pre-activation":
            return nn.Sequential(self.norm(c), self.act(), self.conv(c))
        if kind == "residual":
            body = nn.Sequential(
                self.conv_act(c, same=True, out=c), self.conv(c, c, same=True), self.norm(c)
            )
            shortcut = self.rng.choice([nn.Identity(), self.conv(c, c, same=True)])
            return Residual(body, shortcut, self.act() if self.one(0, 2) else nn.Identity())
        if kind == "concat":
            return Concat(
                self.conv_act(c, same=True),
                nn.Identity(),
                nn.Sequential(self.conv_act(c, same=True, out=2), self.conv_act(2, same=True)),
            )
        if kind == "read two":
            a, b = self.conv_act(c, same=True, out=3), self.conv_act(c, same=True, out=2)
            return nn.Sequential(Concat(a, b), self.conv_act(5))
        if kind == "read two depths":
            deep = nn.Sequential(
                self.conv_act(c, same=True, out=2), self.conv_act(2, same=True, out=4)
            )
            return nn.Sequential(Concat(deep, self.conv_act(c, same=True, out=1)), self.conv_act(5))
        if kind == "read a sum":
            a, b = self.conv_act(c, same=True, out=3), self.conv_act(c, same=True, out=3)
            return nn.Sequential(Sum(a, b), self.conv_act(3))
        if kind == "several readers":
            readers = [self.conv_act(3, same=True, out=n) for n in (1, 2)]
            return nn.Sequential(
                self.conv_act(c, same=True, out=3),
                Concat(*readers, nn.Identity()),
                self.conv_act(6),
            )
        if kind == "split":
            return Split(self.conv_act(c // 2, same=True))
        if kind == "max pool":
            kernel = self.each(1, 3)
            padding = tuple(self.one(0, k // 2) for k in kernel)
            return MAX[d](
                kernel, self.each(1, 3), padding, self.each(1, 2), ceil_mode=bool(self.one(0, 1))
            )
        if kind == "adaptive max pool":
            return MAX_TO[d](self.each(1, 3) if d > 1 else self.one(1, 3))
        if kind == "average pool":
            kernel = self.each(1, 3)
            padding = tuple(self.one(0, k // 2) for k in kernel)
            return AVG[d](
                kernel,
                self.each(1, 2),
                padding,
                ceil_mode=bool(self.one(0, 1)),
                count_include_pad=bool(self.one(0, 1)),
            )
        if kind == "adaptive average pool":
            return AVG_TO[d](self.each(1, 3) if d > 1 else self.one(1, 3))
        if kind == "pad":
            pad = [self.one(0, 1) for _ in range(2 * d)]
            mode = self.rng.choice(["constant", "constant", "replicate", "reflect"])
            return Call(lambda x: F.pad(x, pad, mode=mode), f"F.pad {pad} {mode}")
        if kind == "slice":
            axis = self.one(1, d + 1)
            return Call(lambda x: x.narrow(axis, 1, x.shape[axis] - 1), f"narrow axis {axis}")
        if kind == "upsample":
            return nn.Upsample(scale_factor=2, mode="nearest")
        if kind == "shuffle":
            return Call(lambda x: x.flip(1).transpose(-1, 1).transpose(-1, 1), "flip channels")
        raise ValueError(kind)


BLOCKS = (
    "conv",
    "bare conv",
    "depthwise",
    "transposed",
    "pre-activation",
    "residual",
    "concat",
    "split",
    "max pool",
    "adaptive max pool",
    "average pool",
    "adaptive average pool",
    "pad",
    "slice",
    "upsample",
    "shuffle",
)
JOINS = ("read two", "read two depths", "read a sum", "several readers")
"""Blocks in which one layer reads spikes of several populations."""
HEADS = ("flatten", "mean", "two layers")
LARGEST = 400


@dataclass(frozen=True)
class Net:
    """A recipe for a network.

    Attributes:
        dims: Spatial axes.
        blocks: Names of the blocks, in order.
        head: Name of the head.
        seed: For sizes, spellings, weights and data.
    """

    dims: int
    blocks: tuple[str, ...]
    head: str
    seed: int

    def build(self, samples: int = 24) -> tuple[nn.Module, Tensor]:
        """Return the network in eval mode, and inputs for it."""
        torch.manual_seed(self.seed)
        make = Maker(self.dims, self.seed)
        low, high = SIZE[self.dims]
        shape = (2, make.one(1, 3), *(make.one(low, high) for _ in range(self.dims)))
        data = torch.randn((samples, *shape[1:]))
        layers: list[nn.Module] = []
        value = data[:2]
        for kind in ("conv", *self.blocks):
            block, after = self._fitting(make, kind, value)
            if block is not None:
                layers.append(block)
                value = after
        layers.append(self._head(make, value))
        return nn.Sequential(*layers).eval(), data

    @staticmethod
    def _fitting(make: Maker, kind: str, value: Tensor) -> tuple[nn.Module | None, Tensor]:
        for _ in range(4):
            if kind == "split" and value.shape[1] % 2:
                break
            try:
                block = make.block(kind, value.shape).eval()
                with torch.no_grad():
                    after = block(value.clone())
            except RuntimeError:  # the window is larger than what is left
                continue
            if 0 < math.prod(after.shape[1:]) <= LARGEST and bool(after.isfinite().all()):
                return block, after
        return None, value

    def _head(self, make: Maker, value: Tensor) -> nn.Module:
        axes = tuple(range(2, value.ndim))
        if self.head == "mean":
            return nn.Sequential(
                Call(lambda x: x.mean(axes), f"mean {axes}"), nn.Linear(value.shape[1], 3)
            )
        features = math.prod(value.shape[1:])
        if self.head == "flatten":
            return nn.Sequential(nn.Flatten(), nn.Linear(features, 3))
        return nn.Sequential(
            Call(lambda x: x.flatten(1), "flatten"),
            nn.Linear(features, 4, bias=False),
            nn.BatchNorm1d(4),
            make.act(),
            nn.Linear(4, 3),
        )


def nets(max_blocks: int = 4) -> st.SearchStrategy[Net]:
    """Recipes for networks; call ``build()`` on what is drawn."""
    return st.builds(
        Net,
        dims=st.sampled_from([1, 2, 2, 3]),
        blocks=st.lists(st.sampled_from(BLOCKS), max_size=max_blocks).map(tuple),
        head=st.sampled_from(HEADS),
        seed=st.integers(0, 2**31 - 1),
    )


def joined_nets(max_blocks: int = 2) -> st.SearchStrategy[Net]:
    """Recipes in which a layer reads several populations, one of them perhaps deep inside."""
    some = st.lists(st.sampled_from((*BLOCKS, *JOINS)), max_size=max_blocks)
    return st.builds(
        lambda dims, before, join, after, head, seed: Net(
            dims, (*before[:1], join, *after), head, seed
        ),
        dims=st.sampled_from([1, 2]),
        before=some,
        join=st.sampled_from(JOINS),
        after=some,
        head=st.sampled_from(HEADS),
        seed=st.integers(0, 2**31 - 1),
    )
