# SPDX-License-Identifier: Apache-2.0
"""Networks with functions and products of values in all places where they may stand."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    """Maps through some layers that a function of them and the input joins."""

    def __init__(self, fn: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8)
        self.c, self.d = nn.Linear(8, 8), nn.Linear(8, 8)
        self.wide, self.narrow, self.out = nn.Linear(8, 16), nn.Linear(4, 8), nn.Linear(8, 5)
        self.both = nn.Linear(16, 8)
        self.norm, self.gain = nn.LayerNorm(8), nn.Parameter(torch.rand(8) + 0.5)
        self.fn = fn

    def forward(self, x: Tensor) -> Any:
        return self.fn(self, x)


def of(function: Callable[[Tensor], Tensor]) -> Callable[[Net, Tensor], Tensor]:
    """Return a network of two layers with a function behind each."""
    return lambda s, x: s.out(function(s.b(function(s.a(x)))))


def _rms(s: Net, x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * s.gain


def _chunked(s: Net, x: Tensor) -> Tensor:
    gate, value = s.wide(F.relu(s.a(x))).chunk(2, -1)
    return s.out(F.silu(gate) * value)


def _swiglu(s: Net, x: Tensor) -> Tensor:
    y = F.relu(s.a(x))
    return s.out(s.d(F.silu(s.b(y)) * s.c(y)))


def _attention(s: Net, x: Tensor) -> Tensor:
    """Tokens are the six features of a sample, shifted."""
    x = torch.stack([x, x.roll(1, 1), x.roll(3, 1)], 1)
    y = s.a(x)
    z = s.norm(y)
    q, k, v = s.b(z), s.c(z), s.d(z)
    y = y + (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v
    return s.out(y + s.both(F.gelu(s.wide(s.norm(y))))).mean(1)


def _post_norm(s: Net, x: Tensor) -> Tensor:
    x = torch.stack([x, x.roll(1, 1), x.roll(3, 1)], 1)
    y = s.norm(s.a(x))
    q, k, v = s.b(y), s.c(y), s.d(y)
    y = s.norm(y + (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v)
    return s.out(s.norm(y + s.both(F.gelu(s.wide(y))))).mean(1)


def _gates_of_depths(s: Net, x: Tensor) -> Tensor:
    y = F.relu(s.a(x))
    gate = torch.sigmoid(s.c(F.relu(s.b(y))))
    return s.out(y * gate + s.d(y * torch.tanh(s.b(y))))


def _carried(s: Net, x: Tensor) -> Tensor:
    y = s.a(x)
    y = y + s.b(F.gelu(y))
    y = y + s.c(F.silu(s.norm(y)))
    return s.out(y)


def _tokens(s: Net, x: Tensor) -> Tensor:
    return F.relu(s.a(torch.stack([x, x.roll(1, 1), x.roll(3, 1)], 1)))


def _cosine(s: Net, x: Tensor) -> Tensor:
    """Attention by the angle between queries and keys, as Swin's second version has it."""
    y = _tokens(s, x)
    q, k = F.normalize(s.b(y), dim=-1), F.normalize(s.c(y), dim=-1)
    return s.out((2.5 * q @ k.transpose(-1, -2)).softmax(-1) @ s.d(y)).mean(1)


def _gram(s: Net, x: Tensor) -> Tensor:
    y = s.b(_tokens(s, x))
    return s.out((y @ y.transpose(-1, -2) @ s.c(y)).mean(1))


def _maps(s: Net, x: Tensor) -> Tensor:
    return s.b(F.relu(s.a(x))).view(-1, 2, 2, 2)


def _three(s: Net, x: Tensor) -> Tensor:
    y = F.relu(s.a(x))
    return s.out(s.b(y) * s.c(y) * s.d(y))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "GELU": F.gelu,
    "tanh-GELU": lambda x: F.gelu(x, approximate="tanh"),
    "tanh-GELU in parts": lambda x: (
        0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))
    ),
    "SiLU": F.silu,
    "x·sigmoid(x)": lambda x: x * torch.sigmoid(x),
    "x·sigmoid(1.7·x + 0.1)": lambda x: x * torch.sigmoid(1.7 * x + 0.1),
    "Mish": F.mish,
    "ELU": F.elu,
    "SELU": F.selu,
    "Hardswish": F.hardswish,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "sin": torch.sin,
    "exp": lambda x: torch.exp(-x.abs()),
    "square": torch.square,
    "x·x": lambda x: x * x,
    "quotient": lambda x: x / (1 + x.abs()),
    "ReLU, then a function": lambda x: torch.sqrt(F.relu(x) + 0.5),
    "a function, then ReLU": lambda x: F.relu(torch.tanh(x)),
    "a function of a function": lambda x: torch.tanh(F.gelu(x) + 0.3),
    "softmax": lambda x: x.softmax(-1),
    "log-softmax": lambda x: x.log_softmax(-1),
    "LayerNorm": lambda x: F.layer_norm(x, (8,)),
    "GroupNorm": lambda x: F.group_norm(x, 2),
    "standardised": lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-3),
    "unit length": lambda x: F.normalize(x, dim=-1),
    "local response norm": lambda x: F.local_response_norm(x[..., None], 3, 0.5).squeeze(-1),
    "largest share": lambda x: x / (x.abs().amax(-1, keepdim=True) + 0.1),
}

