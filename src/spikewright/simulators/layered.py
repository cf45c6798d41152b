# SPDX-License-Identifier: Apache-2.0
"""The definition: a plain loop over ticks that a hardware designer would accept.

Populations keep a membrane, gates and delay lines keep a register; nothing grows with the number
of steps. Each tick, firing populations send one spike each at most, spikes become currents, and
accumulating populations take them in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Inputs, Node, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_, fire_
from spikewright.neurons.max_gate import GateState
from spikewright.neurons.max_gate import step as gate_step
from spikewright.simulators.base import Count, Probe
from spikewright.simulators.parts import join, split_for_cache
from spikewright.simulators.readout import LayeredReadOut
from spikewright.simulators.stages import Stage, Stages, pool_operator

__all__ = ["LayeredReference", "Membranes", "Tick", "Watch"]

PART_ELEMENTS = 400_000
"""Elements of an average population and part of a batch at which a tick ran fastest on CPUs."""

Watch = Callable[[str, int, Tensor], None]
"""Called with a source's name, the step 1..steps of its train, and its spikes of that tick."""


@dataclass
class Tick:
    """What a run has just done: step ``t`` of the populations of a depth."""

    depth: int
    t: int


@dataclass
class Membranes:
    """The state of one run; fresh for every run.

    Attributes:
        v: Membrane potential of each population.
        gates: Registers of the max-pool gates.
        held: Delay lines: the train so far as a register, most significant symbol first.
        replay: Delay lines that are being read.
        constant: Currents of one tick of the input and of analog relays.
        entered: What populations have accumulated when they begin to fire, if anybody asks.
        spikes: Spikes of this tick.
        buffers: Memory that is used again.
    """

    v: dict[str, Tensor] = field(default_factory=dict)
    gates: dict[str, GateState] = field(default_factory=dict)
    held: dict[str, Tensor] = field(default_factory=dict)
    replay: dict[str, Tensor] = field(default_factory=dict)
    constant: dict[str, Tensor] = field(default_factory=dict)
    entered: dict[str, Tensor] | None = None
    spikes: dict[str, Tensor] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)


