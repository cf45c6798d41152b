# SPDX-License-Identifier: Apache-2.0
"""The synchronous half of verification: every site is fed the folded run's trains tick by tick."""

import torch
from torch import Tensor

from spikewright.graph import Node, Program, ops
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.neurons import State
from spikewright.simulators.agreement import ROUNDING, FreeRun, SiteCheck, absolute
from spikewright.simulators.stages import Stages, pool_operator
from spikewright.simulators.synchronous import SynchronousReference
from spikewright.simulators.tick_plan import BASE, TickPlan
from spikewright.simulators.timefold import Timefold

__all__ = ["check_synchronous"]


def check_synchronous(network: SpikingNetwork, x: Inputs) -> tuple[list[SiteCheck], FreeRun]:
    """Compare the folded simulator with the reference, site by site and run freely.

    Args:
        network: A network with the synchronous schedule.
        x: Inputs in its type and on its device, "batch *feature".
    """
    seen, outputs = _trains(Timefold(network), x)
    reference = SynchronousReference(network)
    checks = _Forced(network, reference.plan, x, seen).run()
    free, ticked = _trains(reference, x)
    differ = sum(int((free[n] != seen[n]).any(0).sum()) for n in seen)
    return checks, FreeRun(outputs, ticked, differ)


def _trains(
    run: Timefold | SynchronousReference, x: Inputs
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """Return the train of every source, "time *value", and the outputs."""
    narrow = max(s.gamma for s in run.network.sites.values()) < 128
    parts: dict[str, list[Tensor]] = {}

    def keep(name: str, first: int, sent: Tensor) -> None:
        parts.setdefault(name, []).append(
            sent.to(torch.int8, copy=True) if narrow else sent.clone()
        )

    outputs: tuple[Tensor, ...] = ()
    for step in run.over_time(x, keep):
        outputs = step
    batch = run.plan.batch
    return {
        n: batch[n].each_back(_whole(torch.cat(found), run.network)) for n, found in parts.items()
    }, outputs


def _whole(train: Tensor, network: SpikingNetwork) -> Tensor:
    """Return a train with the steps after it came to rest, which nobody was told of."""
    rest = network.steps - train.shape[0]
    return torch.cat([train, train.new_zeros(rest, *train.shape[1:])]) if rest else train


class _Forced:
    """One run in which every site reads given trains instead of its neighbours' spikes."""

    def __init__(
        self, network: SpikingNetwork, plan: TickPlan, x: Inputs, seen: dict[str, Tensor]
    ) -> None:
        self._network, self._plan, self._x, self._seen = network, plan, x, seen
        self._stages = Stages(network)
        self._sizes = Stages(absolute(network))
        self._states: dict[str, State] = {}
        self._size: dict[str, Tensor] = {}
        self._open: dict[str, Tensor] = {}  # trains that have not differed yet
        self._found: dict[str, list[Tensor]] = {}  # distance and tolerance where they first did
        self._gates: dict[str, object] = {}
        self._wrong: dict[str, Tensor] = {}

    def run(self) -> list[SiteCheck]:
        stages, x = self._stages, self._x
        start = dict(zip(stages.inputs, stages.prefix(*as_inputs(x)), strict=True))
        inputs = [n for n in stages.emitters.get(0, ()) if n.op == ops.INPUT_SITE]
        entering = Program(self._network.graph, outputs=[n.inputs[0] for n in inputs])(
            *as_inputs(x)
        )
        stages_now, sizes_now = stages.stages, self._sizes.stages
        for t in range(self._plan.steps):
            if t == self._plan.awake:
                start = {n: torch.zeros_like(v) for n, v in start.items()}
                entering = tuple(map(torch.zeros_like, entering))
                stages_now = Stages(self._network, asleep=True).stages
                sizes_now = Stages(absolute(self._network), asleep=True).stages
            values = dict(start)
            sizes = {n: v.abs() for n, v in values.items()}
            for name, train in self._seen.items():
                values[name] = train[t].to(self._network.dtype)
                sizes[name] = values[name].abs()
            for node, value in zip(inputs, entering, strict=True):
                self._step(node, value, value.abs(), t)
            for stage, size in zip(stages_now, sizes_now, strict=True):
                currents = stage.program(*(values[s] for s in stage.sources))
                summed = size.program(*(sizes[s] for s in size.sources))
                for node, current, total in zip(stage.targets, currents, summed, strict=True):
                    if node.op == ops.ANALOG_RELAY:
                        values[node.name], sizes[node.name] = current, total
                    elif node.op != ops.READOUT:
                        self._step(node, current, total, t)
            for group in stages.emitters.values():
                for node in group:
                    if ops.kind(node) == "pool":
                        self._gate(node, values, t)
        gates = [self._gate_check(n) for n in self._wrong]
        return gates + [self._site_check(n) for n in self._open]

    def _step(self, node: Node, current: Tensor, size: Tensor, t: int) -> None:
        name, firing = node.name, self._plan.firing[node.name]
        neuron = self._plan.neuron[name]
        if name not in self._states:
            self._states[name] = neuron.begin(current, firing)
            self._open[name] = torch.ones_like(current, dtype=torch.bool)
            self._size[name] = torch.zeros_like(current)
            self._found[name] = []
        state = self._states[name]
        before = state["v"] + current if "v" in state else None
        spikes = neuron.step_(state, current, firing, torch.empty_like(current))
        self._size[name].add_(size)
        differ = (spikes != self._seen[name][t]) & self._open[name]
        if not bool(differ.any()):
            return
        self._open[name] &= ~differ
        rounding = 0.0
        if not self._network.integer:
            rounding = ROUNDING * torch.finfo(current.dtype).eps * (t + 1) ** 0.5
        tolerance = (self._size[name] / firing.threshold + 1.0)[differ] * rounding
        if before is None:
            distance = torch.full_like(tolerance, torch.inf)
        else:
            level = (before / firing.threshold)[differ]
            distance = (level - level.round()).abs()
        self._found[name].append(torch.stack([distance, tolerance]))

    def _gate(self, node: Node, values: dict[str, Tensor], t: int) -> None:
        program = self._stages.pool_inputs[node.name]
        (wire,) = program(*(values[s] for s in program.given))
        out, self._gates[node.name] = self._plan.gate(
            self._gates.get(node.name),
            wire,
            pool_operator(self._network.graph, node),
            BASE,
        )
        wrong = out != self._seen[node.name][t]
        before = self._wrong.get(node.name)
        self._wrong[node.name] = wrong if before is None else before | wrong

    def _gate_check(self, name: str) -> SiteCheck:
        wrong = self._wrong[name]
        return SiteCheck(name, wrong.numel(), 0, int(wrong.sum()), 0.0, 0.0)

    def _site_check(self, name: str) -> SiteCheck:
        values = self._open[name].numel()
        if not self._found[name]:
            return SiteCheck(name, values, 0, 0, 0.0, 0.0)
        distance, tolerance = torch.cat(self._found[name], 1)
        far = distance > tolerance
        near = distance[~far]
        return SiteCheck(
            name,
            values,
            int((~far).sum()),
            int(far.sum()),
            float(near.max()) if near.numel() else 0.0,
            float(tolerance.max()),
        )
