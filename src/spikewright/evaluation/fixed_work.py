# SPDX-License-Identifier: Apache-2.0
"""Work that does not depend on the spikes: constant currents, neuron steps, gates, memory.

Counted as the tick-by-tick definition does it. Every constant that reaches a potential (biases,
the current of an analog input) is one addition a tick, however many layers it comes through,
because it can be summed before the run. A neuron's own arithmetic is what it declares
(`Stepping.effort`); that of the inverse-LIF neuron is two inflations and a comparison a step, the
first and the last inflation of a train left out, since they act on zero and on what is dropped.
Few-spikes trains have step weights without a ratio: neurons do not grow; who takes them in
multiplies the sum of each tick by the step's weight, one multiplication a neuron and step.
Registers take in a train as neurons do and are then read, not fired.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from spikewright.codes import Code, Lookup
from spikewright.graph import Graph, Node, ops
from spikewright.graph.batch import element_count
from spikewright.graph.windows import pool_members
from spikewright.network import LayeredTiming, SpikingNetwork
from spikewright.neurons import Accumulating, Neuron, Stepping, neurons
from spikewright.neurons.base import Effort
from spikewright.simulators.stages import Stages

__all__ = ["FixedWork", "equal_bits", "fixed_work_of", "is_shift"]


@dataclass(frozen=True, kw_only=True)
class FixedWork:
    """What one population, read-out, gate or register does for one input whatever its spikes are.

    Attributes:
        values: Values that it stands for in the original network.
        potentials: Numbers kept from step to step.
        updates: Ticks in which each of its neurons reads and writes its state, summed over them.
        constants: Additions of constant or held currents.
        factors: Multiplications of potentials (inflation, leak).
        shifts: Those by a power of two.
        comparisons: Comparisons with thresholds and bounds, in gates with other members.
        compared: Comparisons that the original network does there.
        evaluated: Curves that it evaluates there at one point, where few-spikes neurons do not.
        per_spike: Additions for each unit spike that it sends.
        delayed: Bits that its delay line holds: one a symbol, two where spikes have a sign.
    """

    values: int = 0
    potentials: int = 0
    updates: int = 0
    constants: int = 0
    factors: int = 0
    shifts: int = 0
    comparisons: int = 0
    compared: int = 0
    evaluated: int = 0
    per_spike: int = 0
    delayed: int = 0


def is_shift(factor: float) -> bool:
    """Tell whether a multiplication is a shift of binary digits.

    Example:
        >>> [is_shift(f) for f in (2.0, 0.5, 1.0, 1.5, 0.0)]
        [True, True, True, False, False]
    """
    return factor > 0 and float(torch.frexp(torch.tensor(factor, dtype=torch.float64))[0]) == 0.5


def equal_bits(largest: float) -> int:
    """Return the bits of a whole number that can be as large as a train: ⌈log2(largest + 1)⌉.

    T bits for a binary radix code of T steps, ⌈log2(T + 1)⌉ for a rate code.

    Example:
        >>> equal_bits(255.0), equal_bits(16.0), equal_bits(15.0), equal_bits(87.4)
        (8, 5, 4, 7)
    """
    bits = 0
    while 2.0**bits < largest + 1.0:
        bits += 1
    return bits


def fixed_work_of(network: SpikingNetwork) -> dict[str, FixedWork]:
    """Return the work of every population, read-out, gate and register, in execution order."""
    plan = Stages(network)
    graph, constants = network.graph, plan.constants
    delays: dict[str, int] = {}
    timing = network.timing()
    if isinstance(timing, LayeredTiming):
        for line in timing.delays:  # one line with taps serves all that read it
            delays[line.source] = max(delays.get(line.source, 0), line.ticks)
    emitters = {n.name for group in plan.emitters.values() for n in group}
    known = neurons()  # looked up once
    found: dict[str, FixedWork] = {}
    for node in graph:
        bits = 2 if node.name in emitters and plan.sends_signs(node.name) else 1
        delayed = delays.get(node.name, 0) * element_count(node.shape) * bits
        if node.name in emitters and ops.kind(node) == "pool":
            found[node.name] = _gate(network, node, known, delayed)
        elif ops.kind(node) == "site":
            constant = _is_constant(graph, node, emitters, constants)
            found[node.name] = _site(network, node, plan, known, constant, delayed)
        elif ops.kind(node) == "hold":
            found[node.name] = _register(network, node, plan)
    return found


def _register(network: SpikingNetwork, node: Node, plan: Stages) -> FixedWork:
    """Count what registers do while they take in a train: they are potentials that never fire."""
    values, window = element_count(node.shape), plan.stages[plan.depth[node.name] - 1].window
    held = any(network.code_of(source).holds for source in plan.holds[node.name].given)
    return FixedWork(
        values=values,
        potentials=values * (1 + int(held)),
        updates=values * window.length,
        constants=values * window.length * int(held),
        **_inflations(values, [(window.length - 1, window.k)], _weighed(network, node, plan)),
    )


def _inflations(
    values: int, every: Iterable[tuple[int, float]], weighed: int = 0
) -> dict[str, int]:
    """Return multiplications of potentials, and those by powers of two: (times, ratio) each.

    A ratio of 0 is none; ``weighed`` currents are multiplied by a step's weight instead.
    """
    changing = [(times, ratio) for times, ratio in every if times > 0 and ratio not in (0.0, 1.0)]
    return {
        "factors": values
        * (weighed + sum(times for times, ratio in changing if not is_shift(ratio))),
        "shifts": values * sum(times for times, ratio in changing if is_shift(ratio)),
    }


def _site(
    network: SpikingNetwork,
    node: Node,
    plan: Stages,
    known: Lookup[type[Neuron]],
    constant: bool,
    delayed: int,
) -> FixedWork:
    code, site = network.sites[node.name].code, network.sites[node.name]
    values, fires = element_count(node.shape), node.op in ops.SPIKING_OPS
    neuron = known[site.neuron] if fires else None
    if neuron is None or not issubclass(neuron, Stepping):
        own = neuron.comparators if neuron and issubclass(neuron, Accumulating) else 1
        each = max(2 if site.signed else 1, own) if fires else 0
        effort = Effort(comparisons=each, per_spike=int(fires))
        kept = 1
    else:
        effort, kept = neuron.effort(network.firing(node.name)), len(neuron.states)
    trains = network.schedule.counting == "trains"  # takes in whole ones, then sends one
    loaded = trains and node.name in plan.loaded  # its value is loaded at once
    depth = plan.depth[node.name]
    if trains:
        window = plan.stages[max(depth, 1) - 1].window
        taking = 0 if loaded else window.length
        sending = code.steps if fires else 0
        inflations = [(taking - 1, window.k), (sending - 1, code.k)]
        weighed = 0 if loaded else _weighed(network, node, plan)
    else:
        taking, sending = network.steps if kept else 0, 0
        inflations, weighed = [(network.steps, effort.factor)], 0
    held = code.holds and taking > 0
    entering = min(taking, network.awake) if not trains else taking
    return FixedWork(
        values=values,
        potentials=values * (kept + int(held)),
        updates=values * (taking + sending) if kept else 0,
        constants=values * entering * int(constant or held),
        **_inflations(values, inflations, weighed),
        comparisons=values * (code.steps if trains else network.steps) * effort.comparisons,
        compared=values if node.op == ops.RECTIFY and node.name not in plan.loaded else 0,
        evaluated=values if node.op == ops.CURVE else 0,
        per_spike=effort.per_spike,
        delayed=delayed,
    )


def _weighed(network: SpikingNetwork, node: Node, plan: Stages) -> int:
    """Return how often a step's weight without ratio multiplies what its spikes bring to a neuron.

    The sum of a tick's synapses is multiplied, once for each code that enters.
    """
    emitters = {n.name for group in plan.emitters.values() for n in group}
    codes, todo, seen = set[Code](), list(node.inputs[:1]), set[str]()
    while todo:
        before = network.graph[todo.pop()]
        if before.name in seen:
            continue
        seen.add(before.name)
        if before.name in emitters:
            codes.add(network.code_of(before.name))
        elif ops.kind(before) not in ("site", "shape", "hold"):
            todo.extend(before.inputs)
    return sum(code.steps for code in codes if code.k == 0.0)


def _gate(
    network: SpikingNetwork, node: Node, known: Lookup[type[Neuron]], delayed: int
) -> FixedWork:
    """Count a gate's members: each is compared, and a state kept for each and for the winner."""
    members = pool_members(network.graph, node)
    before, values = element_count(network.graph[node.inputs[0]].shape), element_count(node.shape)
    kept, steps = len(known[network.gate].states), network.code_of(node.name).steps
    return FixedWork(
        values=values,
        potentials=before + values if kept else 0,
        updates=values * steps if kept else 0,
        comparisons=members * steps,
        compared=members,
        delayed=delayed,
    )


def _is_constant(
    graph: Graph, site: Node, emitters: Iterable[str], constants: Iterable[str]
) -> bool:
    """Tell whether a bias or an analog value reaches a site between it and the spikes before."""
    stop, analog = {*emitters, *(n.name for n in graph if ops.kind(n) == "hold")}, set(constants)
    todo, seen = list(site.inputs[:1]), set[str]()
    while todo:
        node = graph[todo.pop()]
        if node.name in seen or node.name in stop:
            continue
        seen.add(node.name)
        spec = ops.weighted(node)
        biased = spec is not None and len(node.args) > spec.bias and node.args[spec.bias]
        if node.name in analog or node.name in graph.inputs or biased or ops.is_constant_add(node):
            return True
        todo.extend(node.inputs)
    return False