class LayeredReference:
    """A compiled network, run tick by tick; holds no state of a run.

    Args:
        network: A network with the layered schedule.
    """

    name: ClassVar[str] = "reference"

    def __init__(self, network: SpikingNetwork) -> None:
        self.network = network
        self.plan = Stages(network)
        self._signed = {n: s.signed for n, s in network.sites.items()}
        self._pool = {
            n.name: pool_operator(network.graph, n)
            for group in self.plan.emitters.values()
            for n in group
            if ops.kind(n) == "pool"
        }

    def __call__(self, x: Inputs, watch: Watch | None = None) -> tuple[Tensor, ...]:
        """Run a batch from fresh state.

        Args:
            x: Inputs in the network's type and on its device, ``"batch *feature"``.
            watch: Called for every source at every tick, with the whole batch.

        Returns:
            The outputs.
        """
        parts = (x,) if watch is not None else self.split(x)
        outputs = []
        for part in parts:
            state = Membranes()
            for _ in self.ticks(part, state, watch):
                pass
            outputs.append(self.decide(part, state))
        return join(self.network, outputs)

    def split(self, x: Inputs) -> tuple[Inputs, ...]:
        """Cut a batch into parts whose potentials stay in the processor's cache."""
        return split_for_cache(self.network, x, PART_ELEMENTS)

    @cached_property
    def _readout(self) -> LayeredReadOut:
        return LayeredReadOut(self.network)

    def over_time(
        self, x: Inputs, count: Count | None = None, probe: Probe | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield the outputs after each step of the read-out; see :class:`Simulator`."""
        code, readout = self.network.code, self._readout
        trains: dict[str, Tensor] = {}
        entered: dict[str, Tensor] = {}
        state = Membranes(entered=entered if probe is not None else None)

        def watch(name: str, t: int, spikes: Tensor) -> None:
            if t == 1:
                trains[name] = spikes.clone()
            else:
                accumulate_(trains[name], spikes, code.k)
            if t == code.steps:
                n = trains[name] if name in readout.sources else trains.pop(name)
                if count is not None:
                    count(name, t, self.plan.batch[name].first(n).unsqueeze(0))
                if probe is not None and name in entered:
                    probe(name, entered.pop(name), n)

        for _ in self.ticks(x, state, watch):
            pass
        analog = {n: v * self.plan.full for n, v in state.constant.items()}
        values = [trains[s] if s in trains else analog[s] for s in readout.sources]
        yield from readout(x, values)

    def decide(self, x: Inputs, state: Membranes) -> tuple[Tensor, ...]:
        """Return the outputs from the read-outs' potentials after their last step."""
        return self.plan.tail(*(state.v[r] for r in self.plan.readouts), *as_inputs(x))

    def ticks(self, x: Inputs, state: Membranes, watch: Watch | None = None) -> Iterator[Tick]:
        """Run one input, yielding after every tick.

        Args:
            x: Inputs, "batch *feature".
            state: Where potentials and registers are kept.
            watch: Called for every source at every tick.

        Yields:
            Which depth has accumulated its t-th step.
        """
        plan, steps = self.plan, self.network.code.steps
        for name, value in zip(plan.inputs, plan.prefix(*as_inputs(x)), strict=True):
            state.constant[name] = value / plan.full
        for site in plan.emitters.get(0, ()):
            if site.op == ops.INPUT_SITE:
                state.v[site.name] = self._input(site, state)
        for stage in plan.stages:
            self._open(stage, state)
            currents: tuple[Tensor, ...] | None = None
            for t in range(1, steps + 1):
                self._fire(stage.depth - 1, t, state, watch)
                if currents is None or not stage.constant:
                    currents = self._currents(stage, state)
                for target, current in zip(stage.targets, currents, strict=True):
                    v = state.v.get(target.name)
                    if v is None:
                        shared = _is_view(current) or any(current is u for u in state.v.values())
                        state.v[target.name] = (
                            current.clone() if stage.constant or shared else current
                        )
                    else:
                        accumulate_(v, current, self.network.code.k)
                yield Tick(stage.depth, t)
            self._close(stage, state)

    def _input(self, site: Node, state: Membranes) -> Tensor:
        value = state.constant[site.inputs[0]] * self.plan.full
        if state.entered is not None:
            state.entered[site.name] = value.clone()
        return begin_fire_(value.clone(), self.plan.pre_bias(site.name), self._signed[site.name])

    def _open(self, stage: Stage, state: Membranes) -> None:
        """Start reading the delay lines that this stage needs."""
        for source in stage.sources:
            late = source in state.held and self.plan.depth[source] < stage.depth - 1
            if late:
                last = self.plan.last_reader[source] == stage.depth
                state.replay[source] = (
                    state.held.pop(source) if last else state.held[source].clone()
                )

    def _close(self, stage: Stage, state: Membranes) -> None:
        """Let what has been accumulated fire next; drop what nobody reads any more."""
        for target in stage.targets:
            if target.op == ops.ANALOG_RELAY:
                state.constant[target.name] = state.v.pop(target.name).div_(self.plan.full)
            elif target.op != ops.READOUT:
                if state.entered is not None:
                    state.entered[target.name] = state.v[target.name].clone()
                begin_fire_(
                    state.v[target.name], self.plan.pre_bias(target.name), self._signed[target.name]
                )
        for source in stage.sources:
            state.replay.pop(source, None)
        for site in self.plan.emitters.get(stage.depth - 1, ()):
            for table in (state.v, state.gates, state.spikes, state.buffers):
                table.pop(site.name, None)

    def _fire(self, depth: int, t: int, state: Membranes, watch: Watch | None) -> None:
        """Let the populations of a depth fire step ``t`` and their gates pass it on."""
        k, steps = self.network.code.k, self.network.code.steps
        for node in self.plan.emitters.get(depth, ()):
            name = node.name
            if ops.kind(node) == "pool":
                program = self.plan.pool_inputs[name]
                (spikes,) = program(*(state.spikes[g] for g in program.given))
                out, state.gates[name] = gate_step(
                    state.gates.get(name), spikes, self._pool[name], self.network.code.pool_base
                )
            else:
                v = state.v[name]
                if name not in state.buffers:
                    state.buffers[name] = torch.empty_like(v)
                out = fire_(
                    v,
                    self.plan.threshold(name) * k ** (steps - 1),
                    k,
                    signed=self._signed[name],
                    out=state.buffers[name],
                )
            state.spikes[name] = out
            if self.plan.last_reader.get(name, 0) > depth + 1:
                self._hold(name, out, t, state)
            if watch is not None:
                watch(name, t, out)

    def _hold(self, name: str, spikes: Tensor, t: int, state: Membranes) -> None:
        if t == 1:
            state.held[name] = spikes.clone()
        else:
            accumulate_(state.held[name], spikes, self.network.code.pool_base)

    def _currents(self, stage: Stage, state: Membranes) -> tuple[Tensor, ...]:
        values = []
        for source in stage.sources:
            if source in state.replay:
                values.append(self._replayed(source, state))
            elif source in state.constant:
                values.append(state.constant[source])
            else:
                values.append(state.spikes[source])
        return stage.program(*values)

    def _replayed(self, source: str, state: Membranes) -> Tensor:
        """Read the next symbol of a delay line."""
        signed = self.plan.is_signed(source)
        key = f"{source}/replay"
        register = state.replay[source]
        if key not in state.buffers or state.buffers[key].shape != register.shape:
            state.buffers[key] = torch.empty_like(register)
        base = self.network.code.pool_base  # trains order like numbers of this base
        first = base ** (self.network.code.steps - 1)
        return fire_(register, first, base, signed=signed, out=state.buffers[key])


def _is_view(tensor: Tensor) -> bool:
    return tensor._base is not None
