# SPDX-License-Identifier: Apache-2.0
"""The account of a recurrent network as that of any other: its inputs are tokens.

What stays apart from other networks, and why: a text is as many runs of the cell as it has tokens,
and a run's input holds the states that the run before it has left. So everything that is counted is
counted a run, as for any network, and stands in results for one token; decisions are those of
texts, which stand in the same results with their own numbers (``labelled``, ``compared``).
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor, nn

from spikewright import api
from spikewright.calibration.collect import classes_of
from spikewright.evaluation import Counter, Result
from spikewright.progress import Interrupts
from spikewright.recurrent.account import evaluate_sequence, verify_sequence
from spikewright.recurrent.network import RecurrentSNN
from spikewright.recurrent.parts import Texts, lengths_of
from spikewright.recurrent.sequence import SequenceSNN
from spikewright.simulators import Verification
from spikewright.simulators import simulator as compiled
from spikewright.tasks import Beside
from spikewright.tasks.classification import Decided

__all__ = ["Labelled", "evaluate", "verify"]

Labelled = tuple[Texts, Tensor | None]
"""((tokens "batch length", lengths "batch"), classes "batch" or None)."""


def evaluate(
    snn: RecurrentSNN | SequenceSNN,
    batches: Iterable[Labelled],
    *,
    reference: nn.Module | None = None,
    simulator: str | None = None,
    counting: bool = True,
) -> Result:
    """Measure a spiking recurrent network on texts.

    Args:
        snn: The network.
        batches: Encoded texts with their classes or None.
        reference: The network it was converted from, for its accuracy and agreement.
        simulator: Which simulator runs the cell, the fastest by default.
        counting: Whether spikes and additions are counted.

    Returns:
        What energy models and reports take. Its samples are tokens: spikes, additions,
        multiply-adds and ticks are those of one. Decisions are those of texts, after each step of
        their last token, or of the head of an LSTM, GRU or RNN. The head, which runs once a text,
        is left out on both sides; :meth:`RecurrentSNN.measure` counts it, or
        ``spikewright.evaluate(snn.head, …)``.

    Raises:
        CalibrationError: If there is no text.
        ShapeError: If a length is below 1 or above that of its tokens.
        ConfigError: If labels are no classes, or there is no such simulator.
    """
    if isinstance(snn, SequenceSNN):
        return evaluate_sequence(
            snn, batches, reference=reference, simulator=simulator, counting=counting
        )
    answers = _Texts(snn)
    counter = Counter(compiled(snn.network, simulator), answers, counting=counting)
    with Interrupts() as interrupts, torch.no_grad():
        for index, ((tokens, given), labels) in enumerate(batches):
            lengths = lengths_of(tokens, given)
            target = None if labels is None else classes_of(labels, len(tokens), index)
            wanted = None if reference is None else reference(tokens, lengths).argmax(1)
            answers.begin(lengths, target, wanted)
            for t in range(int(lengths.max())):
                counter.add(answers.token(tokens, t), Beside())
            if interrupts.requested:
                break
    if not counter.samples:
        raise interrupts.nothing_done("evaluate", "text")
    return Result(
        lengths=(dataclasses.replace(counter.result(), unit="token"),),
        reference_correct=answers.reference[0],
        reference_samples=answers.reference[1],
        simulator=counter.simulator.name,
        interrupted=interrupts.requested,
        provenance=dict(snn.network.provenance),
    )


def verify(
    snn: RecurrentSNN | SequenceSNN,
    tokens: Tensor,
    lengths: Int64[Tensor, " batch"] | None = None,
    *,
    most: int = 64,
) -> Verification:
    """Compare the simulators of the cells on what these are given in texts.

    See ``spikewright.verify``. Of an LSTM, GRU or RNN it is done for every cell and for the head.

    Args:
        snn: The network.
        tokens: See :meth:`RecurrentSNN.run`.
        lengths: See :meth:`RecurrentSNN.run`; all tokens by default.
        most: Runs of a cell that are compared, in the order in which they come.

    Raises:
        ShapeError: If a length is below 1 or above that of ``tokens``.
    """
    if isinstance(snn, SequenceSNN):
        return verify_sequence(snn, tokens, lengths, most=most)
    rows = chain.from_iterable(snn.cell_inputs(tokens, lengths_of(tokens, lengths)))
    return api.verify(snn.network, torch.stack(list(islice(rows, most))))


class _Texts(Decided):
    """Decisions of texts, from the runs of their tokens; see ``evaluation.answers.Answers``."""

    def __init__(self, snn: RecurrentSNN) -> None:
        super().__init__(snn.network.steps)
        self._snn = snn

    def begin(self, lengths: Tensor, target: Tensor | None, wanted: Tensor | None) -> None:
        """Begin some texts."""
        self._lengths, self._target, self._wanted = lengths, target, wanted
        self._states = self._snn.embedding.new_zeros(len(lengths), self._snn.hidden)
        self._sums = torch.zeros_like(self._states)
        self._labelled += len(lengths) * (target is not None)
        self._compared += len(lengths) * (wanted is not None)
        if target is not None and wanted is not None:
            right, known = self.reference
            self.reference = right + int((wanted == target).sum()), known + len(lengths)

    def token(self, tokens: Tensor, t: int) -> Tensor:
        """Return what the cell is given for the t-th token of every text that has one."""
        self._t, self._runs = t, (self._lengths > t).nonzero().squeeze(1)
        return self._snn.joined(tokens[self._runs, t], self._states[self._runs])

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin the next ``size`` runs of the token."""
        texts, self._runs = self._runs[:size], self._runs[size:]
        ends = self._lengths[texts] == self._t + 1
        last = texts[ends]
        target = None if self._target is None else self._target[last]
        wanted = None if self._wanted is None else self._wanted[last]

        def add(step: int, outputs: Sequence[Tensor]) -> None:
            states = outputs[0]
            decided = self._decided(states[ends], last)
            if target is not None:
                self._correct[step] += int((decided == target).sum())
            if wanted is not None:
                self._agree[step] += int((decided == wanted).sum())
            if step == len(self._correct) - 1:
                self._states[texts] = states
                self._sums[texts] += states

        return add

    def _decided(self, states: Tensor, texts: Tensor) -> Tensor:
        pooled = self._snn.pooled(states, self._sums[texts] + states, self._lengths[texts])
        return F.linear(pooled, self._snn.head_weight, self._snn.head_bias).argmax(1)
