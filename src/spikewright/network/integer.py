# SPDX-License-Identifier: Apache-2.0
"""The same network in integers: int8 weights, integer biases, thresholds and potentials.

What a chip computes, with nothing left to rounding: every simulator must give the same spikes, bit
for bit. Sums are held in float64, where integers below 2^53 are exact; simulators may use bytes.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.batch import element_count, sizes
from spikewright.graph.complete import needs_whole_trains
from spikewright.graph.ir import Graph, Node, Ref
from spikewright.graph.sites import Value, analog_inputs, flow
from spikewright.graph.windows import to_sum
from spikewright.network.base import Network
from spikewright.network.factors import absorb_factors, fold_into_thresholds
from spikewright.network.rounding import round_inputs

__all__ = ["to_integer"]

N = TypeVar("N", bound=Network)

_LIMIT = 2.0**53


def to_integer(network: N, *, weight_bits: int = 8, input_bits: int = 8) -> N:
    """Round a network to integers.

    Weights are rounded per output channel to ``weight_bits`` signed bits (channels that are
    concatenated before they reach neurons share one step); the factors of identity shortcuts are
    integers of the same step, which may be larger, and so may weights be where a layer that reads
    spikes and one that reads the analog input add up. Averages become sums, their divisor goes into
    the weights or the threshold. The bias of one tick is an integer; what rounding it leaves over
    a whole train is added once, as an integer, before firing (rectified neurons). Registers of a
    product hold whole multiples of a train; what a product is added to is then as fine as it, and
    has larger weights.

    Args:
        network: A converted network with k = 2.
        weight_bits: Bits of a weight, sign included, 2 to 16.
        input_bits: Bits of an analog input's values, sign included, 2 to 16; its range is the one
            that was seen in calibration.

    Returns:
        The integer network; simulated in float64, or in 8-bit integers where that is exact.

    Raises:
        ConfigError: If k is not 2, a relay is analog, an operator has no integer form (function
            units have none), or sums and products could leave the integers that float64 holds
            exactly.
    """
    _check(network, weight_bits, input_bits)
    graph = network.graph.copy()
    graph.params = {n: t.double() if t.is_floating_point() else t for n, t in graph.params.items()}
    units = _integer_sums(graph)
    spans = network.spans()
    span = float(math.lcm(*map(int, spans.values())))  # an input of one tick is whole in all
    inputs = _integer_inputs(graph, network, span, input_bits)
    units.update(inputs)
    thresholds = {n: s.threshold.double() for n, s in network.sites.items()}
    graph = fold_into_thresholds(graph, units, thresholds)
    absorb_factors(graph, inputs, span, weight_bits)
    sites = dict(network.sites)
    for name, (step, rest) in round_inputs(graph, inputs, span, spans, weight_bits).items():
        node, site, threshold = graph[name], sites[name], thresholds[name]
        if node.op == ops.READOUT:
            _scale_readout(graph, node, step / threshold)
            sites[node.name] = dataclasses.replace(
                site,
                threshold=torch.tensor(1.0, dtype=torch.float64),
                pre_bias=torch.tensor(0.0, dtype=torch.float64),
            )
            continue
        threshold = torch.clamp(torch.round(threshold / step), min=1.0)
        uneven = len(set(spans.values())) > 1 and bool((rest.abs() * 2 > threshold).any())
        if site.signed and uneven:
            raise ConfigError(
                f"{node.where()}: expected biases that are spread evenly over trains of all "
                "lengths, got more left over than a signed population can be given. Use codes of "
                "one length in front of relays, or encode this input."
            )
        half = torch.floor(threshold * (site.pre_bias.double() / site.threshold.double()))
        start = half if site.signed else half + rest
        sites[node.name] = dataclasses.replace(site, threshold=threshold, pre_bias=start)
    for name, site in sites.items():
        if graph[name].op == ops.INPUT_SITE:
            sites[name] = dataclasses.replace(
                site, threshold=site.threshold.double(), pre_bias=site.pre_bias.double()
            )
    graph.prune()
    largest = max(network.full(n) * s.gamma for n, s in sites.items())
    sums = network.schedule.sums(network.graph, sites)
    _check_range(graph, max(largest, span), network.analog_range, float(sums))
    provenance = {
        **network.provenance,
        "integer": {"weight_bits": weight_bits, "input_bits": input_bits},
    }
    return dataclasses.replace(
        network, graph=graph, sites=sites, integer=True, provenance=provenance, source=None
    )


def _check(network: Network, weight_bits: int, input_bits: int) -> None:
    if network.integer:
        raise ConfigError(
            "to_integer: expected a network in floating point, got an integer one already."
        )
    uneven = [code.k for code in network.codes if code.k not in (1.0, 2.0)]
    if uneven:
        raise ConfigError(
            "to_integer: expected k = 2 or 1, whose step weights are integers, got k = "
            f"{uneven[0]:g}{'' if uneven[0] else ' (few-spikes neurons)'}. "
            'Convert with k=2 and functions="unit".'
        )
    for what, bits in (("weight_bits", weight_bits), ("input_bits", input_bits)):
        if not 2 <= bits <= 16:
            raise ConfigError(f"{what}: expected 2 to 16, got {bits}.")
    values = flow(network.graph)
    for node in network.graph:
        if ops.kind(node) == "weighted" and _beside_spikes(network.graph, values, node.inputs[0]):
            raise ConfigError(
                f"to_integer: {node.where()}: expected layers that read spikes or the input, "
                "got one that reads both side by side, whose weights would need more bits. "
                'Convert with input="encoded".'
            )
    if units := needs_whole_trains(network.graph, products=False):
        found = "; ".join(f"{n.where()}: {ops.describe(n)}" for n in units)
        raise ConfigError(
            "to_integer: expected layers, ReLU-like activations, pooling and products between the "
            f"input and the read-out, got work of function units: {found}. Keep this network in "
            "floating point."
        )
    bad = [
        f"{n.where()}: {ops.describe(n)}"
        for n in network.graph
        if n.op == ops.ANALOG_RELAY
        or (
            ops.kind(n) == "mixing"
            and "upsample" in n.op
            and not values[n.name].tail
            and not values[n.name].prefix
        )
    ]
    if bad:
        raise ConfigError(
            "to_integer: expected operators with an integer form, got " + "; ".join(bad) + ". "
            "Leave no relay analog and use nearest-neighbour upsampling."
        )


def _beside_spikes(graph: Graph, values: Mapping[str, Value], name: str) -> bool:
    """Tell whether a value holds elements of the analog input beside others."""
    node, value = graph[name], values[name]
    if not value.analog or value.prefix or ops.kind(node) not in ("layout", "mixing", "pool"):
        return False
    before = [i for i in node.inputs if ops.kind(graph[i]) != "shape"]
    if len({values[i].prefix for i in before}) > 1:
        return True
    return any(_beside_spikes(graph, values, i) for i in before)


def _integer_sums(graph: Graph) -> dict[str, Tensor]:
    """Turn averages into sums; return the unit 1/divisor of each."""
    units: dict[str, Tensor] = {}
    values = flow(graph)
    for node in graph:
        value = values[node.name]
        if ops.kind(node) != "mixing" or node.op == ops.SCALE or value.tail or value.prefix:
            continue
        divisor = to_sum(graph, node)
        units[node.name] = torch.tensor(1.0 / divisor, dtype=torch.float64)
    return units


def _integer_inputs(graph: Graph, network: Network, full: float, bits: int) -> dict[str, Tensor]:
    """Round analog inputs to a grid; return the unit of each rounded value."""
    values = flow(graph)
    units: dict[str, Tensor] = {}
    ranges = network.analog_range
    for name in analog_inputs(graph):
        users = [u for u in graph.users()[name] if not values[u.name].prefix]
        readers = [u.name for u in users if u.op != ops.INPUT_SITE and ops.kind(u) != "shape"]
        if not readers:
            continue  # it enters as spikes
        step = (_range(graph, name, ranges) or 1.0) / (2 ** (bits - 1) - 1)
        new = [
            _scale_node(graph, graph[name], "grid", 1.0 / step),
            dataclasses.replace(
                graph[name],
                name=graph.fresh_name(f"{name}/round"),
                op="aten.round.default",
                kwargs={},
                args=(),
                pick=None,
            ),
        ]
        new[1] = dataclasses.replace(new[1], args=(Ref(new[0].name),))
        last = _scale_node(graph, new[1], "train", full)
        graph.redirect(name, last.name, only=readers)
        graph.insert([*new, last], after=name)
        units[last.name] = torch.tensor(step / full, dtype=torch.float64)
    return units


def _range(graph: Graph, name: str, ranges: Mapping[str, float]) -> float:
    """Return the largest absolute value of an analog input that calibration saw."""
    factor = 1.0
    while name not in ranges:
        node = graph[name]
        if node.op == ops.SCALE:
            factor *= float(graph.params[node.params[0]].abs().max())
        elif ops.kind(node) != "layout":
            raise ConfigError(
                f"to_integer: the range of the analog input {name!r} is not known. Convert again."
            )
        name = node.inputs[0]
    return float(ranges[name]) * factor


def _scale_node(graph: Graph, source: Node, what: str, gain: float) -> Node:
    param = graph.fresh_param(f"{source.name}/{what}", torch.tensor(gain, dtype=torch.float64))
    return dataclasses.replace(
        source,
        name=graph.fresh_name(f"{source.name}/{what}"),
        op=ops.SCALE,
        args=(Ref(source.name), param),
        kwargs={},
        pick=None,
    )


def _scale_readout(graph: Graph, node: Node, step: Tensor) -> None:
    """Give the read-out its original unit back, behind the accumulation."""
    param = graph.fresh_param(f"{node.name}/unit", step.to(torch.float64))
    scale = dataclasses.replace(
        node,
        name=graph.fresh_name(f"{node.name}/unit"),
        op=ops.SCALE,
        args=(Ref(node.name), param),
        kwargs={},
    )
    graph.redirect(node.name, scale.name)
    graph.insert([scale], after=node.name)


def _check_range(graph: Graph, full: float, ranges: Mapping[str, float], repeats: float) -> None:
    """Refuse networks whose sums, added up ``repeats`` times, leave float64's exact integers."""
    bound: dict[str, float] = {}
    values = flow(graph)
    for node in graph:
        before = [bound[i] for i in node.inputs]
        kind, top = ops.kind(node), max(before, default=0.0)
        if values[node.name].prefix:
            own = float(ranges.get(node.name, top))
            gain = graph.params[node.params[0]].abs().max() if node.op == ops.SCALE else 1.0
            bound[node.name] = own if node.name in ranges else top * float(gain)
        elif kind == "site":
            bound[node.name] = full
        elif values[node.name].tail:
            bound[node.name] = 0.0  # behind the read-outs nothing is in whole numbers
        elif kind == "weighted":
            weight = graph.params[node.args[1].name].abs()
            axes = [a for a in range(weight.ndim) if a != ops.weighted(node).out_axis]  # type: ignore[union-attr]
            rows = weight.amax() if node.op == ops.AFFINE else weight.sum(axes).max()
            bias = (
                graph.params[node.args[2].name].abs().max()
                if node.args[2:3] and node.args[2]
                else 0
            )
            bound[node.name] = float(rows) * top + float(bias)
        elif kind == "mixing" and node.op != ops.SCALE:
            window = element_count(graph[node.inputs[0]].shape)
            bound[node.name] = top * window
        elif kind == "mixing":
            bound[node.name] = top * max(1.0, float(graph.params[node.params[0]].abs().max()))
        elif kind == "product":
            shape = graph[node.args[0].name].shape or (1,)
            terms = sizes(shape)[-1] if node.kwargs["by"] == "matmul" else 1
            bound[node.name] = math.prod(before) * terms
        else:
            bound[node.name] = sum(before) if kind == "add" else top
        if kind in ("weighted", "add", "product") and bound[node.name] * repeats >= _LIMIT:
            raise ConfigError(
                f"{node.where()}: expected sums below 2^53, which float64 holds exactly, got up to "
                f"{bound[node.name] * repeats:.3g}. Use fewer steps or fewer bits."
            )
