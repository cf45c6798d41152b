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

from spikewright.codes import Code
from spikewright.graph import ops
from spikewright.graph.ir import Inputs, Node, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.neurons import accumulating
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_
from spikewright.neurons.max_gate import GateState, register_type
from spikewright.neurons.max_gate import step as gate_step
from spikewright.simulators.base import Count, Probe
from spikewright.simulators.delay_line import hold_, replay_
from spikewright.simulators.micro_batches import join, split_for_cache
from spikewright.simulators.readout import LayeredReadOut
from spikewright.simulators.stages import Stage, Stages, pool_operator

__all__ = ["LayeredReference", "Membranes", "Tick", "Watch", "add_symbol_"]

PART_ELEMENTS = 400_000
"""Elements of an average population and part of a batch at which a tick ran fastest on CPUs."""

Watch = Callable[[str, int, Tensor], None]
"""Called with a source's name, the step 1, 2, … of its train, and its spikes of that tick."""


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
        held: Delay lines that are being filled.
        replay: Delay lines that are being read.
        constant: Currents of one tick of the input and of analog relays.
        trains: Trains of which a product's registers take in, decoded so far.
        registers: Held factors of products.
        entered: What populations have accumulated when they begin to fire, if anybody asks.
        spikes: Spikes of this tick.
        buffers: Memory that is used again.
    """

    v: dict[str, Tensor] = field(default_factory=dict)
    gates: dict[str, GateState] = field(default_factory=dict)
    held: dict[str, Tensor] = field(default_factory=dict)
    replay: dict[str, Tensor] = field(default_factory=dict)
    constant: dict[str, Tensor] = field(default_factory=dict)
    trains: dict[str, Tensor] = field(default_factory=dict)
    registers: dict[str, Tensor] = field(default_factory=dict)
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
        emitters = [n for group in self.plan.emitters.values() for n in group]
        self._signed = {n: s.signed for n, s in network.sites.items()}
        self._code = {n.name: network.code_of(n.name) for n in emitters}
        self._pool = {
            n.name: pool_operator(network.graph, n) for n in emitters if ops.kind(n) == "pool"
        }
        self._registered = {g for program in self.plan.holds.values() for g in program.given}
        names = {n.name: network.sites[n.name].neuron for n in emitters if ops.kind(n) == "site"}
        known = {name: accumulating(name) for name in set(names.values())}  # each looked up once
        self.neuron = {n: known[name] for n, name in names.items()}

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
        readout = self._readout
        trains: dict[str, Tensor] = {}
        entered: dict[str, Tensor] = {}
        state = Membranes(entered=entered if probe is not None else None)

        def watch(name: str, t: int, spikes: Tensor) -> None:
            code = self._code[name]
            add_symbol_(trains, name, spikes, code, t)
            if t == code.steps:
                n = trains[name] if name in readout.sources else trains.pop(name)
                if count is not None:
                    count(name, t, self.plan.batch[name].first(n).unsqueeze(0))
                if probe is not None and name in entered:
                    probe(name, entered.pop(name), n)

        for _ in self.ticks(x, state, watch):
            pass
        known = state.constant | state.registers | trains
        values = [known[s] for s in readout.sources]
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
        plan = self.plan
        for name, value in zip(plan.inputs, plan.prefix(*as_inputs(x)), strict=True):
            state.constant[name] = value
        for site in plan.emitters.get(0, ()):
            if site.op == ops.INPUT_SITE:
                self._load(site, state.constant[site.inputs[0]], state)
        for stage in plan.stages:
            self._open(stage, state)
            currents: tuple[Tensor, ...] | None = None
            for t in range(1, stage.window.length + 1):
                self._fire(stage, t, state, watch)
                if currents is None or not stage.constant:
                    currents = self._currents(stage, t, state)
                for target, current in zip(stage.targets, currents, strict=True):
                    v = state.v.get(target.name)
                    if v is None:
                        shared = _is_view(current) or any(current is u for u in state.v.values())
                        state.v[target.name] = (
                            current.clone() if stage.constant or shared else current
                        )
                    else:
                        accumulate_(v, current, stage.window.k)
                yield Tick(stage.depth, t)
            self._close(stage, state, x)

    def _load(self, site: Node, value: Tensor, state: Membranes) -> None:
        """Load neurons with a complete value: the input's, or a function's."""
        if site.op == ops.ANALOG_RELAY:
            state.constant[site.name] = value
            return
        if state.entered is not None:
            state.entered[site.name] = value.clone()
        state.v[site.name] = self._begin_fire(site.name, value.clone())

    def _begin_fire(self, name: str, v: Tensor) -> Tensor:
        """Turn what has entered into what is fired: first the function, then the pre-bias."""
        v = self.plan.entered(v, name)
        return begin_fire_(v, self.plan.pre_bias(name), self._signed[name])

    def _open(self, stage: Stage, state: Membranes) -> None:
        """Start reading the delay lines that this stage needs."""
        for source in stage.sources:
            late = source in state.held and self.plan.depth[source] < stage.depth - 1
            if late:
                last = self.plan.last_reader[source] == stage.depth
                state.replay[source] = (
                    state.held.pop(source) if last else state.held[source].clone()
                )

    def _close(self, stage: Stage, state: Membranes, x: Inputs) -> None:
        """Let what has been accumulated fire next; drop what nobody reads any more."""
        plan = self.plan
        for target in stage.targets:
            if target.op == ops.ANALOG_RELAY:
                state.constant[target.name] = state.v.pop(target.name)
            elif target.op != ops.READOUT:
                if state.entered is not None:
                    state.entered[target.name] = state.v[target.name].clone()
                state.v[target.name] = self._begin_fire(target.name, state.v[target.name])
        for name, program in plan.holds.items():
            if plan.depth[name] == stage.depth:
                trains = (state.trains.get(g, state.constant.get(g)) for g in program.given)
                (state.registers[name],) = program(*trains)
        if stage.depth in plan.regions:
            values = plan.load(stage.depth, state.v, x, state.constant)
            for site in plan.regions[stage.depth].nodes:
                self._load(site, values[site.name], state)
        for name, last in plan.last_function.items():
            if last == stage.depth:
                state.v.pop(name, None)
        for source in stage.sources:
            state.replay.pop(source, None)
            if plan.last_reader[source] == stage.depth < len(plan.stages):
                state.registers.pop(source, None)
        for site in self.plan.emitters.get(stage.depth - 1, ()):
            for table in (state.v, state.gates, state.spikes, state.buffers):
                table.pop(site.name, None)

    def _fire(self, stage: Stage, t: int, state: Membranes, watch: Watch | None) -> None:
        """Let the populations before a stage fire in its tick ``t``; gates pass it on."""
        for node in self.plan.emitters.get(stage.depth - 1, ()):
            name, code = node.name, self._code[node.name]
            step = t - stage.window.length + code.steps  # a train ends with the stage
            if step < 1:
                continue
            if ops.kind(node) == "pool":
                program = self.plan.pool_inputs[name]
                (spikes,) = program(*(state.spikes[g] for g in program.given))
                kind = register_type(code.steps, spikes.dtype, code.pool_base)
                pooled, state.gates[name] = gate_step(
                    state.gates.get(name), spikes.to(kind), self._pool[name], code.pool_base
                )
                out = pooled.to(spikes.dtype)
            else:
                v, threshold = state.v[name], self.plan.threshold(name)
                if name not in state.buffers:
                    state.buffers[name] = torch.empty_like(v)
                out = self.neuron[name].fire_(
                    v, threshold, code, step, self._signed[name], state.buffers[name]
                )
            state.spikes[name] = out
            if name in self._registered:
                add_symbol_(state.trains, name, out, code, step)
            if self.plan.last_reader.get(name, 0) > stage.depth:
                state.held[name] = hold_(state.held.get(name), out, code, step)
            if watch is not None:
                watch(name, step, out)

    def _currents(self, stage: Stage, t: int, state: Membranes) -> tuple[Tensor, ...]:
        window = stage.window
        values = []
        for source in stage.sources:
            if source in state.constant:
                values.append(state.constant[source] / window.span)
                continue
            if source in state.registers:
                values.append(state.registers[source])
                continue
            code = self._code[source]
            step = t - window.length + code.steps
            if step < 1:
                values.append(self._silent(source, state))
                continue
            late = source in state.replay
            value = self._replayed(source, step, state) if late else state.spikes[source]
            values.append(value * code.weights[step - 1] if window.mixed else value)
        return stage.program(*values)

    def _silent(self, source: str, state: Membranes) -> Tensor:
        """Return no spikes of a source whose train has not begun."""
        like = state.replay.get(source, state.v.get(source))
        if like is not None:
            return torch.zeros_like(like)
        program = self.plan.pool_inputs[source]
        (wire,) = program(*(self._silent(g, state) for g in program.given))
        return self._pool[source](wire)

    def _replayed(self, source: str, step: int, state: Membranes) -> Tensor:
        """Read the next symbol of a delay line."""
        register, key = state.replay[source], f"{source}/replay"
        if key not in state.buffers or state.buffers[key].shape != register.shape:
            state.buffers[key] = torch.empty_like(register)
        signed = self.plan.is_signed(source)
        sent = replay_(register, self._code[source], step, signed, state.buffers[key])
        return sent.to(self.network.dtype)


def add_symbol_(
    trains: dict[str, Tensor], name: str, spikes: Tensor, code: Code, step: int
) -> None:
    """Add a symbol to the value of a train, kept by name.

    Args:
        trains: Value of each train so far, in units.
        name: The train.
        spikes: Its symbol of this step, "batch *neuron".
        code: The code that it is written in.
        step: Step, from 1.
    """
    weight = code.weights[step - 1]
    if step == 1:
        trains[name] = spikes * weight
    else:
        trains[name].add_(spikes, alpha=weight)


def _is_view(tensor: Tensor) -> bool:
    return tensor._base is not None
