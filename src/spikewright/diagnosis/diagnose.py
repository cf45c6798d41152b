# SPDX-License-Identifier: Apache-2.0
"""Run a network beside its original and split every neuron's error by cause.

Converting makes errors of three kinds (Li & Zeng, IJCAI 2022): charge that is left in membranes,
spikes of neurons that should have been silent, and max pooling; where a scale is small, clipping
joins them. Everything here is in the original network's numbers.

Units. A site of scale λ that sends n units in a run stands for r = λ·n/S, with S the value of a
full train. What entered it, summed over the run, is in the same units in both schedules: biases of
a layered network stand for a whole train, S ticks' worth; those of a synchronous one for a tick,
and T = S ticks add up. So its drive is z = λ·(entered/θ)/S, less what the method itself adds to
currents (a shift, a correction of biases): the value that the original activation would have been
given, had its inputs been what the layers before really sent. What a method adds counts like the
potential that neurons start with, as part of what the layer does.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.collect import read_inputs
from spikewright.diagnosis.diagnosis import Diagnosis
from spikewright.diagnosis.full_scale import full_scale
from spikewright.diagnosis.layer_error import Kind, LayerDiagnosis, Part
from spikewright.diagnosis.split_error import split_error
from spikewright.errors import ConfigError, VerificationError
from spikewright.graph import Graph, Node, Program, ops
from spikewright.graph.activation import activate
from spikewright.graph.batch import batch_of, element_count, sizes
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.network.twin import check_equality
from spikewright.progress import Interrupts
from spikewright.simulators import decided, difference
from spikewright.simulators import simulator as simulator_of
from spikewright.simulators.stages import pool_operator

__all__ = ["diagnose"]

_KINDS: Mapping[str, Kind] = MappingProxyType({ops.INPUT_SITE: "input", ops.RELAY: "relay"})


def _sums(value: Tensor | None) -> Part:
    if value is None:
        return Part()
    return Part(
        sum=float(value.sum()),
        absolute=float(value.abs().sum()),
        squared=float(value.square().sum()),
        count=int((value != 0).sum()),
    )


class _Comparison:
    """A network beside its original; adds up what it is shown."""

    def __init__(self, network: SpikingNetwork, name: str | None, reference: Graph) -> None:
        _check(network, reference)
        self.network, self.reference = network, reference
        self.simulator = simulator_of(network, name)
        self.samples = 0
        self.agreeing: int | None = None
        self.found: dict[str, LayerDiagnosis] = {}
        cpu, device = network.to("cpu"), network.device
        scale = {
            n.name: full_scale(cpu, n.name)
            for n in network.graph
            if n.op in ops.SPIKING_OPS or _is_gate(network.graph, n)
        }
        self._scale = {n: s.double().to(device) for n, s in scale.items()}
        self._added = {
            n: s.broadcast(s.shift.double(), len(network.graph[n].shape or ())).to(device)
            for n, s in network.sites.items()
        }
        self._batch = {n.name: batch_of(n.shape) for n in network.graph}
        params = {n: t.to(device) for n, t in reference.params.items()}
        self._pools = {
            n.name: pool_operator(reference, n) for n in reference if ops.kind(n) == "pool"
        }
        self._original = Program(reference, site=self._site, params=params, pools=True)
        self._wanted: dict[str, Tensor] = {}

    def add(self, x: Inputs) -> None:
        """Run one batch through both."""
        x = self.network.check_input(x)
        if not self.samples:
            self._check_law(x)
        with torch.no_grad():
            for part in self.simulator.split(x):
                wanted = self._original(*as_inputs(part))
                (outputs,) = deque(self.simulator.over_time(part, probe=self._probe), maxlen=1)
                self._compare(len(as_inputs(part)[0]), wanted, outputs)
                self._wanted = {}
        self.samples += len(as_inputs(x)[0])

    def _check_law(self, x: Inputs) -> None:
        """Refuse another model: with exact neurons the network must compute the original.

        Raises:
            ConfigError: If it does not.
        """
        if self.network.prepared_by:  # its weights differ from the original's on purpose
            return
        few = tuple(value[:4] for value in as_inputs(x))
        try:
            check_equality(self.network, self.reference, few)
        except VerificationError as error:
            raise ConfigError(
                "reference: expected the weights that the network was converted from, got others: "
                f"{error} Load the original model's weights."
            ) from error

    def _compare(self, inputs: int, wanted: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Compare the outputs for some inputs: errors, equal elements, equal decisions."""
        named = zip(self.network.graph.outputs, wanted, outputs, strict=True)
        for name, (a, value) in {n: (a, value) for n, a, value in named}.items():
            if a.is_floating_point():
                error = difference(value, a)
                self._note(name, inputs, a.double(), error, {"inherited": error})
            else:
                self._note(name, inputs, equal=int((a == value).sum()))
        mine, theirs = (
            decided(self.network.samples_first(found), inputs) for found in (outputs, wanted)
        )
        if mine is not None and theirs is not None:
            self.agreeing = (self.agreeing or 0) + int((mine == theirs).sum())

    def _note(
        self,
        name: str,
        inputs: int,
        a: Tensor | None = None,
        error: Tensor | None = None,
        parts: Mapping[str, Tensor] = MappingProxyType({}),
        neurons: Mapping[str, Tensor] = MappingProxyType({}),
        equal: int | None = None,
    ) -> None:
        """Add what some inputs did in a layer: original values, their errors, the errors' parts."""
        node, before = self.network.graph[name], self.found.get(name)
        now = LayerDiagnosis(
            name=name,
            kind="output" if name in self.network.graph.outputs else _kind(node),
            samples=inputs,
            values=element_count(node.shape),
            activity=_sums(a),
            error=_sums(error),
            parts={cause: _sums(part) for cause, part in parts.items()},
            unit=self._unit(node) if neurons and before is None else None,
            levels=int(node.kwargs.get("levels") or 0),
            equal=equal,
            **{about: value.cpu() for about, value in neurons.items()},
        )
        self.found[name] = now if before is None else before.merge(now)

    def layers(self) -> tuple[LayerDiagnosis, ...]:
        """Return what has been added up, in the order of execution."""
        return tuple(self.found[n.name] for n in self.network.graph if n.name in self.found)

    def _unit(self, node: Node) -> Tensor:
        """Return what one unit stands for, "*neuron" or broadcastable with it."""
        unit, at = (self._scale[node.name] / self._full(node.name)).cpu(), self._batch[node.name]
        if at.is_plain:
            return unit if unit.ndim < len(node.shape or ()) else unit[0]
        return at.first(unit.expand(sizes(node.shape or ())))[0]

    def _full(self, name: str) -> float:
        """Return S, the value of a full train in units."""
        return self.network.code_of(name).max_value

    def _site(self, node: Node, x: Tensor, overwrite: bool) -> Tensor:
        """Do what the original network does, and keep what will be compared."""
        pool = self._pools.get(node.name)
        value = activate(node, x) if pool is None else pool(x)
        if node.name in self._scale:
            self._wanted[node.name] = value
        return value

    def _probe(self, name: str, entered: Tensor, sent: Tensor) -> None:
        """Compare one population or gate over a whole run."""
        a = self._wanted.pop(name).double()
        scale, full = self._scale[name], self._full(name)
        node = self.reference[name]
        if ops.kind(node) == "pool":
            ideal, value = (v.double() * scale / full for v in (entered, sent))
            parts = {"inherited": ideal - a, "pooling": value - ideal}
            self._note(name, self._batch[name].size(a), a, value - a, parts)
            return
        site, added, at = self.network.sites[name], self._added[name], self._batch[name]
        split = split_error(node, site, scale, full, entered, sent, added)
        parts = {"inherited": split.ideal - a, **split.own}
        neurons: dict[str, Tensor] = {}
        if node.op != ops.INPUT_SITE:
            mine, spikes, clipping = map(at.first, (a, sent, split.own["clipping"]))
            neurons = {
                "fired": (spikes != 0).any(0),
                "active": mine.abs().sum(0),
                "clipped": (clipping != 0).sum(0),
                "awake": (mine != 0).sum(0),
            }
        self._note(name, at.size(a), a, split.value - a, parts, neurons)


