# SPDX-License-Identifier: Apache-2.0
"""The layered half of verification: every site is fed the same trains tick by tick."""

import torch
from torch import Tensor

from spikewright.graph import Node, ops
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_, fire_
from spikewright.neurons.max_gate import GateState
from spikewright.neurons.max_gate import step as gate_step
from spikewright.simulators.agreement import ROUNDING, FreeRun, SiteCheck, absolute
from spikewright.simulators.collapsed import Collapsed
from spikewright.simulators.layered import LayeredReference
from spikewright.simulators.stages import Stages, pool_operator

__all__ = ["check_layered"]


def check_layered(network: SpikingNetwork, x: Inputs) -> tuple[list[SiteCheck], FreeRun]:
    """Compare the collapsed simulator with the reference, site by site and run freely.

    Args:
        network: A network with the layered schedule.
        x: Inputs in its type and on its device, "batch *feature".
    """
    seen: dict[str, Tensor] = {}
    outputs = Collapsed(network)(x, lambda name, n: seen.update({name: n.clone()}))
    checks = _forced(network, x, seen)
    differ, live = 0, dict[str, Tensor]()

    def watch(name: str, t: int, spikes: Tensor) -> None:
        nonlocal differ
        if t == 1:
            live[name] = spikes.clone()
        else:
            accumulate_(live[name], spikes, network.code.k)
        if t == network.code.steps:
            n = live.pop(name)
            differ += int((~_same(n, seen[name], network)).sum())

    ticked = LayeredReference(network)(x, watch)
    return checks, FreeRun(outputs, ticked, differ)


def _same(a: Tensor, b: Tensor, network: SpikingNetwork) -> Tensor:
    """Compare decoded trains; with k < 2 two equal trains decode equally up to rounding."""
    return a == b if network.code.k in (1.0, 2.0) else (a - b).abs() < 1e-4 * network.code.max_value


def _forced(network: SpikingNetwork, x: Inputs, seen: dict[str, Tensor]) -> list[SiteCheck]:
    """Feed each site the collapsed simulator's trains, tick by tick, and compare what it fires."""
    plan, code = Stages(network), network.code
    constant = {
        name: value / plan.full
        for name, value in zip(plan.inputs, plan.prefix(*as_inputs(x)), strict=True)
    }
    sizes = Stages(absolute(network), tick=False)
    size_of = {
        name: value.abs()
        for name, value in zip(plan.inputs, plan.prefix(*as_inputs(x)), strict=True)
    }
    checks = [_check_gate(network, plan, n, seen) for n in _gates(plan)]
    for stage in plan.stages:
        residual = {s: seen[s].clone() for s in stage.sources if s in seen}
        v: list[Tensor] = []
        for t in range(code.steps):
            values = [
                _symbol(residual[s], code.weights[t], plan.is_signed(s))
                if s in residual
                else constant[s]
                for s in stage.sources
            ]
            currents = stage.program(*values)
            if t == 0:
                v = [c.clone() for c in currents]
            else:
                v = [accumulate_(a, c, code.k) for a, c in zip(v, currents, strict=True)]
        size_of.update({s: seen[s].abs() for s in stage.sources if s in seen})
        sums = sizes.stages[stage.depth - 1].program(*(size_of[s] for s in stage.sources))
        for target, potential, size in zip(stage.targets, v, sums, strict=True):
            if target.op == ops.ANALOG_RELAY:
                constant[target.name] = potential / plan.full
                size_of[target.name] = potential.abs()
            elif target.op != ops.READOUT:
                n = seen[target.name]
                checks.append(_check_site(network, plan, target, potential, n, size))
    return checks


def _symbol(residual: Tensor, weight: float, signed: bool) -> Tensor:
    """Take the next symbol off a decoded train, most significant first."""
    near = weight * (1 - 1e-5)  # k < 2: decoded sums carry rounding errors
    spikes = (residual >= near).to(residual.dtype)
    if signed:
        spikes -= (residual <= -near).to(residual.dtype)
    residual.sub_(spikes, alpha=weight)
    return spikes


def _gates(plan: Stages) -> list[Node]:
    return [n for group in plan.emitters.values() for n in group if ops.kind(n) == "pool"]


def _check_gate(
    network: SpikingNetwork, plan: Stages, gate: Node, seen: dict[str, Tensor]
) -> SiteCheck:
    program, pool = plan.pool_inputs[gate.name], pool_operator(network.graph, gate)
    residual = {g: seen[g].clone() for g in program.given}
    state: GateState | None = None
    total: Tensor | None = None
    for weight in network.code.weights:
        spikes = [_symbol(residual[g], weight, plan.is_signed(g)) for g in program.given]
        (wire,) = program(*spikes)
        out, state = gate_step(state, wire, pool, network.code.pool_base)
        total = out.clone() if total is None else accumulate_(total, out, network.code.k)
    expected = seen[gate.name]
    same = _same(total, expected, network) if total is not None else expected == expected
    return SiteCheck(gate.name, expected.numel(), 0, int((~same).sum()), 0.0, 0.0)


def _check_site(
    network: SpikingNetwork, plan: Stages, node: Node, v: Tensor, expected: Tensor, size: Tensor
) -> SiteCheck:
    code, site = network.code, network.sites[node.name]
    threshold = plan.threshold(node.name)
    target = v.clone()
    begin_fire_(target, plan.pre_bias(node.name), site.signed)
    in_units = target / threshold
    n = torch.zeros_like(v)
    for _ in range(code.steps):
        accumulate_(
            n,
            fire_(target, threshold * code.k ** (code.steps - 1), code.k, signed=site.signed),
            code.k,
        )
    differ = ~_same(n, expected, network)
    if not bool(differ.any()):
        return SiteCheck(node.name, v.numel(), 0, 0, 0.0, 0.0)
    rounding = 0.0 if network.integer else ROUNDING * torch.finfo(v.dtype).eps * code.steps**0.5
    tolerance = (size / threshold + 1.0)[differ] * rounding
    distance = _distance(in_units[differ], n[differ], expected[differ])
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
