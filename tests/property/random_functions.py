# SPDX-License-Identifier: Apache-2.0
"""Random small networks of tokens that hold functions, groups and products of two values."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BLOCKS", "TokenNet", "token_nets"]

WIDE = 6
FUNCTIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    *(F.gelu, F.silu, F.mish, F.elu, F.hardswish, F.softplus, torch.tanh, torch.sigmoid),
    *(F.relu, F.leaky_relu, F.hardsigmoid, torch.sin),
)
BLOCKS = ("layer", "function", "norm", "gate", "attention", "residual", "pre-norm", "softmax")


@dataclass(frozen=True)
class TokenNet:
    """A recipe for a network of three tokens of six features.

    Attributes:
        blocks: Names of the blocks, in order.
        seed: For functions, weights and data.
    """

    blocks: tuple[str, ...]
    seed: int

    def build(self, samples: int = 12) -> tuple[nn.Module, Tensor]:
        """Return the network in eval mode and double precision, and inputs for it."""
        torch.manual_seed(self.seed)
        net = _Tokens(self.blocks, random.Random(self.seed)).double().eval()
        return net, torch.randn(samples, 3, WIDE, dtype=torch.float64)


class _Tokens(nn.Module):
    def __init__(self, blocks: tuple[str, ...], rng: random.Random) -> None:
        super().__init__()
        self.blocks = blocks
        self.fns = [rng.choice(FUNCTIONS) for _ in range(len(blocks) + 1)]
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Linear(WIDE, WIDE) for _ in range(4)) for _ in blocks
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDE) for _ in blocks)
        self.first, self.last = nn.Linear(WIDE, WIDE), nn.Linear(WIDE, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fns[-1](self.first(x))
        for kind, fn, (a, b, c, d), norm in zip(
            self.blocks, self.fns, self.layers, self.norms, strict=False
        ):
            if kind == "layer":
                y = a(y)
            elif kind == "function":
                y = fn(a(y))
            elif kind == "norm":
                y = norm(a(y))
            elif kind == "gate":
                y = b(fn(a(y)) * c(y))
            elif kind == "attention":
                scores = a(y) @ b(y).transpose(1, 2) / WIDE**0.5
                y = d(scores.softmax(-1) @ c(y))
            elif kind == "residual":
                y = norm(y + b(fn(a(y))))
            elif kind == "pre-norm":
                y = y + b(fn(a(norm(y))))
            else:
                y = a(y).softmax(1) * b(y)
        return self.last(y).mean(1)


def token_nets(max_blocks: int = 3) -> st.SearchStrategy[TokenNet]:
    """Recipes for networks; call ``build()`` on what is drawn."""
    return st.builds(
        TokenNet,
        blocks=st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=max_blocks).map(tuple),
        seed=st.integers(0, 2**31 - 1),
    )