def diagnose(
    network: SpikingNetwork,
    batches: Iterable[Any],
    *,
    simulator: str | None = None,
    reference_graph: Graph,
) -> Diagnosis:
    """Find out, layer by layer, where the difference to the original network comes from.

    Args:
        network: A converted network, in floating point.
        batches: Tensors or (input, …) pairs.
        simulator: Name of the simulator; the fastest of the network's schedule by default.
        reference_graph: The original network with its sites placed as in the converted one.

    Returns:
        Sums over all inputs. Ctrl-C finishes the batch at hand and returns what is done so far.

    Raises:
        ConfigError: If the network is an integer one, the original is another model or has other
            weights, or the schedule has no such simulator.
        CalibrationError: If there is no batch, or one holds NaN or infinity.
        ShapeError: If an input has another shape than the network takes.

    References:
        Y. Li, Y. Zeng, Efficient and accurate conversion of spiking neural network with burst
        spikes, IJCAI 2022 (the sources of error). Clipping as a cause of its own and the split by
        the drive that really entered are ours.
    """
    comparison = _Comparison(network, simulator, reference_graph)
    with Interrupts() as interrupts:
        for index, batch in enumerate(batches):
            comparison.add(read_inputs(network.graph, batch, f"batch {index}")[0])
            if interrupts.requested:
                break
    if not comparison.samples:
        raise interrupts.nothing_done("diagnose")
    return Diagnosis(
        layers=comparison.layers(),
        samples=comparison.samples,
        agreeing=comparison.agreeing,
        T=network.T,
        k=network.k,
        schedule=str(network.schedule.name),
        neuron=network.neuron_name,
        simulator=comparison.simulator.name,
        interrupted=interrupts.requested,
        provenance=dict(network.provenance),
    )


def _check(network: SpikingNetwork, reference: Graph) -> None:
    if network.integer:
        raise ConfigError(
            "diagnose: expected a network in floating point, got an integer one, whose neurons "
            "start with what its biases lack. Diagnose the network that it was rounded from."
        )
    mine, theirs = (
        {n.name: n.shape for n in g if ops.kind(n) in ("site", "pool")}
        for g in (network.graph, reference)
    )
    if mine != theirs:
        different = sorted(n for n in {*mine, *theirs} if mine.get(n) != theirs.get(n))
        raise ConfigError(
            "reference: expected the model that the network was converted from, got one whose "
            f"sites differ: {', '.join(different[:5])}{' …' if len(different) > 5 else ''}. "
            "Name the original model."
        )


def _kind(node: Node) -> Kind:
    return "gate" if ops.kind(node) == "pool" else _KINDS.get(node.op, "neurons")


def _is_gate(graph: Graph, node: Node) -> bool:
    """Tell whether a node takes maxima of what a population sends."""
    if ops.kind(node) != "pool":
        return False
    while ops.kind(node) not in ("site", "input"):
        node = graph[node.inputs[0]]
    return ops.kind(node) == "site" and node.op != ops.READOUT
