# SPDX-License-Identifier: Apache-2.0
"""One token's work of `nn.LSTM`, `nn.GRU` and `nn.RNN` as a network of plain operators.

S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation, 1997, with the
forget gate of F. Gers et al., 2000; K. Cho et al., arXiv:1406.1078, 2014, in the form that PyTorch
computes (the reset gate behind U). What is done about the state here is ours:

- h, which weights read, is *sent*: a population fires it as a train of T steps, an ON/OFF pair a
  unit. A clip to [-1, 1], which changes no state of these cells, says so.
- c, which nobody but the unit itself reads, stays in the unit: a number in a register, as a
  membrane potential is, never on a wire and never rounded. So does the GRU's h where z·h leaks it.
  That is read and written once a token, and counted with what the function unit computes.

With a train for c it would be rounded at every token, and cost populations and stages, for nobody:
no weight reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from spikewright.errors import UnsupportedModuleError

__all__ = ["Cell", "Layout", "cells_of"]

Kind = Literal["LSTM", "GRU", "RNN_TANH", "RNN_RELU"]


@dataclass(frozen=True)
class Layout:
    """How the cells of a recurrent layer stand to each other.

    Attributes:
        layers: Layers on top of each other.
        bidirectional: Whether each has a second cell that reads texts from their ends.
        hidden: Units of a cell.
        states: Values that a unit keeps from token to token: 2 (h, c) of an LSTM, else 1 (h).
    """

    layers: int
    bidirectional: bool
    hidden: int
    states: int

    @property
    def directions(self) -> int:
        """Cells of a layer."""
        return 2 if self.bidirectional else 1

    @property
    def cells(self) -> int:
        """Cells of all layers: those of a layer one after the other, the first reads forwards."""
        return self.layers * self.directions

    def title(self, cell: int) -> str:
        """Name a cell as PyTorch names its weights."""
        return f"l{cell // self.directions}{'_reverse' if cell % self.directions else ''}"


class Cell(nn.Module):
    """A cell of one layer and one direction, for one token; h' (and c') follow from x, h (and c).

        LSTM: i, f, o = σ(W·x + b + U·s(h)), g = tanh(…);  c' = f·c + i·g;  h' = o·tanh(c')
        GRU:  r, z = σ(W·x + b + U·s(h) + d), n = tanh(W·x + b + r·(U·s(h) + d)),
              h' = n + z·(h - n)
        RNN:  h' = tanh(W·x + b + U·s(h)), or the rectifier of it

    s are the neurons that send h. Of layers above the first x is the state of the layer below,
    which they send as well; the first one's x enters as a constant current.

    Args:
        rnn: The layer; its weights are copied.
        layer: Which of its layers.
        reverse: Whether it is the cell that reads from the end.
    """

    def __init__(self, rnn: nn.RNNBase, layer: int, *, reverse: bool) -> None:
        super().__init__()
        self.kind = cast(Kind, rnn.mode)
        self.sent = _neurons(self.kind)
        self.arrived = _neurons(self.kind) if layer else nn.Identity()
        end = f"l{layer}{'_reverse' if reverse else ''}"
        self.input = _linear(rnn, "ih", end)
        self.recurrent = _linear(rnn, "hh", end)

    def forward(self, x: Tensor, h: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the states after the token.

        Args:
            x: What arrives, "batch inputs".
            h: The states before it, "batch hidden".
            c: What the units of an LSTM keep, "batch hidden".
        """
        new, old = self.input(self.arrived(x)), self.recurrent(self.sent(h))
        if self.kind == "GRU":
            (r, z, n), (old_r, old_z, old_n) = new.chunk(3, 1), old.chunk(3, 1)
            n = torch.tanh(n + torch.sigmoid(r + old_r) * old_n)
            return (n + torch.sigmoid(z + old_z) * (h - n),)
        if c is None:
            return (torch.tanh(new + old) if self.kind == "RNN_TANH" else torch.relu(new + old),)
        i, f, g, o = (new + old).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


def cells_of(rnn: nn.RNNBase, name: str = "model") -> tuple[Layout, Sequence[Cell]]:
    """Return the cells of a recurrent layer, in the order of :class:`Layout`.

    Args:
        rnn: `nn.LSTM`, `nn.GRU` or `nn.RNN`. Dropout between its layers is off, as in evaluation.
        name: Where it stands, for messages.

    Raises:
        UnsupportedModuleError: If it has projections.
    """
    if rnn.proj_size:
        raise UnsupportedModuleError(
            f"{name} ({type(rnn).__name__}): expected states that are sent as they are, got "
            f"proj_size={rnn.proj_size}. Train it without projections: proj_size=0."
        )
    layout = Layout(
        layers=rnn.num_layers,
        bidirectional=rnn.bidirectional,
        hidden=rnn.hidden_size,
        states=2 if rnn.mode == "LSTM" else 1,
    )
    ways = (False, True) if rnn.bidirectional else (False,)
    cells = [
        Cell(rnn, layer, reverse=way).eval() for layer in range(rnn.num_layers) for way in ways
    ]
    return layout, cells


def _neurons(kind: Kind) -> nn.Module:
    """Return neurons that send a state: of either sign below 1, or, of rectifiers, 0 or more."""
    return nn.ReLU() if kind == "RNN_RELU" else nn.Hardtanh(-1.0, 1.0)


def _linear(rnn: nn.RNNBase, which: str, end: str) -> nn.Linear:
    weight = getattr(rnn, f"weight_{which}_{end}").detach()
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=rnn.bias, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if rnn.bias:
            layer.bias.copy_(getattr(rnn, f"bias_{which}_{end}"))
    return layer
