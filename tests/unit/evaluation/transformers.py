# SPDX-License-Identifier: Apache-2.0
"""Small networks with products of two values and functions, whose work can be counted by hand."""

import torch
from torch import Tensor, nn


class TwoTokens(nn.Module):
    """Attention of two tokens of three features, two of which are attended to.

    All weights are 0 (synapses like any other), all biases 1: queries, keys and values are 1
    whatever comes in, scores 2, attention 1/2, and what is attended to 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(3, 2) for _ in range(3))
        self.out = nn.Linear(2, 5)
        for name, parameter in self.named_parameters():
            nn.init.constant_(parameter, 1.0 if name.endswith("bias") else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).transpose(1, 2)
        return self.out(scores.softmax(-1) @ self.v(x))


class Product(nn.Module):
    """Rectified linear maps of two inputs, multiplied, and a linear map of the product.

    Args:
        by: ``"matmul"`` or ``"mul"``.
        left: Features of the first input, before and behind its map.
        right: Those of the second.
        out: Features of the product, and of the result.
        off: Taken from the biases of the left and of the right map, so that it is sparse.
    """

    def __init__(
        self,
        by: str,
        left: tuple[int, int],
        right: tuple[int, int],
        out: tuple[int, int],
        off: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        self.by = by
        self.left, self.right, self.out = (nn.Linear(*f) for f in (left, right, out))
        with torch.no_grad():
            self.left.bias -= off[0]
            self.right.bias -= off[1]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self.left(x).relu(), self.right(y).relu()
        return self.out(a @ b if self.by == "matmul" else a * b)


class Norms(nn.Module):
    """LayerNorm, GELU and a softmax of the scores: functions of groups, of one, and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.gelu(self.norm(self.first(x)))).softmax(-1)
