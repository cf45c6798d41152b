# SPDX-License-Identifier: Apache-2.0
"""Proof on the user's own network that the simulators compute the same spikes.

Both simulators are given the same trains at every site, so that a disagreement is found where it
arises. In integers none is allowed. In float the two sum in different orders, and may disagree
only where a potential lies within rounding error of a boundary between two trains; those near-ties
are listed, anything else is a failure.
"""

import dataclasses
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Node, ops
from spikewright.network import SpikingNetwork
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_, fire_
from spikewright.neurons.max_gate import GateState
from spikewright.neurons.max_gate import step as gate_step
from spikewright.simulators.collapsed import Collapsed
from spikewright.simulators.layered import LayeredReference
from spikewright.simulators.stages import Stages, pool_operator
from spikewright.text import counted, table

__all__ = ["SiteCheck", "Verification", "verify"]

ROUNDING = 8.0
"""A near-tie may be away from its boundary by this many rounding errors of the sum of the absolute
values of everything that was added up to the potential, times the square root of the steps."""


@dataclass(frozen=True)
class SiteCheck:
    """What was found at one population or max-pool gate.

    Attributes:
        site: Its name.
        values: How many trains were compared.
        near_ties: How many differ although within tolerance of a boundary.
        mismatches: How many differ beyond it; must be 0.
        distance: Largest distance of a near-tie from its boundary, in units.
        tolerance: What was allowed, in units.
    """

    site: str
    values: int
    near_ties: int
    mismatches: int
    distance: float
    tolerance: float


@dataclass(frozen=True)
class Verification:
    """The outcome of :func:`verify`.

    Attributes:
        integer: Whether equality was required bit for bit.
        samples: Inputs used.
        sites: One check for each population and gate.
        decisions_differ: Inputs for which the two simulators, run freely, decide differently.
        spikes_differ: Trains that differ in the free runs.
        output_gap: Largest difference of an output in the free runs.
    """

    integer: bool
    samples: int
    sites: tuple[SiteCheck, ...]
    decisions_differ: int
    spikes_differ: int
    output_gap: float

    @property
    def mismatches(self) -> int:
        """Trains that differ without excuse."""
        return sum(s.mismatches for s in self.sites)

    @property
    def near_ties(self) -> int:
        """Trains that differ at near-ties."""
        return sum(s.near_ties for s in self.sites)

    @property
    def agrees(self) -> bool:
        """Whether the simulators agree: bit for bit in integers, else apart from near-ties."""
        exact = self.spikes_differ == 0 and self.output_gap == 0.0
        return self.mismatches == 0 and (exact or not self.integer)

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data."""
        return {
            "agrees": self.agrees,
            "near_ties": self.near_ties,
            "mismatches": self.mismatches,
            **asdict(self),
        }

    def table(self, width: int = 80) -> str:
        """Return a verdict and every site at which anything differed."""
        values = sum(s.values for s in self.sites)
        kind = "integer: bit for bit" if self.integer else "float: apart from near-ties"
        lines = [
            f"reference and collapsed {'agree' if self.agrees else 'DISAGREE'} ({kind})",
            f"{counted(values, 'train')} at {counted(len(self.sites), 'site')}, "
            f"{counted(self.samples, 'input')}: "
            f"{counted(self.mismatches, 'mismatch', 'mismatches')}, "
            f"{counted(self.near_ties, 'near-tie')}",
            f"run freely: {self.spikes_differ:,} trains and {self.decisions_differ} decisions "
            "differ, "
            f"outputs by at most {self.output_gap:.3g}",
        ]
        odd = [s for s in self.sites if s.near_ties or s.mismatches]
        if odd:
            rows = [
                [
                    s.site,
                    f"{s.values:,}",
                    str(s.near_ties),
                    str(s.mismatches),
                    f"{s.distance:.1e}",
                    f"{s.tolerance:.1e}",
                ]
                for s in odd
            ]
            head = ["site", "trains", "near-ties", "mismatches", "distance", "allowed"]
            lines += ["", table(head, rows, width=width)]
        return "\n".join(lines)


def verify(network: SpikingNetwork, x: Tensor) -> Verification:
    """Compare the simulators site by site on the same trains, and run freely.

    Args:
        network: A converted network.
        x: A few inputs, "batch *feature".

    Returns:
        What was found; see :attr:`Verification.agrees`.

    Raises:
        ShapeError: If the input has another shape than the network takes.
    """
    x = network.check_input(x)
    with torch.no_grad():
        seen: dict[str, Tensor] = {}
        collapsed = Collapsed(network)
        outputs = collapsed(x, lambda name, n: seen.update({name: n.clone()}))
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
    gap = max(float((a - b).abs().max()) for a, b in zip(outputs, ticked, strict=True))
    decide = int((outputs[0].flatten(1).argmax(1) != ticked[0].flatten(1).argmax(1)).sum())
    return Verification(
        integer=network.integer,
        samples=x.shape[0],
        sites=tuple(checks),
        decisions_differ=decide,
        spikes_differ=differ,
        output_gap=gap,
    )


def _same(a: Tensor, b: Tensor, network: SpikingNetwork) -> Tensor:
    """Compare decoded trains; with k < 2 two equal trains decode equally up to rounding."""
    return a == b if network.code.k == 2.0 else (a - b).abs() < 1e-4 * network.code.max_value


def _forced(network: SpikingNetwork, x: Tensor, seen: dict[str, Tensor]) -> list[SiteCheck]:
    """Feed each site the collapsed simulator's trains, tick by tick, and compare what it fires."""
    plan, code = Stages(network), network.code
    constant = {
        name: value / plan.full for name, value in zip(plan.inputs, plan.prefix(x), strict=True)
    }
    sizes = Stages(_absolute(network), tick=False)
    size_of = {name: value.abs() for name, value in zip(plan.inputs, plan.prefix(x), strict=True)}
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


def _absolute(network: SpikingNetwork) -> SpikingNetwork:
    """Return the network with all weights and biases positive: what it adds up, without signs."""
    graph = network.graph.copy()
    graph.params = {n: t.abs() if t.is_floating_point() else t for n, t in graph.params.items()}
    for node in graph:
        if node.op == "aten.sub.Tensor":
            graph.update(dataclasses.replace(node, op="aten.add.Tensor"))
    return dataclasses.replace(network, graph=graph)


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
