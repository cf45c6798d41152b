# SPDX-License-Identifier: Apache-2.0
"""The layered half of verification: every site is fed the same trains tick by tick."""

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.graph import Node, ops
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_
from spikewright.neurons.max_gate import register_type
from spikewright.neurons.max_gate import step as gate_step
from spikewright.simulators.agreement import ROUNDING, FreeRun, SiteCheck, absolute
from spikewright.simulators.collapsed import Collapsed
from spikewright.simulators.layered import LayeredReference, add_symbol_
from spikewright.simulators.stages import Stages, pool_operator

__all__ = ["check_layered"]


def check_layered(network: SpikingNetwork, x: Inputs) -> tuple[list[SiteCheck], FreeRun]:
    """Compare the collapsed simulator with the reference, site by site and run freely.

    Args:
        network: A network with the layered schedule.
        x: Inputs in its type and on its device, "batch *feature".
    """
    reference = LayeredReference(network)
    seen: dict[str, Tensor] = {}
    outputs = Collapsed(network)(x, lambda name, n: seen.update({name: n.clone()}))
    checks = _forced(reference, x, seen)
    differ, live = 0, dict[str, Tensor]()

    def watch(name: str, t: int, spikes: Tensor) -> None:
        nonlocal differ
        code = network.code_of(name)
        add_symbol_(live, name, spikes, code, t)
        if t == code.steps:
            differ += int((live.pop(name) != seen[name]).sum())

    ticked = reference(x, watch)
    return checks, FreeRun(outputs, ticked, differ)


def _forced(reference: LayeredReference, x: Inputs, seen: dict[str, Tensor]) -> list[SiteCheck]:
    """Feed each site the collapsed simulator's trains, tick by tick, and compare what it fires."""
    network, plan = reference.network, reference.plan
    constant = dict(zip(plan.inputs, plan.prefix(*as_inputs(x)), strict=True))
    sizes = Stages(absolute(network), tick=False)
    size_of = {name: _size(value) for name, value in constant.items()}
    checks = [_check_gate(network, plan, n, seen) for n in _gates(plan)]
    held = {h: p(*(seen[g] for g in p.given))[0] for h, p in plan.holds.items()}
    size_of.update({name: value.abs() for name, value in held.items()})
    potentials, spread = dict[str, Tensor](), dict[str, Tensor]()
    for stage in plan.stages:
        window = stage.window
        v: list[Tensor] = []
        for t in range(1, window.length + 1):
            values = []
            for s in stage.sources:
                if s in held:
                    values.append(held[s])
                    continue
                if s not in seen:
                    values.append(constant[s] / window.span)
                    continue
                code = network.code_of(s)
                step = t - window.length + code.steps
                values.append(_symbol(code, seen[s], step, weighed=window.mixed))
            currents = stage.program(*values)
            if not v:
                v = [c.clone() for c in currents]
            else:
                v = [accumulate_(a, c, window.k) for a, c in zip(v, currents, strict=True)]
        size_of.update({s: seen[s].abs() for s in stage.sources if s in seen})
        sums = sizes.stages[stage.depth - 1].program(*(size_of[s] for s in stage.sources))
        for target, potential, size in zip(stage.targets, v, sums, strict=True):
            if target.op == ops.ANALOG_RELAY:
                constant[target.name] = potential
                size_of[target.name] = potential.abs()
            elif target.op == ops.READOUT:
                potentials[target.name] = potential
                spread[target.name] = size * _rounding(network, potential, window.length)
            else:
                n = seen[target.name]
                checks.append(_check_site(reference, target, potential, n, size))
        for name, value in plan.load(stage.depth, potentials, x, constant).items():
            if name not in seen:
                constant[name], size_of[name] = value, _size(value)
                continue
            size = _size_of_function(plan, stage.depth, name, potentials, spread, x, constant)
            size = size / max(_rounding(network, value, window.length), 1e-300) + value.abs()
            checks.append(_check_site(reference, network.graph[name], value, seen[name], size))
    return checks


def _size(value: Tensor) -> Tensor:
    """Return the size of what is added up; masks choose between values, and have none."""
    return value if value.dtype == torch.bool else value.abs()


def _size_of_function(
    plan: Stages,
    depth: int,
    name: str,
    potentials: dict[str, Tensor],
    spread: dict[str, Tensor],
    x: Inputs,
    constant: dict[str, Tensor],
) -> Tensor:
    """Return by how much a function's values may differ for potentials that rounding has moved.

    Members of a group share what moves them, so the largest change of a sample counts for all.
    """
    rounded = torch.Generator(device=x.device if isinstance(x, Tensor) else "cpu").manual_seed(0)
    found = plan.load(depth, potentials, x, constant)[name]
    most = torch.zeros_like(found)
    for _ in range(2):
        moved = {
            n: v + s * (torch.rand(v.shape, generator=rounded, dtype=v.dtype).round() * 2 - 1)
            for (n, v), s in zip(potentials.items(), spread.values(), strict=True)
        }
        other = plan.load(depth, moved, x, constant)[name]
        most = torch.maximum(most, (other - found).abs())
    axes = tuple(range(1, most.ndim))
    return 2.0 * (most.amax(axes, keepdim=True) if axes else most).expand_as(most)


