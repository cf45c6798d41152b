# SPDX-License-Identifier: Apache-2.0
"""One pass per layer on the decoded train: the layered schedule at the price of an ANN forward.

A neuron fires after its whole input has arrived, so its train depends on the sum alone; the code's
closed form gives the train's value, and counts when somebody asks for them.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import batch_of
from spikewright.graph.ir import Graph, Inputs, Node, as_inputs
from spikewright.graph.program import Program
from spikewright.graph.sites import flow
from spikewright.integers import NoForm
from spikewright.network import SpikingNetwork, plain
from spikewright.neurons.inverse_lif import begin_fire_
from spikewright.simulators.base import Count, Probe
from spikewright.simulators.int8 import Engine, OutOfRange
from spikewright.simulators.micro_batches import join, split_for_cache
from spikewright.simulators.readout import LayeredReadOut
from spikewright.simulators.stages import Stages

__all__ = ["Collapsed", "Observe"]

PART_ELEMENTS = 700_000
"""Elements of an average population and part of a batch at which a run was fastest on CPUs."""

Observe = Callable[[str, Tensor], None]
"""Called with a site's or gate's name and its decoded trains n, in units, "batch *neuron"."""


class Collapsed:
    """A compiled network that maps inputs to outputs; holds no state of a run.

    Args:
        network: A network with the layered schedule.
        outputs: Values to return instead of the network's outputs (names of nodes).
        fold: Whether pre-biases are added to the biases of the layers in front.
    """

    name: ClassVar[str] = "collapsed"

    def __init__(
        self,
        network: SpikingNetwork,
        *,
        outputs: Iterable[str] | None = None,
        fold: bool = True,
    ) -> None:
        self.network, self._wanted = network, outputs if outputs is None else tuple(outputs)
        outputs = self._wanted
        self._code = {n: s.code for n, s in network.sites.items()}
        self._functions = {n for n, s in network.sites.items() if not s.function.by_firing}
        self._batch = {n.name: batch_of(n.shape) for n in network.graph}
        self._signed = {n: s.signed for n, s in network.sites.items()}
        self._threshold = {n: plain(s.threshold) for n, s in network.sites.items()}
        self._pre_bias = {n: plain(s.pre_bias) for n, s in network.sites.items()}
        params = self._fold_pre_bias(network.graph) if fold else {}
        self._observe: Observe | None = None
        self._probe: Probe | None = None
        self._program = Program(
            network.graph, outputs=outputs, site=self._site, params=params, pools=True, fast=True
        )
        values = flow(network.graph)
        self._analog = {
            n.name for n in network.graph if values[n.name].prefix or values[n.name].tail
        }
        self._pools = {
            n.name: Program(network.graph, outputs=(n.name,), given=(n.inputs[0],))
            for n in network.graph
            if ops.kind(n) == "pool"
        }

    def _fold_pre_bias(self, graph: Graph) -> dict[str, Tensor]:
        """Add pre-biases of rectified sites to the bias of the layer in front, where it has one."""
        params: dict[str, Tensor] = {}
        users = graph.users()
        for site in graph:
            if site.op != ops.RECTIFY or site.name in self._functions:
                continue
            name = site.inputs[0]
            while True:
                node = graph[name]
                if len(users[name]) != 1 or name in graph.outputs:
                    break
                spec = ops.weighted(node)
                if spec is not None and len(node.args) > spec.bias and node.args[spec.bias]:
                    bias = node.args[spec.bias].name
                    shared = sum(bias in n.params for n in graph) > 1
                    pre = self._pre_bias[site.name]
                    if not shared and isinstance(pre, float):
                        params[bias] = graph.params[bias] + pre
                        self._pre_bias[site.name] = 0.0
                    break
                inner = [i for i in node.inputs if ops.kind(graph[i]) in ("weighted", "add")]
                if (
                    ops.kind(node) != "add"
                    or node.op == "aten.sub.Tensor"
                    or not inner
                    or node.kwargs
                ):
                    break
                name = inner[0]
        return params

    def __call__(self, x: Inputs, observe: Observe | None = None) -> tuple[Tensor, ...]:
        """Run a batch.

        Args:
            x: Inputs in the network's type and on its device, ``"batch *feature"``.
            observe: Called for every site and gate in order; must not change what it is given.

        Returns:
            The outputs.
        """
        if self._probe is None and self.engine is not None:
            try:
                if observe is not None:
                    return self.engine(x, observe)
                return join(self.network, [self.engine(part) for part in self.split(x)])
            except OutOfRange:
                pass  # float64 takes any input
        if observe is None:
            return join(self.network, [self._program(*as_inputs(part)) for part in self.split(x)])
        self._observe = observe
        try:
            return self._program(*as_inputs(x))
        finally:
            self._observe = None

    def split(self, x: Inputs) -> tuple[Inputs, ...]:
        """Cut a batch into parts whose populations stay in the processor's cache."""
        return split_for_cache(self.network, x, PART_ELEMENTS)

    @property
    def engine(self) -> Engine | None:
        """What runs the network on bytes; None where it runs in floating point."""
        return self._compiled[0]

    @property
    def arithmetic(self) -> str:
        """What numbers it computes with, and why not with others, as text."""
        engine, reason = self._compiled
        if not self.network.integer:
            return str(self.network.dtype).removeprefix("torch.")
        if engine is None:
            return f"float64, exact whole numbers ({reason})"
        slow = "; ".join(f"{name}: {why}" for name, why in engine.slow.items())
        return f"8-bit integers{f' (in float64: {slow})' if slow else ''}"

    @cached_property
    def _compiled(self) -> tuple[Engine | None, str]:
        if not self.network.integer:
            return None, ""
        try:
            return Engine(self.network, self._wanted), ""
        except NoForm as reason:
            return None, str(reason)

    @cached_property
    def _plan(self) -> Stages:
        return Stages(self.network)

    @cached_property
    def _steps(self) -> dict[str, int]:
        emitters = (n.name for group in self._plan.emitters.values() for n in group)
        return {name: self.network.code_of(name).steps for name in emitters}

    @cached_property
    def _readout(self) -> tuple["Collapsed", LayeredReadOut]:
        readout = LayeredReadOut(self.network)
        return Collapsed(self.network, outputs=readout.sources), readout

    def over_time(
        self, x: Inputs, count: Count | None = None, probe: Probe | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield the outputs after each step of the read-out; see :class:`Simulator`."""
        run, readout = self._readout
        if probe is not None:  # who asks what enters wants it without the pre-bias
            run = Collapsed(self.network, outputs=readout.sources, fold=False)

        def observe(name: str, n: Tensor) -> None:
            if count is not None:
                count(name, self._steps[name], self._batch[name].first(n).unsqueeze(0))

        run._probe = probe
        try:
            values = run(x, observe)
        finally:
            run._probe = None
        yield from readout(x, values)

    def _site(self, node: Node, x: Tensor, overwrite: bool) -> Tensor:
        name = node.name
        n: Tensor
        if ops.kind(node) == "pool":
            (n,) = self._pools[name](x)
            if name in self._analog:  # no spikes pass it
                return n
        elif node.op in (ops.READOUT, ops.ANALOG_RELAY):
            return x
        else:
            total = x.clone() if self._probe is not None else None
            n = self._encode(name, x, overwrite)
            if self._probe is not None and total is not None:
                self._probe(name, total, n)
        if self._observe is not None:
            self._observe(name, n)
        return n

    def _encode(self, name: str, x: Tensor, overwrite: bool) -> Tensor:
        signed, pre, threshold = self._signed[name], self._pre_bias[name], self._threshold[name]
        target = x if overwrite else x.clone()
        if name in self._functions:
            target = self._plan.entered(target, name)
        if isinstance(pre, Tensor) or pre:
            begin_fire_(target, pre, signed)
        if isinstance(threshold, Tensor) or threshold != 1.0:
            target.div_(threshold)
        return self._code[name].quantise_(target, signed=signed)
