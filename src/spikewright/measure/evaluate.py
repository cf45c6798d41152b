# SPDX-License-Identifier: Apache-2.0
"""Run a network over data and count: accuracy at every step, spikes, additions, agreement."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from spikewright.calibration.collect import inputs_of
from spikewright.errors import CalibrationError, ConfigError
from spikewright.graph import Program, ops
from spikewright.measure.paths import FanOut
from spikewright.measure.result import LayerCount, LengthResult, Result
from spikewright.network import SpikingNetwork
from spikewright.neurons.inverse_lif import accumulate_
from spikewright.progress import Interrupts
from spikewright.simulators import Collapsed, Reference, Stages
from spikewright.simulators.stages import Stage

__all__ = ["Counter", "evaluate"]

Simulator = Literal["collapsed", "reference"]


class Counter:
    """Everything that one network does on the batches it is shown.

    Args:
        network: A converted network.
        simulator: Which simulator runs it; their spikes are the same.
        counting: Whether spikes and additions are counted; accuracy is measured anyway.
    """

    def __init__(
        self, network: SpikingNetwork, simulator: Simulator, *, counting: bool = True
    ) -> None:
        self.network = network
        self._plan = Stages(network, tick=False)
        self._last: Stage = self._plan.stages[-1]
        self._sources = self._last.sources
        self._simulator = simulator
        self._counting = counting
        self._collapsed = Collapsed(network, outputs=self._sources)
        self._reference = Reference(network) if simulator == "reference" else None
        self._readout = [self._readout_program(t) for t in range(1, network.code.steps + 1)]
        self._counts: dict[str, Tensor] = {}
        self._trains: dict[str, Tensor] = {}
        self.samples = 0
        self.correct = [0] * network.code.steps
        self.agree = [0] * network.code.steps
        self.labelled = self.compared = 0

    def _readout_program(self, t: int) -> Program:
        share = self.network.code.share(t)
        graph = self.network.graph
        params = {b: graph.params[b] * share for b in self._plan.biases}
        return Program(
            graph,
            outputs=tuple(graph[r].inputs[0] for r in self._plan.readouts),
            given=self._sources,
            params=params,
        )

    def add(self, x: Tensor, target: Tensor | None, reference: Tensor | None) -> None:
        """Run one batch and add what it does.

        Args:
            x: Inputs, "batch *feature".
            target: Class numbers, "batch", if known.
            reference: The original network's outputs, if it was run.
        """
        x = self.network.check_input(x)
        parts = (x,) if self._reference is None else self._reference.split(x)
        with torch.no_grad():
            found = [self._decisions(part, self._run(part)) for part in parts]
        decisions = [torch.cat(step) for step in zip(*found, strict=True)]
        self.samples += x.shape[0]
        if target is not None:
            self.labelled += x.shape[0]
            for t, decided in enumerate(decisions):
                self.correct[t] += int((decided == target.to(decided.device)).sum())
        if reference is not None:
            self.compared += x.shape[0]
            wanted = reference.argmax(1)
            for t, decided in enumerate(decisions):
                self.agree[t] += int((decided == wanted.to(decided.device)).sum())

    def _run(self, x: Tensor) -> list[Tensor]:
        """Return the decoded trains (or analog values) that the read-out is fed with."""
        if self._reference is None:
            return list(self._collapsed(x, self._count if self._counting else None))
        from spikewright.simulators.reference import Membranes

        state = Membranes()
        for _ in self._reference.ticks(x, state, self._watch):
            pass
        constants = {n: v * self._plan.full for n, v in state.constant.items()}
        found = [self._trains.pop(s) if s in self._trains else constants[s] for s in self._sources]
        self._trains.clear()
        return found

    def _watch(self, name: str, t: int, spikes: Tensor) -> None:
        if self._counting:
            total = spikes.abs().sum(0, dtype=torch.float64).to(torch.int64)
            self._counts[name] = self._counts.get(name, 0) + total
        if name in self._sources:
            if t == 1:
                self._trains[name] = spikes.clone()
            else:
                accumulate_(self._trains[name], spikes, self.network.code.k)

    def _count(self, name: str, n: Tensor) -> None:
        total = self.network.code.count(n).sum(0, dtype=torch.int64)
        before = self._counts.get(name)
        self._counts[name] = total if before is None else before.add_(total)

    def _decisions(self, x: Tensor, values: list[Tensor]) -> list[Tensor]:
        """Return the class decided after each step of the read-out."""
        code, depth = self.network.code, self._last.depth
        decisions = []
        for t in range(1, code.steps + 1):
            given = []
            for source, value in zip(self._sources, values, strict=True):
                if source in self._plan.constants:
                    given.append(value * code.share(t))
                elif self._plan.depth[source] == depth - 1:
                    given.append(value if t == code.steps else code.prefix(value, t))
                else:
                    given.append(value)
            outputs = self._plan.tail(*self._readout[t - 1](*given), x)
            if outputs[0].ndim != 2:
                raise ConfigError(
                    "evaluate: expected outputs (batch, classes), got shape "
                    f"{tuple(outputs[0].shape)}. "
                    "Use simulate() and your own measure for other tasks."
                )
            decisions.append(outputs[0].argmax(1))
        return decisions

    def result(self) -> LengthResult:
        """Return what has been counted so far."""
        network, schedule = self.network, self.network.schedule()
        return LengthResult(
            T=network.T,
            steps=network.code.steps,
            k=network.code.k,
            samples=self.samples,
            labelled=self.labelled,
            correct=tuple(self.correct),
            agree=tuple(self.agree),
            compared=self.compared,
            latency_ticks=schedule.latency_ticks,
            ticks_per_input=schedule.ticks_per_input(2),
            layers=self._layers() if self._counting else (),
        )

    def _layers(self) -> tuple[LayerCount, ...]:
        graph, neurons = self.network.graph, self.network.neurons()
        fan_out = FanOut(self.network)
        additions = fan_out.additions(self._counts)
        order = {n: i for i, n in enumerate(graph.nodes)}
        found = [
            (
                order[r.name],
                LayerCount(
                    name=r.module or r.name
                    if ops.weighted(graph[r.name])
                    else f"{r.name} (shortcut)",
                    kind="layer" if ops.weighted(graph[r.name]) else "shortcut",
                    additions=additions.get(r.name, 0),
                    macs=r.macs,
                    analog_macs=r.analog_macs,
                ),
            )
            for r in fan_out.receivers
        ]
        found += [
            (
                order[n],
                LayerCount(
                    name=n,
                    kind="neurons",
                    spikes=int(self._counts[n].sum()) if n in self._counts else 0,
                    neurons=size,
                ),
            )
            for n, size in neurons.items()
        ]
        return tuple(layer for _, layer in sorted(found, key=lambda pair: pair[0]))


def evaluate(
    networks: Iterable[SpikingNetwork],
    batches: Iterable[Any],
    *,
    reference: Callable[[Tensor], Tensor] | None = None,
    simulator: Simulator = "collapsed",
    counting: bool = True,
) -> Result:
    """Measure one or several code lengths of a network on the same inputs.

    Args:
        networks: The network at each code length.
        batches: Tensors or (input, class) pairs.
        reference: The original network as a function of the input.
        simulator: ``"collapsed"`` or ``"reference"``.
        counting: Whether spikes and additions are counted.

    Raises:
        ConfigError: If the simulator is not known or outputs are no class scores.
        CalibrationError: If there is no batch, or one holds NaN or infinity.
        ShapeError: If an input has another shape than the network takes.
    """
    if simulator not in ("collapsed", "reference"):
        raise ConfigError(f"simulator: expected 'collapsed' or 'reference', got {simulator!r}.")
    counters = [
        Counter(n, simulator, counting=counting) for n in sorted(networks, key=lambda n: n.T)
    ]
    right = known = 0
    with Interrupts() as interrupts:
        for index, batch in enumerate(batches):
            right_here, known_here = _add_batch(counters, batch, index, reference)
            right, known = right + right_here, known + known_here
            if interrupts.requested:
                break
    if not counters or not counters[0].samples:
        if interrupts.requested:
            raise KeyboardInterrupt
        raise CalibrationError("evaluate: expected at least one batch, got none. Check the loader.")
    return Result(
        lengths=tuple(c.result() for c in counters),
        reference_correct=right,
        reference_samples=known,
        simulator=simulator,
        interrupted=interrupts.requested,
        provenance=dict(counters[-1].network.provenance),
    )


def _add_batch(
    counters: list[Counter],
    batch: Any,  # noqa: ANN401 - a tensor or an (input, class) pair
    index: int,
    reference: Callable[[Tensor], Tensor] | None,
) -> tuple[int, int]:
    """Add one batch to all counters; return the reference's right decisions, of how many."""
    right = known = 0
    x = inputs_of(batch)
    target = batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
    target = target if target is None else torch.as_tensor(target)
    if not bool(x.isfinite().all()):
        raise CalibrationError(
            f"batch {index}: expected finite numbers, got NaN or infinity. Clean the data."
        )
    outputs = None if reference is None else reference(x)
    if outputs is not None and target is not None:
        right += int((outputs.argmax(1) == target.to(outputs.device)).sum())
        known += x.shape[0]
    for counter in counters:
        counter.add(x, target, outputs)
    return right, known
