# SPDX-License-Identifier: Apache-2.0
"""The proof on a user's texts that nothing was lost: the same count in every neuron, every time."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph.capture import evaluation_mode
from spikewright.models.text_rnn import TextRNN
from spikewright.recurrent.network import RecurrentSNN, TextRun

__all__ = ["CountCheck", "check_counts"]


@dataclass(frozen=True)
class CountCheck:
    """How a spiking recurrent network and the original one agree.

    Attributes:
        counts: Pairs of a hidden neuron and a token that were compared.
        differ: How many of them have another total of spikes than the original's level.
        texts: How many texts were run.
        differ_in_class: How many of them were put into another class.
        run: What the spiking network did.
    """

    counts: int
    differ: int
    texts: int
    differ_in_class: int
    run: TextRun

    @property
    def agrees(self) -> bool:
        """Whether every count and every class is the same."""
        return not (self.differ or self.differ_in_class)


def check_counts(
    model: TextRNN,
    snn: RecurrentSNN,
    tokens: Int64[Tensor, "batch length"],
    lengths: Int64[Tensor, " batch"],
) -> CountCheck:
    """Run both networks on the same texts, each on its own from the first token to the last.

    In float64 a wake-sleep network agrees. In float32 a current within rounding error of a level
    may go to either side of it, because the two sum in different orders, and what follows in that
    text is then another matter.

    Args:
        model: The quantised network; it is not changed.
        snn: The network converted from it, of the same floating type.
        tokens: See :meth:`TextRNN.forward`.
        lengths: See :meth:`TextRNN.forward`.

    Raises:
        ConfigError: If the floating types differ.
        ShapeError: If a length is below 1 or above that of ``tokens``.
    """
    if model.head.weight.dtype != snn.head_weight.dtype:
        raise ConfigError(
            f"check_counts: expected one floating type, got {model.head.weight.dtype} and "
            f"{snn.head_weight.dtype}. Convert the very model that it is compared with."
        )
    counts = differ = 0
    with evaluation_mode(model), torch.no_grad():
        states = model.states(tokens, lengths)

        def watch(t: int, active: Tensor, totals: Tensor) -> None:
            nonlocal counts, differ
            _, h = next(states)
            levels = (h[active] * (snn.levels / snn.cap)).round().long()
            counts += totals.numel()
            differ += int((totals != levels).sum())

        run = snn.measure(tokens, lengths, watch=watch)
        wanted = model(tokens, lengths).argmax(1)
    return CountCheck(
        counts=counts,
        differ=differ,
        texts=len(tokens),
        differ_in_class=int((run.logits.argmax(1) != wanted).sum()),
        run=run,
    )