def _rounding(network: SpikingNetwork, value: Tensor, ticks: int) -> float:
    """Return how far rounding may move a sum of so many ticks, as a share of what is added up."""
    return 0.0 if network.integer else ROUNDING * torch.finfo(value.dtype).eps * float(ticks**0.5)


def _symbol(code: Code, n: Tensor, step: int, *, weighed: bool = False) -> Tensor:
    """Return what step ``step`` of the train of each decoded value sends; nothing before the first.

    Args:
        code: The code.
        n: Decoded values, "batch *neuron".
        step: Step, from 1; less before the train begins.
        weighed: Whether the symbol is multiplied by its step's weight.
    """
    if step < 1:
        return torch.zeros_like(n)
    symbol = code.prefix(n, step).sub_(code.prefix(n, step - 1))
    return symbol if weighed else symbol.div_(code.weights[step - 1])


def _gates(plan: Stages) -> list[Node]:
    return [n for group in plan.emitters.values() for n in group if ops.kind(n) == "pool"]


def _check_gate(
    network: SpikingNetwork, plan: Stages, gate: Node, seen: dict[str, Tensor]
) -> SiteCheck:
    program, pool = plan.pool_inputs[gate.name], pool_operator(network.graph, gate)
    code, state, total = network.code_of(gate.name), None, dict[str, Tensor]()
    for step in range(1, code.steps + 1):
        (wire,) = program(*(_symbol(code, seen[g], step) for g in program.given))
        kind = register_type(code.steps, wire.dtype, code.pool_base)
        out, state = gate_step(state, wire.to(kind), pool, code.pool_base)
        add_symbol_(total, gate.name, out, code, step)
    expected = seen[gate.name]
    wrong = int((total[gate.name] != expected).sum())
    return SiteCheck(gate.name, expected.numel(), 0, wrong, 0.0, 0.0)


def _fired(reference: LayeredReference, node: Node, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a population fires from a potential, decoded, and the potential in units."""
    plan, site = reference.plan, reference.network.sites[node.name]
    threshold = plan.threshold(node.name)
    target = begin_fire_(plan.entered(v.clone(), node.name), plan.pre_bias(node.name), site.signed)
    in_units, trains = target / threshold, dict[str, Tensor]()
    neuron, out = reference.neuron[node.name], torch.empty_like(target)
    for step in range(1, site.code.steps + 1):
        out = neuron.fire_(target, threshold, site.code, step, site.signed, out)
        add_symbol_(trains, node.name, out, site.code, step)
    return trains[node.name], in_units


def _check_site(
    reference: LayeredReference, node: Node, v: Tensor, expected: Tensor, size: Tensor
) -> SiteCheck:
    network, plan = reference.network, reference.plan
    site, threshold = network.sites[node.name], plan.threshold(node.name)
    n, in_units = _fired(reference, node, v)
    differ = n != expected
    if not bool(differ.any()):
        return SiteCheck(node.name, v.numel(), 0, 0, 0.0, 0.0)
    ticks = plan.stages[plan.depth[node.name] - 1].window.length if plan.depth[node.name] else 1
    rounding = _rounding(network, v, ticks)
    allowed = (size / threshold + 1.0) * rounding
    tolerance = allowed[differ]
    if site.function.by_firing and site.code.k and not site.code.both_signs:
        distance = _distance(in_units[differ], n[differ], expected[differ])
    else:  # an edge (of function or code) lies between the potential and one as far off as allowed
        around = [_fired(reference, node, v + s * allowed * threshold)[0] for s in (-1.0, 1.0)]
        low, high = torch.minimum(*around)[differ], torch.maximum(*around)[differ]
        within = (low <= expected[differ]) & (expected[differ] <= high)
        distance = torch.where(within, tolerance, torch.inf)
    far = distance > tolerance
    return SiteCheck(
        node.name,
        v.numel(),
        int((~far).sum()),
        int(far.sum()),
        float(distance[~far].max()) if bool((~far).any()) else 0.0,
        float(tolerance.max()),
    )


def _distance(target: Tensor, n: Tensor, other: Tensor) -> Tensor:
    """Return how far a target lies from the boundary between the two trains it was given.

    Both trains are the greedy code of the target up to rounding, so the boundary is the larger of
    their values in size: the smaller train is what lies just below it.
    """
    return (target.abs() - torch.maximum(n.abs(), other.abs())).abs()
