# SPDX-License-Identifier: Apache-2.0
"""The spiking recurrent network: a run of the cell for every token, and what it costs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from spikewright.evaluation.fan_out import FanOut
from spikewright.graph import ops
from spikewright.models.text_rnn import check_lengths
from spikewright.network import SpikingNetwork
from spikewright.simulators import simulator

__all__ = ["RecurrentSNN", "TextRun", "Watch"]

Watch = Callable[[int, Tensor, Tensor], None]
"""Called after every token with its number from 0, the texts that had one, int64 "active", and the
totals of their hidden neurons' spikes, "active hidden"."""


@dataclass(frozen=True)
class TextRun:
    """What a spiking recurrent network did on some texts.

    Attributes:
        logits: Scores, "batch classes".
        spikes: Spikes of either sign, int64 "batch", the states sent again included.
        additions: Additions that they cause, in U, in the sums that keep the states, and in the
            head, int64 "batch".
        ticks: Ticks until the last token's network was at rest, int64 "batch": for every token
            those awake and, asleep, those up to the last spike. A machine that waits for a tick
            without spikes to know that it is at rest takes one more a token.
        tokens: Tokens of each text, int64 "batch".
        at_rest: How many tokens were at rest after t ticks, at index t.
        analog_macs: Multiply-adds of constant currents for one token: W times its vector, which a
            table of currents with one row a word does without, and one a neuron for the states
            before it.
        ann_macs: Multiply-adds of the original network for one token, without its head.
    """

    logits: Float[Tensor, "batch classes"]
    spikes: Int64[Tensor, " batch"]
    additions: Int64[Tensor, " batch"]
    ticks: Int64[Tensor, " batch"]
    tokens: Int64[Tensor, " batch"]
    at_rest: tuple[int, ...]
    analog_macs: int
    ann_macs: int

    @property
    def ticks_per_token(self) -> float:
        """Mean ticks of a token, awake and asleep."""
        return float(self.ticks.sum() / self.tokens.sum())

    @property
    def spikes_per_token(self) -> float:
        """Mean spikes of a token."""
        return float(self.spikes.sum() / self.tokens.sum())

    @property
    def additions_per_token(self) -> float:
        """Mean additions of a token."""
        return float(self.additions.sum() / self.tokens.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class RecurrentSNN:
    """A converted recurrent network; holds no state of a run.

    Attributes:
        network: The converted cell, whose input is [vector of the token ; states before it].
        embedding: Vectors of the tokens, "vocabulary inputs".
        head_weight: Of the linear head, "classes hidden".
        head_bias: Of the linear head, "classes".
        pool: What the head reads: the mean of all states, or the last.
        cap: θ, the state that a full train of spikes stands for.
        levels: Q, the levels that the network was trained with.
    """

    network: SpikingNetwork
    embedding: Tensor
    head_weight: Tensor
    head_bias: Tensor
    pool: Literal["mean", "last"]
    cap: float
    levels: int

    @property
    def hidden(self) -> int:
        """Neurons of the state."""
        return self.head_weight.shape[1]

    @property
    def classes(self) -> int:
        """Numbers that the head gives."""
        return self.head_weight.shape[0]

    def joined(
        self, tokens: Int64[Tensor, " active"], states: Float[Tensor, "active hidden"]
    ) -> Float[Tensor, "active both"]:
        """Return what the cell is given: the vectors of tokens and the states before them."""
        return torch.cat([self.embedding[tokens], states], dim=1)

    def pooled(
        self,
        states: Float[Tensor, "batch hidden"],
        sums: Float[Tensor, "batch hidden"],
        lengths: Int64[Tensor, " batch"],
    ) -> Float[Tensor, "batch hidden"]:
        """Return what the head reads: the last states, or the sums of all over their number."""
        return sums / lengths.unsqueeze(1) if self.pool == "mean" else states

    def cell_inputs(
        self, tokens: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Iterator[Tensor]:
        """Yield what the cell is given in texts, token by token, for those that have the token.

        ``network`` is a spiking network like any other and these are its inputs: every verb takes
        the two.

        Args:
            tokens: See :meth:`run`.
            lengths: See :meth:`run`.

        Raises:
            ShapeError: If a length is below 1 or above that of ``tokens``.
        """
        check_lengths(tokens, lengths)
        cell = simulator(self.network)
        h = self.embedding.new_zeros(len(tokens), self.hidden)
        for t in range(int(lengths.max())):
            active = (lengths > t).nonzero().squeeze(1)
            joined = self.joined(tokens[active, t], h[active])
            yield joined
            with torch.no_grad():
                h[active] = cell(self.network.check_input(joined))[0]

    def run(
        self, tokens: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the scores of texts.

        Args:
            tokens: Numbers of words; what lies behind the end of a text has no effect.
            lengths: Tokens of each text, at least 1.

        Raises:
            ShapeError: If a length is below 1 or above that of ``tokens``.
        """
        return self.measure(tokens, lengths).logits

    def measure(
        self,
        tokens: Int64[Tensor, "batch length"],
        lengths: Int64[Tensor, " batch"],
        *,
        simulator_name: str | None = None,
        watch: Watch | None = None,
    ) -> TextRun:
        """Run texts and count. Only texts that still have a token are stepped.

        Args:
            tokens: See :meth:`run`.
            lengths: See :meth:`run`.
            simulator_name: Which simulator runs the cell, the fastest if None.
            watch: Told the totals of the hidden neurons after every token.

        Raises:
            ShapeError: If a length is below 1 or above that of ``tokens``.
            ConfigError: If there is no such simulator.
        """
        check_lengths(tokens, lengths)
        cell = simulator(self.network, simulator_name)
        texts = len(tokens)
        h = self.embedding.new_zeros(texts, self.hidden)
        sums = torch.zeros_like(h)
        spikes, additions, ticks = torch.zeros(3, texts, dtype=torch.int64)
        at_rest = torch.zeros(self.network.steps + 1, dtype=torch.int64)
        for t in range(int(lengths.max())):
            active = (lengths > t).nonzero().squeeze(1)
            joined = self.joined(tokens[active, t], h[active])
            token = _Token(self, len(active))
            with torch.no_grad():
                for found in cell.over_time(self.network.check_input(joined), token.count):
                    outputs = found
            h[active] = outputs[0]
            sums[active] += outputs[0]
            reaches_head = lengths[active] == t + 1 if self.pool == "last" else None
            spikes[active] += token.spikes
            additions[active] += token.additions(reaches_head)
            ticks[active] += token.last
            at_rest += torch.bincount(token.last, minlength=len(at_rest))
            if watch is not None:
                watch(t, active, token.totals)
        return TextRun(
            logits=F.linear(self.pooled(h, sums, lengths), self.head_weight, self.head_bias),
            spikes=spikes,
            additions=additions,
            ticks=ticks,
            tokens=lengths.clone(),
            at_rest=tuple(at_rest.tolist()),
            analog_macs=sum(r.analog_macs for r in self._fan_out.receivers),
            ann_macs=sum(r.macs for r in self._fan_out.receivers),
        )

    @property
    def output(self) -> str:
        """Name of the population of the states, the last one of the cell."""
        return self.network.spiking_nodes()[-1].name

    @cached_property
    def _fan_out(self) -> FanOut:
        return FanOut(self.network)

    @cached_property
    def additions_per_spike(self) -> dict[str, Tensor]:
        """Additions that a spike of each population causes inside the cell, "*neuron"."""
        return self._fan_out.additions_per_spike()


class _Token:
    """What the cell does in the run of one token.

    Args:
        snn: The network.
        texts: How many texts have this token.
    """

    def __init__(self, snn: RecurrentSNN, texts: int) -> None:
        self._snn, self._ways = snn, snn.additions_per_spike
        self._output = snn.output
        self._added = torch.zeros(texts, dtype=torch.float64)
        self._sent = torch.zeros(texts, dtype=torch.int64)
        self.spikes = torch.zeros(texts, dtype=torch.int64)
        self.last = torch.full((texts,), snn.network.awake)
        self.totals = torch.zeros(texts, snn.hidden, dtype=torch.int64)

    def count(self, name: str, first: int, sent: Tensor) -> None:
        """Take in what a population sent in some ticks, "time batch *neuron"."""
        fired = sent.abs()
        per_neuron = fired.sum(0).double()
        if name in self._ways:
            self._added += per_neuron @ self._ways[name]
        if ops.kind(self._snn.network.graph[name]) == "pool":
            return
        self.spikes += per_neuron.sum(1).long()
        steps = torch.arange(first, first + len(sent)).unsqueeze(1)
        self.last = torch.maximum(self.last, (fired.any(2) * steps).amax(0))
        if name == self._output:
            self.totals += sent.sum(0).long()
            self._sent += per_neuron.sum(1).long()

    def additions(self, reaches_head: Tensor | None) -> Int64[Tensor, " active"]:
        """Return the additions, those of the head included where its spikes reach it."""
        head = self._sent * self._snn.classes
        return self._added.round().long() + (head if reaches_head is None else head * reaches_head)