NETWORKS: dict[str, Callable[[Net, Tensor], Any]] = {
    "RMS norm in parts": lambda s, x: s.out(s.b(_rms(s, s.a(x)))),
    "gate of pooled values": lambda s, x: s.out(
        F.silu(s.a(x)) * torch.sigmoid(s.c(F.relu(s.b(F.silu(s.a(x))))))
    ),
    "SwiGLU of two layers": _swiglu,
    "SwiGLU of one layer": _chunked,
    "GLU": lambda s, x: s.out(s.narrow(F.glu(s.b(F.relu(s.a(x)))))),
    "attention behind its norm": _attention,
    "attention in front of its norm": _post_norm,
    "attention by cosines": _cosine,
    "three factors": _three,
    "a value by itself, moved": _gram,
    "residuals carried on": _carried,
    "a function of neurons": lambda s, x: s.out(torch.tanh(s.b(F.relu(s.a(x)).sqrt()))),
    "a function, then max pool": lambda s, x: s.narrow(
        F.max_pool1d(F.gelu(s.b(F.relu(s.a(x)))).unsqueeze(1), 2).squeeze(1)
    ),
    "a function, then max pool of maps": lambda s, x: s.out(
        s.narrow(F.max_pool2d(F.silu(_maps(s, x)), (2, 1)).flatten(1))
    ),
    "a function, then average pool": lambda s, x: s.narrow(
        F.avg_pool1d(F.gelu(s.b(F.relu(s.a(x)))).unsqueeze(1), 2).squeeze(1)
    ),
    "max pool of currents, then a function": lambda s, x: s.narrow(
        F.gelu(F.max_pool1d(s.b(F.relu(s.a(x))).unsqueeze(1), 2).squeeze(1))
    ),
    "a function and its layers as outputs": lambda s, x: (lambda y: (y, s.out(s.b(y))))(
        F.gelu(s.a(x))
    ),
    "a value read out and gone on": lambda s, x: (lambda y: (y.softmax(-1), s.out(F.relu(y))))(
        s.b(F.relu(s.a(x)))
    ),
    "a function at the end": lambda s, x: torch.tanh(s.out(F.gelu(s.a(x)))),
    "a value and its function side by side": lambda s, x: s.out(
        s.both(torch.cat([F.relu(s.a(x)), torch.tanh(s.a(x))], 1))
    ),
    "functions side by side": lambda s, x: s.out(
        s.both(torch.cat([F.gelu(s.a(x)), torch.sigmoid(s.b(F.relu(s.a(x))))], 1))
    ),
    "a function of the input alone": lambda s, x: s.out(F.gelu(s.a(torch.tanh(x) * 2))),
    "a function of the input joins": lambda s, x: s.out(
        F.gelu(s.a(x)) * torch.sigmoid(x.mean(1, keepdim=True))
    ),
    "a sum with the input": lambda s, x: s.out(s.a(F.gelu(s.narrow(x[:, :4]))[:, :6] + x)),
    "a product at the end": lambda s, x: s.out(F.relu(s.a(x))) * s.out(s.b(F.relu(s.a(x)))),
    "a product of neurons": lambda s, x: s.out(F.relu(s.a(x)) * F.relu(s.b(F.relu(s.a(x))))),
    "a product, then ReLU": lambda s, x: s.out(F.relu(s.b(F.relu(s.a(x))) * s.c(F.relu(s.a(x))))),
    "a product with a broadcast factor": lambda s, x: s.out(
        s.b(F.relu(s.a(x))) * s.narrow(F.relu(s.a(x))[:, :4])[:, :1]
    ),
    "gates of several depths": _gates_of_depths,
    "a shifted factor": lambda s, x: s.out(
        (1 + s.b(F.relu(s.a(x)))) * torch.tanh(s.c(F.relu(s.a(x))))
    ),
    "a difference of functions": lambda s, x: s.out(
        F.gelu(s.a(x)) - torch.tanh(s.b(F.relu(s.a(x))))
    ),
    "mean of a product": lambda s, x: s.out(
        (s.b(_tokens(s, x)) * torch.sigmoid(s.c(_tokens(s, x)))).mean(1)
    ),
    "sum of a function and neurons": lambda s, x: s.out(F.relu(s.a(x)) + F.gelu(s.a(x))),
    "quotient of two layers": lambda s, x: s.out(
        s.b(F.relu(s.a(x))) / (1 + s.c(F.relu(s.a(x))).abs())
    ),
    "largest of two layers": lambda s, x: s.out(
        torch.maximum(s.b(F.relu(s.a(x))), s.c(F.relu(s.a(x))))
    ),
    "softmax over tokens": lambda s, x: s.out(
        (s.b(_tokens(s, x)).softmax(1) * s.c(_tokens(s, x))).sum(1)
    ),
    "hardtanh behind a function": lambda s, x: s.out(torch.sin(s.a(x)).clamp(-0.4, 0.4)),
    "a function twice": lambda s, x: s.out(s.b(F.gelu(s.a(x))) + s.c(F.gelu(s.a(x)))),
    "norm behind ReLU": lambda s, x: s.out(s.norm(F.relu(s.a(x)))),
    "norm of two neurons": lambda s, x: s.out(s.norm(F.relu(s.a(x)) + F.relu(s.b(F.relu(s.a(x)))))),
    "product of a function and itself": lambda s, x: s.out(
        (lambda y: y.unsqueeze(2) @ y.unsqueeze(1))(torch.tanh(s.a(x))).mean(1)
    ),
    "held behind a pool": lambda s, x: s.narrow(
        F.max_pool1d(F.relu(s.a(x)).unsqueeze(1), 2).squeeze(1)
        * F.max_pool1d(F.relu(s.b(F.relu(s.a(x)))).unsqueeze(1), 2).squeeze(1)
    ),
}
"""Networks by what they show; `Net` and six features a sample in, five (or two values) out."""
