# SPDX-License-Identifier: Apache-2.0
"""A recurrent network for texts that has a spiking form: plain ReLU recurrence, no gates.

Q. V. Le, N. Jaitly and G. E. Hinton, "A Simple Way to Initialize Recurrent Networks of Rectified
Linear Units", arXiv:1504.00941, 2015: where U starts as the identity, states last over many tokens.

Cells with gates (LSTM, GRU) multiply values that both depend on the text, which function units do:
``spikewright.recurrent`` converts models that hold them.
"""

from collections.abc import Iterator
from typing import Literal, cast

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from spikewright.errors import ConfigError, ShapeError

__all__ = ["CAP", "RecurrentCell", "TextRNN", "check_lengths"]

CAP = 4.0
"""Where the default activation clips (ours: on AG News 1 and 2 trained worse)."""


class RecurrentCell(nn.Module):
    """h' = a(W·x + b + U·h).

    U starts as the identity times ``keep``, W as normal numbers of standard deviation
    ``spread``/√inputs, b as zeros.

    Args:
        inputs: Width of x.
        hidden: Width of h.
        activation: a, elementwise. It must have a top, so that a full train of spikes has a value.
        keep: How much of a state is left after a token, at the start of training. 1 in the paper.
        spread: Size of W at the start. Where the last state is read, 0.1 trains and 1 does not:
            states grow with every token and end at the cap.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        activation: nn.Module,
        keep: float = 1.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        self.input = nn.Linear(inputs, hidden)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        self.activation = activation
        nn.init.normal_(self.input.weight, std=spread * inputs**-0.5)
        nn.init.zeros_(self.input.bias)
        with torch.no_grad():
            self.recurrent.weight.copy_(keep * torch.eye(hidden))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the states "batch hidden" after one token.

        Args:
            x: What the token says, "batch inputs".
            h: The states before it, "batch hidden".
        """
        states: Tensor = self.activation(self.input(x) + self.recurrent(h))
        return states


class TextRNN(nn.Module):
    """An embedding, a recurrent cell that goes over the tokens, a linear head.

    Args:
        vocabulary: Number of different tokens.
        classes: Number of outputs.
        embedding: Width of a token's vector.
        hidden: Width of the state.
        activation: Of the cell; ReLU clipped at ``CAP`` by default. A network that is to be
            converted without loss has a quantised one, θ·clip(⌊Q·x/θ + φ⌋/Q, 0, 1).
        pool: What the head reads: ``"mean"``, the mean of the states after every token, or
            ``"last"``, the state after the last. The mean trains more easily; in the spiking
            form the spikes of every token then reach the head. But it can do without memory, and
            on AG News does. The last state holds what U has kept, nothing else.
        keep: See :class:`RecurrentCell`.
        spread: See :class:`RecurrentCell`.

    Raises:
        ConfigError: If a number is below 1, or ``pool`` is neither.

    Example:
        >>> model = TextRNN(100).eval()
        >>> model(torch.tensor([[5, 7, 9], [3, 0, 0]]), torch.tensor([3, 1])).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int = 4,
        *,
        embedding: int = 64,
        hidden: int = 128,
        activation: nn.Module | None = None,
        pool: Literal["mean", "last"] = "mean",
        keep: float = 0.9,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = {
            "vocabulary": vocabulary,
            "classes": classes,
            "embedding": embedding,
            "hidden": hidden,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ConfigError(f"TextRNN.{name}: expected at least 1, got {value}. Raise it.")
        if pool not in ("mean", "last"):
            raise ConfigError(f"TextRNN.pool: expected 'mean' or 'last', got {pool!r}. Choose one.")
        self.embedding = nn.Embedding(vocabulary, embedding)
        activation = activation or nn.Hardtanh(0.0, CAP)
        self.cell = RecurrentCell(embedding, hidden, activation, keep, spread)
        self.head = nn.Linear(hidden, classes)
        self.pool = pool

    def forward(
        self, tokens: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the scores of texts.

        Args:
            tokens: Numbers below ``vocabulary``; what lies behind the end of a text has no effect.
            lengths: Tokens of each text, at least 1.

        Raises:
            ShapeError: If a length is below 1 or above that of ``tokens``.
        """
        pooled = h = torch.zeros((), device=tokens.device)
        for active, h in self.states(tokens, lengths):
            if self.pool == "mean":
                pooled = pooled + h * active
        pooled = pooled / lengths.unsqueeze(1) if self.pool == "mean" else h
        return cast(Tensor, self.head(pooled))

    def states(
        self, tokens: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go over the tokens; texts that have ended keep their last state.

        Args:
            tokens: See :meth:`forward`.
            lengths: See :meth:`forward`.

        Yields:
            After every token, which texts had one, bool "batch 1", and all states "batch hidden".

        Raises:
            ShapeError: If a length is below 1 or above that of ``tokens``.
        """
        check_lengths(tokens, lengths)
        x = self.embedding(tokens[:, : int(lengths.max())])
        h = x.new_zeros(len(x), self.head.in_features)
        for t in range(x.shape[1]):
            active = (lengths > t).unsqueeze(1)
            h = torch.where(active, self.cell(x[:, t], h), h)
            yield active, h


def check_lengths(
    tokens: Shaped[Tensor, "batch length *vector"], lengths: Int64[Tensor, " batch"]
) -> None:
    """Refuse lengths that do not fit their tokens.

    Raises:
        ShapeError: If there is no text, or a length is below 1 or above that of ``tokens``.
    """
    if not len(lengths) or int(lengths.min()) < 1 or int(lengths.max()) > tokens.shape[1]:
        got = f"{int(lengths.min())} to {int(lengths.max())}" if len(lengths) else "no text"
        raise ShapeError(
            f"lengths: expected 1 to {tokens.shape[1]} tokens a text, got {got}. "
            "An empty text is one <unk>; Tokeniser.batch() writes it so."
        )
