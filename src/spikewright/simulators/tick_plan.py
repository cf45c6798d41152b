# SPDX-License-Identifier: Apache-2.0
"""A synchronous network cut into what is computed once a run and what is computed every tick."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Graph, Node, ops
from spikewright.graph.batch import batch_axis, batch_of
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.graph.program import Program, SiteFunction
from spikewright.graph.units import shape_value
from spikewright.network import SpikingNetwork
from spikewright.neurons import Firing, Stepping, neurons, stepping
from spikewright.simulators.stages import bias_params

__all__ = ["BASE", "GateStep", "TickPlan", "Total"]

BASE = 1.0
"""What gates multiply their registers by: all steps weigh the same, so they add plain sums."""

GateStep = Callable[..., tuple[Tensor, Any]]


class TickPlan:
    """The compiled network; holds no state of a run.

    What depends on the constant input alone (the first layer's current, above all) is computed
    once. The rest is one program that a simulator runs every tick, or for several ticks that are
    folded into the batch: batch axis "(time batch)". Asleep, the same program runs without input
    and biases.

    Args:
        network: A network with the synchronous schedule.
        site: What the simulator does at populations, gates, relays and read-outs.
    """

    def __init__(self, network: SpikingNetwork, site: SiteFunction) -> None:
        self.network, graph = network, network.graph
        self.steps, self.awake = network.steps, network.awake
        self._graph = graph
        fixed = _fixed(graph)
        users = graph.users()
        border = [n for n in graph if n.name in fixed and _is_read(users[n.name], fixed)]
        self._shapes = [n for n in border if n.shape is None]
        self._constants = [n for n in border if n.shape is not None]
        self.only_sites = {
            n.name for n in self._constants if all(ops.kind(u) == "site" for u in users[n.name])
        }
        names = [n.name for n in self._constants]
        self._once = Program(graph, outputs=names, fast=True)
        self.readouts = tuple(n.name for n in graph if n.op == ops.READOUT)
        self._site = site
        self._given = (*names, *(n.name for n in self._shapes))
        self._every = self._program({})
        self.tail = Program(graph, given=(*self.readouts, *graph.inputs))
        self.batch = {n.name: batch_of(n.shape) for n in graph}
        self.firing: dict[str, Firing] = {n: network.firing(n) for n in network.sites}
        names_of = {n.name: network.sites[n.name].neuron for n in network.spiking_nodes()}
        known = {name: stepping(name) for name in set(names_of.values()) if name}  # each once
        self.neuron: dict[str, type[Stepping]] = {
            n: known[name] for n, name in names_of.items() if name
        }
        self.gate: GateStep = neurons()[network.gate].step  # type: ignore[attr-defined]

    def _program(self, params: Mapping[str, Tensor]) -> Program:
        return Program(
            self._graph,
            outputs=self.readouts,
            given=self._given,
            site=self._site,
            params=params,
            pools=True,
            fast=True,
        )

    @cached_property
    def _asleep(self) -> Program:
        """What runs while the network sleeps: the same without biases."""
        params = self._graph.params
        return self._program({b: torch.zeros_like(params[b]) for b in bias_params(self._graph)})

    def ticks_left_in_phase(self, t: int) -> int:
        """Return how many ticks after the first ``t`` belong to the same phase."""
        awake, steps = self.awake, self.steps
        return awake - t if t < awake else steps - t

    def once(self, x: Inputs) -> tuple[Tensor, ...]:
        """Return the constant values that every tick needs.

        Args:
            x: Input (or inputs), "batch *feature".
        """
        return self._once(*as_inputs(x))

    def is_constant(self, site: str) -> bool:
        """Tell whether what enters a site does not change from tick to tick."""
        return self.network.graph[site].inputs[0] in self.only_sites

    def run(
        self, constants: tuple[Tensor, ...], ticks: int = 1, *, asleep: bool = False
    ) -> tuple[Tensor, ...]:
        """Run the program for one tick, or for several that are folded into the batch.

        Args:
            constants: What :meth:`once` returned.
            ticks: How many.
            asleep: Whether input and biases are off.

        Returns:
            The currents of the read-outs, "(time batch)" where the network has the batch; those of
            a read-out that reads constants only have no time.
        """
        batch = 1
        values: list[Any] = []
        for node, constant in zip(self._constants, constants, strict=True):
            value = torch.zeros_like(constant) if asleep else constant
            at = batch_axis(node.shape)
            batch = batch if at is None else at.size(value)
            repeat = ticks > 1 and node.name not in self.only_sites and at is not None
            over_time = value.expand(ticks, *value.shape) if repeat else value
            values.append(self.batch[node.name].unsplit(over_time) if repeat else value)
        shapes = [shape_value(self._graph, n, batch * ticks) for n in self._shapes]
        return (self._asleep if asleep else self._every)(*values, *shapes)


def _fixed(graph: Graph) -> set[str]:
    """Return the nodes that no population lies in front of."""
    fixed: set[str] = set()
    for node in graph:
        if ops.kind(node) != "site" and all(i in fixed for i in node.inputs):
            fixed.add(node.name)
    return fixed


def _is_read(users: list[Node], fixed: set[str]) -> bool:
    return any(u.name not in fixed for u in users)


class Total:
    """A running sum over time that yields the outputs after every tick.

    Spikes that come asleep correct what was sent awake, so the mean is over the awake ticks.

    Args:
        plan: The network's plan.
        x: Inputs of the run.
    """

    def __init__(self, plan: TickPlan, x: Inputs) -> None:
        self._plan, self._x = plan, as_inputs(x)
        self._v: list[Tensor] = []
        self.t = 0

    def add(self, currents: tuple[Tensor, ...]) -> None:
        """Add one tick's currents of the read-outs."""
        if self._v:
            for v, current in zip(self._v, currents, strict=True):
                v.add_(current)
        else:
            self._v = [c.clone() for c in currents]
        self.t += 1

    def outputs(self) -> tuple[Tensor, ...]:
        """Return the network's outputs from the mean current so far."""
        awake = min(self.t, self._plan.awake)
        return self._plan.tail(*(v / awake for v in self._v), *self._x)

    def each(self, currents: tuple[Tensor, ...], ticks: int) -> Iterator[None]:
        """Add several ticks, "(time batch)" where the batch is, in order; pause after each."""
        plan = self._plan
        parts = [
            None if plan.is_constant(name) else plan.batch[name].split(c, ticks)
            for name, c in zip(plan.readouts, currents, strict=True)
        ]
        for t in range(ticks):
            self.add(tuple(c if p is None else p[t] for c, p in zip(currents, parts, strict=True)))
            yield
