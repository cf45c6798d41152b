# SPDX-License-Identifier: Apache-2.0
"""The account of LSTM, GRU and RNN classifiers, and the proof that their simulators agree.

As for other recurrent networks: everything that is counted is counted a run of the cells and stands
in results for one token, decisions are those of texts, with their own numbers.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikewright import api
from spikewright.calibration.collect import classes_of
from spikewright.evaluation import Counter, Result
from spikewright.evaluation.layer_count import LayerCount
from spikewright.evaluation.length import LengthResult
from spikewright.graph.original import evaluation_mode
from spikewright.network.twin import AgainstOriginal
from spikewright.progress import Interrupts
from spikewright.recurrent.parts import Texts, lengths_of
from spikewright.recurrent.sequence import SequenceSNN
from spikewright.simulators import Verification
from spikewright.simulators import simulator as compiled
from spikewright.tasks import Beside
from spikewright.tasks.classification import Decided, Decisions
from spikewright.tasks.form import wanted_of

__all__ = ["evaluate_sequence", "verify_sequence"]


class _After(Decided):
    """What a cell returns after its last step; an account without decisions."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.found = list[tuple[Tensor, ...]]()

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin the next ``size`` runs."""
        self.found.append(())

        def add(step: int, outputs: Sequence[Tensor]) -> None:
            self.found[-1] = tuple(outputs)

        return add


class _Cells:
    """Runs cells and counts what they do; a step."""

    def __init__(self, snn: SequenceSNN, simulator: str | None, *, counting: bool) -> None:
        self._answers = [_After(cell.steps) for cell in snn.cells]
        self.counters = [
            Counter(compiled(cell, simulator), answers, counting=counting)
            for cell, answers in zip(snn.cells, self._answers, strict=True)
        ]

    def __call__(self, cell: int, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        answers = self._answers[cell]
        answers.found.clear()
        self.counters[cell].add(given, Beside())
        return tuple(torch.cat(parts) for parts in zip(*answers.found, strict=True))


def evaluate_sequence(
    snn: SequenceSNN,
    batches: Iterable[tuple[Texts, Tensor | None]],
    *,
    reference: nn.Module | None = None,
    simulator: str | None = None,
    counting: bool = True,
) -> Result:
    """Measure a spiking recurrent classifier on texts; see :func:`spikewright.recurrent.evaluate`.

    Rows are named as PyTorch names the weights of a cell (``l0``, ``l1_reverse``). Cells of a layer
    work at the same time; layers of one direction work on different tokens, those of two wait for
    the end of the text. Decisions are those after each step of the head, which is counted by
    ``spikewright.evaluate(snn.head, …)``.

    Raises:
        CalibrationError: If there is no text.
        ShapeError: If a length is below 1 or above that of its tokens.
        ConfigError: If labels are no classes, or there is no such simulator.
    """
    cells = _Cells(snn, simulator, counting=counting)
    head = Counter(compiled(snn.head, simulator), Decisions(snn.head.steps), counting=False)
    with Interrupts() as interrupts, torch.no_grad():
        for index, ((x, given), labels) in enumerate(batches):
            target = None if labels is None else classes_of(labels, len(x), index)
            wanted = None if reference is None else wanted_of(_scores(reference, x, given))
            states = snn.states(x, given, cells)
            head.add(states, Beside(target, wanted, labelled=labels is not None))
            if interrupts.requested:
                break
    if not head.samples:
        raise interrupts.nothing_done("evaluate", "text")
    right, known = head.answers.reference
    return Result(
        lengths=(_by_token(snn, [c.result() for c in cells.counters], head.result()),),
        reference_correct=right,
        reference_samples=known,
        simulator=head.simulator.name,
        interrupted=interrupts.requested,
        provenance=dict(snn.provenance),
    )


def _scores(reference: nn.Module, x: Tensor, lengths: Tensor | None) -> Any:  # noqa: ANN401 - a user's
    with evaluation_mode(reference):
        return reference(x) if lengths is None else reference(x, lengths)


def _by_token(snn: SequenceSNN, cells: Sequence[LengthResult], head: LengthResult) -> LengthResult:
    """Put the accounts of cells together, each of which runs once a token."""
    directions = snn.layout.directions
    layers = [c.latency_ticks for c in cells[::directions]]
    rows: Iterator[LayerCount] = (
        dataclasses.replace(
            row,
            name=f"{snn.layout.title(index)}.{row.name}",
            kind="function" if row.kind == "analog" else row.kind,  # the unit's own: gates, c
        )
        for index, cell in enumerate(cells)
        for row in cell.layers
    )
    return dataclasses.replace(
        head,
        samples=cells[0].samples,
        layers=tuple(rows),
        latency_ticks=sum(layers),
        ticks_per_input=sum(layers) if snn.layout.bidirectional else max(layers),
        plan=cells[0].plan,
        unit="token",
    )


def verify_sequence(
    snn: SequenceSNN, x: Tensor, lengths: Tensor | None = None, *, most: int = 64
) -> Verification:
    """Compare the simulators of every cell and of the head on what they are given in texts.

    Args:
        snn: The network.
        x: See :meth:`SequenceSNN.run`.
        lengths: See :meth:`SequenceSNN.run`.
        most: Runs of each cell that are compared, in the order in which they come.

    Returns:
        What was found, together: sites are named by their network.

    Raises:
        ShapeError: If a length is below 1 or above that of ``x``.
    """
    given = snn.cell_inputs(x, lengths_of(x, lengths))
    found = {}
    for (name, network), rows in zip(snn.networks.items(), given, strict=True):
        few = tuple(values[:most] for values in rows)
        found[name] = api.verify(network, few if len(few) > 1 else few[0])
    return _together(found)


def _together(found: Mapping[str, Verification]) -> Verification:
    parts, gaps = list(found.values()), [v.output_gap for v in found.values()]
    return dataclasses.replace(
        parts[-1],
        samples=sum(part.samples for part in parts),
        sites=tuple(
            dataclasses.replace(site, site=f"{name}.{site.site}")
            for name, part in found.items()
            for site in part.sites
        ),
        spikes_differ=sum(part.spikes_differ for part in parts),
        output_gap=max((gap for gap in gaps if gap is not None), default=None),
        original=_law({n: v.original for n, v in found.items() if v.original is not None}),
    )


def _law(found: Mapping[str, AgainstOriginal]) -> AgainstOriginal:
    """Return the law of all networks: broken, unchecked, or held by every one of them."""
    for verdict in (False, None):
        for name, law in found.items():
            if law.agrees is verdict:
                return dataclasses.replace(law, said=f"{name}: {law.said}")
    differences = [law.difference for law in found.values() if law.difference is not None]
    return AgainstOriginal(True, max(differences, default=None))
