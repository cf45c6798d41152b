# SPDX-License-Identifier: Apache-2.0
"""Run a network over data and count: accuracy at every step, spikes, additions, agreement."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.collect import read_inputs
from spikewright.codes import Code
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.rasters import Example, look_at
from spikewright.evaluation.result import Result
from spikewright.evaluation.rows import layers_of
from spikewright.evaluation.spike_counts import counts_for
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.progress import Interrupts
from spikewright.simulators import Simulator
from spikewright.simulators import simulator as compiled
from spikewright.tasks import Answers, Beside, Classification, Task, task_for
from spikewright.tasks.form import Wanted, form_of, wanted_of

__all__ = ["Counter", "evaluate"]


class Counter:
    """Everything that one network does on the batches it is shown.

    Args:
        simulator: Runs the network; the spikes of all its simulators are the same.
        answers: The account of what it answers.
        counting: Whether spikes and additions are counted; answers are looked at anyway.
    """

    def __init__(self, simulator: Simulator, answers: Answers, *, counting: bool = True) -> None:
        self.simulator, self.answers, self.network = simulator, answers, simulator.network
        self._counts = counts_for(self.network) if counting else None
        self.samples = 0

    def add(self, x: Inputs, beside: Beside) -> None:
        """Run one batch and add what it does.

        Args:
            x: Input (or inputs), "batch *feature".
            beside: What the answers are held against.

        Raises:
            ConfigError: If what the original network returned does not fit the outputs.
        """
        x = self.network.check_input(x)
        parts = self.simulator.split(x)
        lengths = [len(as_inputs(part)[0]) for part in parts]
        with torch.no_grad():
            for part, size, own in zip(parts, lengths, beside.cut(lengths), strict=True):
                self._run(part, size, self.answers.watch(size, own))
        self.samples += sum(lengths)

    def _run(self, x: Inputs, size: int, watch: Callable[[int, Sequence[Tensor]], None]) -> None:
        """Run a part of a batch."""
        counts = self._counts
        if counts is not None:
            counts.begin(size)
        told = None if counts is None else counts.add
        for step, outputs in enumerate(self.simulator.over_time(x, told)):
            watch(step, self.network.samples_first(outputs))
        if counts is not None:
            counts.end()

    def result(self) -> LengthResult:
        """Return what has been counted so far."""
        network, timing, counts = self.network, self.network.timing(), self._counts
        steps = network.steps
        return LengthResult(
            T=network.T,
            steps=steps,
            k=network.k,
            samples=self.samples,
            **self.answers.facts(),
            latency_ticks=timing.latency_ticks,
            ticks_per_input=timing.ticks_per_input(2),
            layers=() if counts is None else layers_of(network, counts),
            code=network.code_name,
            schedule=str(network.schedule.name),
            spikes_by_step=() if counts is None else counts.spikes,
            additions_by_step=() if counts is None else counts.additions,
            at_rest=() if counts is None else counts.at_rest,
            awake=network.awake,
            largest=max(map(_largest, network.codes))
            * max(s.gamma for s in network.sites.values()),
            plan=timing.to_dict(),
            settles=getattr(network.schedule, "settles", False),
        )


def evaluate(
    networks: Iterable[SpikingNetwork],
    batches: Iterable[Any],
    *,
    reference: Callable[[Inputs], Any] | None = None,
    task: Task | str | None = None,
    simulator: str | None = None,
    counting: bool = True,
    examples: int = 0,
) -> Result:
    """Measure one or several code lengths of a network on the same inputs.

    Args:
        networks: The network at each code length.
        batches: Tensors or (input, target) pairs; targets are read as the task wants them.
        reference: The original network as a function of the input; its tensors may be nested.
        task: What the network is for; classification for class scores by default, else outputs.
        simulator: Name of the simulator; the fastest of the networks' schedule by default.
        counting: Whether spikes and additions are counted.
        examples: How many of the first inputs to look at closely, on the longest code.

    Raises:
        ConfigError: If the schedule has no such simulator, the task does not fit the outputs or the
            targets, or the original's outputs are not those of the network in number or shape.
        CalibrationError: If there is no batch, or one holds NaN or infinity.
        ShapeError: If an input has another shape than the network takes.
    """
    simulators = [compiled(n, simulator) for n in sorted(networks, key=lambda n: n.T)]
    counters: list[Counter] = []
    seen: list[Example] = []
    with Interrupts() as interrupts:
        for index, batch in enumerate(batches if simulators else ()):
            network = simulators[0].network
            x, target = read_inputs(network.graph, batch, f"batch {index}")
            if not counters:
                form = form_of(simulators[0], network.check_input(x))
                chosen = task_for(task, form)
                counters = [
                    Counter(s, chosen.answers(s.network, form), counting=counting)
                    for s in simulators
                ]
            beside = Beside(
                target=chosen.target(target, form, len(as_inputs(x)[0]), index),
                wanted=None if reference is None else _wanted(network, reference(x)),
                labelled=target is not None,
            )
            for counter in counters:
                counter.add(x, beside)
            if len(seen) < examples:
                classes = isinstance(chosen, Classification)
                seen += _look(counters[-1], x, beside, examples - len(seen), classes=classes)
            if interrupts.requested:
                break
    if not counters or not counters[0].samples:
        raise interrupts.nothing_done("evaluate")
    right, known = counters[0].answers.reference
    return Result(
        lengths=tuple(c.result() for c in counters),
        reference_correct=right,
        reference_samples=known,
        simulator=counters[0].simulator.name,
        interrupted=interrupts.requested,
        provenance=dict(counters[-1].network.provenance),
        examples=tuple(seen),
    )


def _largest(code: Code) -> float:
    """Return a number as large as a train tells apart; few-spikes trains have T bits at most."""
    return code.max_value if code.k else 2.0**code.steps - 1.0


def _wanted(network: SpikingNetwork, returned: Any) -> Wanted:  # noqa: ANN401 - a user's
    """Return what the original network returned, samples first as the network's own outputs."""
    found = wanted_of(returned)
    if len(found.values) != len(network.graph.outputs):
        return found  # refused where it is compared
    return dataclasses.replace(found, values=network.samples_first(found.values))


def _look(
    counter: Counter, x: Inputs, beside: Beside, most: int, *, classes: bool
) -> tuple[Example, ...]:
    """Look closely at the first inputs of the batch that was counted last."""
    size = len(as_inputs(x)[0])
    first, tally = counter.samples - size, counter.answers.facts().get("tally")
    scenes = () if tally is None else [tally.scene(first + i) for i in range(min(most, size))]
    scores = beside.wanted.values[0] if classes and beside.wanted is not None else None
    return look_at(
        counter.network,
        x[:most] if isinstance(x, Tensor) else tuple(value[:most] for value in x),
        first=first,
        target=beside.target[:most] if classes and beside.target is not None else None,
        reference=None if scores is None else scores[:most],
        scenes=scenes,
        classes=classes,
    )
