# SPDX-License-Identifier: Apache-2.0
"""A synchronous run layer by layer: time is folded into the batch, neurons scan over it.

The network is feed-forward, so a layer's whole train is known when the train in front of it is.
Operators without state run once on "(time batch)", populations step through their currents in
order with the very same ``step_``: the spikes are those of the reference.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.batch import element_count
from spikewright.graph.ir import Inputs, Node, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.neurons import Firing, State, Stepping
from spikewright.simulators.base import Count, Probe
from spikewright.simulators.micro_batches import equal_parts, join
from spikewright.simulators.run_state import RunState, Watched, add_
from spikewright.simulators.tick_plan import BASE, GateStep, Total

__all__ = ["FOLDED_ELEMENTS", "Timefold", "scan", "scan_gate"]

FOLDED_ELEMENTS = 2_000_000
"""Elements of the largest population, over the ticks and inputs that are folded together: at this
size (8 MB) runs were fastest on CPUs. Longer runs are cut along time, populations keeping their
state, larger batches along the batch."""

TICKS = 4
"""Ticks that are folded together before more inputs are."""


class Timefold(Watched):
    """A compiled network; holds no state of a run.

    Args:
        network: A network with the synchronous schedule.
        chunk: Ticks folded together; chosen by memory if None.

    Raises:
        ConfigError: If ``chunk`` is below 1.
    """

    name: ClassVar[str] = "timefold"

    def __init__(self, network: SpikingNetwork, *, chunk: int | None = None) -> None:
        if chunk is not None and chunk < 1:
            raise ConfigError(f"chunk: expected at least 1 tick, got {chunk}.")
        super().__init__(network, self._site)
        self._chunk = chunk
        self._largest = max(element_count(n.shape) for n in network.spiking_nodes())

    def __call__(self, x: Inputs) -> tuple[Tensor, ...]:
        """Run a batch from fresh state and return the outputs after the last step."""
        found = []
        for part in self.split(x):
            total = Total(self.plan, part)
            for _ in self._ticks(part, total, None, None):
                pass
            found.append(total.outputs())
        return join(self.network, found)

    def split(self, x: Inputs) -> tuple[Inputs, ...]:
        """Cut a batch so that some ticks of a part fold into memory that stays in the cache."""
        ticks = self._chunk or min(TICKS, self.plan.steps)
        return equal_parts(x, FOLDED_ELEMENTS // (self._largest * ticks))

    def chunk(self, batch: int) -> int:
        """Return how many ticks are folded together for a batch."""
        if self._chunk is not None:
            return min(self._chunk, self.plan.steps)
        fit = FOLDED_ELEMENTS // (self._largest * batch)
        return max(1, min(fit, self.plan.steps))

    def over_time(
        self, x: Inputs, count: Count | None = None, probe: Probe | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield the outputs after each step; see :class:`Simulator`."""
        total = Total(self.plan, x)
        for _ in self._ticks(x, total, count, probe):
            yield total.outputs()

    def _ticks(
        self, x: Inputs, total: Total, count: Count | None, probe: Probe | None
    ) -> Iterator[None]:
        """Run chunk by chunk, pausing after every tick that has been added to the total."""
        run, constants = RunState(), self.plan.once(x)
        steps, chunk, done = self.plan.steps, self.chunk(as_inputs(x)[0].shape[0]), 0
        while done < steps and not run.at_rest:
            asleep = done >= self.plan.awake
            run.t, run.ticks = done + 1, min(chunk, self.plan.ticks_left_in_phase(done))
            run.at_rest = asleep
            self._watch(run, count, probe)
            currents = self.plan.run(constants, run.ticks, asleep=asleep)
            self._watch(RunState())
            yield from total.each(currents, run.ticks)
            done += run.ticks
        for _ in range(done, steps):
            yield
        self._tell(run, probe)

    def _site(self, node: Node, x: Tensor, overwrite: bool) -> Tensor:
        """Step one population or gate through the ticks of this chunk."""
        if node.op in (ops.READOUT, ops.ANALOG_RELAY):
            return x
        name, run = node.name, self._run
        constant = self.plan.is_constant(name)
        before = self.plan.batch[node.inputs[0]]
        train = x.expand(run.ticks, *x.shape) if constant else before.split(x, run.ticks)
        if ops.kind(node) == "pool":
            out, run.gates[name] = scan_gate(
                self.plan.gate,
                run.gates.get(name),
                train,
                self._pool[name],
                BASE,
            )
        else:
            neuron, firing = self.plan.neuron[name], self.plan.firing[name]
            state = run.neurons.get(name)
            if state is None:
                state = run.neurons[name] = neuron.begin(train[0], firing)
            if self._probe is not None:
                add_(run.entered, name, train.sum(0))
            own = overwrite and not constant
            out = scan(neuron, state, train, firing, train if own else None)
            run.at_rest = run.at_rest and not bool(out[-1].any())
        at = self.plan.batch[name]
        if self._count is not None:
            self._count(name, run.t, at.each_first(out))
        if self._probe is not None:
            add_(run.sent, name, out.sum(0))
            if ops.kind(node) == "pool":
                add_(run.entered, name, train.sum(0))
        return at.unsplit(out)


def scan_gate(
    gate: GateStep,
    state: Any,  # noqa: ANN401
    train: Tensor,
    pool: Callable[[Tensor], Tensor],
    base: float,
) -> tuple[Tensor, Any]:
    """Step a max-pool gate through a train.

    Args:
        gate: Its step function.
        state: What the last call returned, None at the start.
        train: Spikes, "time batch *map".
        pool: The network's max pool.
        base: The code's ``pool_base``.

    Returns:
        Output spikes "time batch *pooled" and the state for the next train.
    """
    sent = []
    for spikes in train:
        out, state = gate(state, spikes, pool, base)
        sent.append(out)
    return torch.stack(sent), state


def scan(
    neuron: type[Stepping],
    state: State,
    currents: Tensor,
    firing: Firing,
    out: Tensor | None = None,
) -> Tensor:
    """Step a population through a train of currents.

    Args:
        neuron: Its model.
        state: Its state before the train; overwritten.
        currents: "time batch *neuron".
        firing: Its constants.
        out: Memory for the spikes, which may be that of ``currents``; new if None.

    Returns:
        Spikes, "time batch *neuron".
    """
    spikes = torch.empty_like(currents) if out is None else out
    for current, sent in zip(currents, spikes, strict=True):
        neuron.step_(state, current, firing, sent)
    return spikes
