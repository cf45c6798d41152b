# SPDX-License-Identifier: Apache-2.0
"""Constants that are added, multiplied, put around or in place of values: the same numbers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.unit.graph.spellings import Middle, Net, check_equal, inputs

ROWS = torch.arange(6) > 2


def written(places: object, values: object) -> Middle:
    """Assign to a copy of the value."""

    def middle(s: object, x: Tensor) -> Tensor:
        y = x.clone()
        y[places] = values(x) if callable(values) else values  # type: ignore[index]
        return y

    return middle


def shifted(s: object, x: Tensor) -> Tensor:
    """A temporal shift: a part of the channels one step on, a part one step back."""
    y = torch.zeros_like(x)
    y[:, :3, :-1] = x[:, :3, 1:]
    y[:, 3:5, 1:] = x[:, 3:5, :-1]
    y[:, 5:] = x[:, 5:]
    return y


ALL = slice(None)
SPELLINGS: dict[str, tuple[int, Middle]] = {
    "x * 0.5 + c": (3, lambda s, x: x * 0.5 + s.c),
    "c larger than x": (2, lambda s, x: x.mean(1, keepdim=True) + s.tokens),
    "gain larger than x": (2, lambda s, x: x.mean(2, keepdim=True) * s.tokens),
    "outer product": (1, lambda s, x: x.unsqueeze(2) * s.tokens[0, :, 0]),
    "c - x": (3, lambda s, x: s.c - x),
    "1 - x": (3, lambda s, x: 1 - x),
    "rsub": (3, lambda s, x: torch.rsub(x, s.c, alpha=2)),
    "neg": (3, lambda s, x: -x),
    "negative": (3, lambda s, x: torch.negative(x).sub(1.5, alpha=2)),
    "other names": (3, lambda s, x: torch.divide(torch.subtract(torch.multiply(x, 3), s.c), 2)),
    "add with alpha": (3, lambda s, x: torch.add(x, s.c, alpha=3)),
    "addcmul": (3, lambda s, x: torch.addcmul(x, s.c, s.c, value=2)),
    "addcmul of the value": (3, lambda s, x: torch.addcmul(s.c, x, s.c, value=2)),
    "addcdiv": (3, lambda s, x: torch.addcdiv(s.c, x, s.c.abs() + 1, value=2)),
    "lerp": (3, lambda s, x: torch.lerp(x, s.c, 0.3)),
    "lerp of two values": (3, lambda s, x: torch.lerp(x, x.flip(3), s.c)),
    "positions": (2, lambda s, x: x + s.tokens[:, : x.shape[1]]),
    "positions looked up": (2, lambda s, x: x + s.look(torch.arange(x.shape[1]))),
    "mask": (3, lambda s, x: x * s.mask),
    "masked_fill": (3, lambda s, x: x.masked_fill(s.mask, 0.0)),
    "masked_fill with a number": (3, lambda s, x: x.masked_fill(ROWS, 2.0)),
    "masked_fill with a tensor": (3, lambda s, x: x.masked_fill(s.mask, torch.tensor(0.5))),
    "where": (3, lambda s, x: torch.where(s.mask, x, 0.0)),
    "where with a tensor": (3, lambda s, x: torch.where(s.mask, s.c, x)),
    "where of two values": (3, lambda s, x: torch.where(s.mask, x, x.flip(2))),
    "tril": (3, lambda s, x: x.tril()),
    "triu": (3, lambda s, x: torch.triu(x, 1)),
    "index_fill": (3, lambda s, x: x.index_fill(1, torch.tensor([0, 3]), 0.5)),
    "pad": (3, lambda s, x: F.pad(x, (1, 2, 1, 0), value=0.7)),
    "pad the channels": (3, lambda s, x: F.pad(x, (0, 0, 0, 0, 1, 2), value=-0.7)),
    "pad and crop": (3, lambda s, x: F.pad(x, (-1, 2, 1, -2), value=0.7)),
    "ConstantPad2d": (3, lambda s, x: nn.ConstantPad2d((1, 0, 2, 1), 0.3)(x)),
    "circular": (3, lambda s, x: F.pad(x, (1, 2, 1, 0), mode="circular")),
    "reflect": (3, lambda s, x: F.pad(x, (1, 2, 1, 0), mode="reflect")),
    "class token": (2, lambda s, x: torch.cat([s.token.expand(x.shape[0], -1, -1), x], 1)),
    "zeros beside": (3, lambda s, x: torch.cat([x, torch.zeros_like(x), x * 2], 1)),
    "new zeros": (3, lambda s, x: torch.cat([x.new_zeros(x.shape[0], 2, 6, 6), x], 1)),
    "places beside": (
        3,
        lambda s, x: torch.cat([x, s.c[:1].expand(x.shape[0], 1, 6, 6)], 1),
    ),
    "assign a slice": (3, written((ALL, slice(0, 2)), lambda x: x[:, 4:6])),
    "assign every second": (3, written((ALL, slice(0, 8, 2)), lambda x: x[:, 4:])),
    "assign part of a part": (3, written((ALL, slice(0, 2), 0), lambda x: x[:, 2:4, 1])),
    "assign a channel": (3, written((ALL, 1), lambda x: x[:, -1])),
    "assign a number": (3, written((ALL, slice(0, 2)), 0.25)),
    "assign chosen": (3, written((ALL, [3, 0]), lambda x: x[:, 4:6])),
    "assign a number to chosen": (3, written((ALL, [0, 3]), 1.0)),
    "assign a number to pixels": (3, written((ALL, ALL, [0, 1], [2, 5]), 1.0)),
    "assign everything": (3, written((ALL, ALL), lambda x: x.flip(1))),
    "temporal shift": (2, lambda s, x: shifted(s, x.transpose(1, 2))),
    "temporal shift of pictures": (3, shifted),
    "slice_scatter": (3, lambda s, x: torch.slice_scatter(x, x[:, 2:4] * 2, 1, 0, 2)),
    "select_scatter": (3, lambda s, x: torch.select_scatter(x, x[:, 1] * 2, 1, -1)),
    "index_copy": (3, lambda s, x: x.index_copy(1, torch.tensor([3, 0]), x[:, 4:6])),
    "index_add": (3, lambda s, x: x.index_add(1, torch.tensor([3, 0]), x[:, 4:6], alpha=2)),
}


def tensors() -> dict[str, object]:
    torch.manual_seed(6)
    return {
        "c": nn.Parameter(torch.randn(8, 1, 1)),
        "tokens": nn.Parameter(torch.randn(1, 5, 8)),
        "token": nn.Parameter(torch.randn(1, 1, 8)),
        "look": nn.Embedding(9, 8),
        "mask": torch.rand(6, 6) > 0.5,
    }


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_affine_by_constants_keeps_its_numbers(spelling: str) -> None:
    axes, middle = SPELLINGS[spelling]
    check_equal(Net(axes, middle, **tensors()), inputs(axes))  # type: ignore[arg-type]
