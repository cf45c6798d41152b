# SPDX-License-Identifier: Apache-2.0
"""Factors between layers and neurons, for networks in whole numbers.

What a synapse carries can be rounded, factors and all; a sum that is multiplied once more before it
reaches neurons or a layer would not be whole any more. So factors move to the wires.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.held import factor_in_front, factors, give_factors, takes_gain
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.sites import flow
from spikewright.graph.units import fold_units, scale_weighted

__all__ = ["absorb_factors", "fold_into_thresholds", "round_analog", "scaled"]

_LARGEST = 2.0**16


def fold_into_thresholds(
    graph: Graph, units: Mapping[str, Tensor], thresholds: dict[str, Tensor]
) -> Graph:
    """Carry the units of sums and inputs into weights; those that reach a site enter its θ.

    Args:
        graph: A graph with sites whose averages are sums.
        units: Units of its values by name.
        thresholds: Of every site; changed.
    """
    graph = fold_units(graph, units)
    for stale in graph:
        node = graph[stale.name]
        if ops.kind(node) != "site" or node.name not in thresholds:
            continue
        end, scale = node.inputs[0], graph[node.inputs[0]]
        while _is_own(graph, scale, node):
            thresholds[node.name] = thresholds[node.name] / graph.params[scale.params[0]]
            end, scale = scale.inputs[0], graph[scale.inputs[0]]
            if node.op == ops.READOUT:
                break
        graph.redirect(node.inputs[0], end, only=[node.name])
    graph.prune()
    return graph


def _is_own(graph: Graph, scale: Node, site: Node) -> bool:
    """Tell whether a value in front of a site is a sum times a factor that can enter its θ."""
    if scale.op != ops.SCALE or not graph.has_one_reader(scale.name):
        return False
    gain, inner = graph.params[scale.params[0]], ops.kind(graph[scale.inputs[0]])
    one = gain.numel() == 1 or site.op != ops.READOUT
    sums = ("weighted", "add", "mixing", "layout", "product")
    return one and bool((gain > 0).all()) and inner in sums


def absorb_factors(graph: Graph, inputs: Collection[str], full: float, bits: int) -> None:
    """Move factors of sums to what is summed up, and round those in front of layers; in place.

    Where others read the sum as well, what lies before it is copied for the one that multiplies.

    Args:
        graph: A graph with sites whose averages are sums.
        inputs: Names of its analog inputs, in whole numbers.
        full: Weight of what biases stand for.
        bits: Bits of the smallest factor in front of a layer, sign included; the largest has at
            most 17.

    Raises:
        ConfigError: If a factor differs between elements that an operator before it puts together.
    """
    give_factors(graph)
    for node in graph:
        if ops.kind(node) == "add" and float(node.kwargs.get("alpha", 1)) != 1.0:
            _write_out(graph, node)
    encoded = [n.inputs[0] for n in graph if n.op == ops.INPUT_SITE]
    before = graph.ancestors([*inputs, *encoded])
    values = flow(graph)
    todo = [n.name for n in graph if n.name not in before and not values[n.name].tail]
    whole = _whole(graph, before)
    for name in todo:
        node = graph[name]
        if node.op == ops.SCALE and node.inputs[0] not in whole:
            gain = graph.params[node.params[0]]
            wires = _Wires(graph, whole, node)
            graph.redirect(name, wires.multiplied(node.inputs[0], gain))
    graph.prune()
    values = flow(graph)
    layers = [n for n in graph if ops.kind(n) in ("weighted", "product") and n.name not in before]
    for layer in layers:
        weights, source = layer, layer.inputs[0]
        if ops.kind(layer) == "product":
            weights, source = factor_in_front(graph, layer), factors(graph, layer)[1]
        if not values[layer.name].tail and source not in whole:
            wires = _Wires(graph, whole, layer)
            _round_factors(graph, wires, (source, weights.name), inputs, full, bits)
    graph.prune()


def _write_out(graph: Graph, node: Node) -> None:
    """Write ``a + alpha · b`` as a scale and an addition."""
    alpha = float(node.kwargs["alpha"])
    if isinstance(node.args[1], Param):
        number = graph.params[node.args[1].name] * alpha
        second: Arg = graph.fresh_param(f"{node.name}.bias", number)
    else:
        second = Ref(scaled(graph, node.args[1].name, torch.tensor(alpha, dtype=torch.float64)))
    graph.update(dataclasses.replace(node, args=(node.args[0], second), kwargs={}))


def _whole(graph: Graph, before: Collection[str]) -> set[str]:
    """Return the values that are whole numbers: trains, and what only moves and adds them up."""
    found: set[str] = set(before)
    for node in graph:
        kind = ops.kind(node)
        sums = kind in ("layout", "mixing") or (kind == "add" and not ops.is_constant_add(node))
        tensors = [i for i in node.inputs if ops.kind(graph[i]) != "shape"]
        moved = sums and node.op != ops.SCALE and all(i in found for i in tensors)
        if kind in ("site", "pool") or moved:
            found.add(node.name)
    return found


def _round_factors(
    graph: Graph,
    wires: "_Wires",
    ends: tuple[str, str],
    inputs: Collection[str],
    full: float,
    bits: int,
) -> None:
    """Round the factors on the wires that lead to a layer, or to a product.

    What they lack goes into its weights, or into what its registers hold; ``ends`` names the value
    that is read and the node of the weights.
    """
    one = torch.ones((), dtype=torch.float64)
    source, weights = ends
    graph.redirect(source, wires.multiplied(source, one), only=[wires.asked.name])
    spikes = [w for w in wires.made if graph[w].inputs[0] not in inputs]
    gains = torch.cat([graph.params[graph[w].params[0]].abs().flatten() for w in spikes])
    gains = gains[gains > 0]
    if not gains.numel():
        gains = one
    top = float(2 ** (bits - 1) - 1)
    fine = min(top / float(gains.min()), _LARGEST / float(gains.max()))
    for name in wires.made:
        if name in spikes:
            _replace(graph, name, lambda gain: torch.round(gain * fine))
        else:
            round_analog(graph, graph[name], one / fine, full)
    _replace(graph, weights, lambda weight: weight / fine)


def round_analog(graph: Graph, wire: Node, step: Tensor, full: float) -> None:
    """Round what an analog input adds to a sum, its factor and all, in every tick.

    Args:
        graph: The graph, changed.
        wire: The factor behind the input in whole numbers.
        step: What one stands for.
        full: Weight of what the sum stands for.
    """
    train = graph[wire.inputs[0]]
    rounded = graph[train.inputs[0]]
    grid = graph[rounded.inputs[0]]
    factor = graph.params[wire.params[0]] * full * graph.params[grid.params[0]]
    own = dataclasses.replace(
        grid,
        name=graph.fresh_name(grid.name),
        args=(grid.args[0], graph.fresh_param(f"{wire.name}/grid", factor / (step * full))),
    )
    near = dataclasses.replace(rounded, name=graph.fresh_name(rounded.name), args=(Ref(own.name),))
    graph.insert([own, near], after=train.name)
    graph.update(dataclasses.replace(wire, args=(Ref(near.name), train.args[1])))


class _Wires:
    """Copies of what lies before a node, with factors on the wires only.

    Attributes:
        made: The wires' factors.
    """

    def __init__(self, graph: Graph, whole: set[str], asked: Node) -> None:
        self.graph, self.whole, self.asked = graph, whole, asked
        self.made: list[str] = []

    def multiplied(self, name: str, gain: Tensor) -> str:
        """Return the name of a value that is ``gain`` times as large."""
        graph, node = self.graph, self.graph[name]
        if name in self.whole:
            self.made.append(scaled(graph, name, gain))
            return self.made[-1]
        if node.op == ops.SCALE:
            return self.multiplied(node.inputs[0], gain * graph.params[node.params[0]])
        copy = dataclasses.replace(node, name=graph.fresh_name(f"{name}/multiplied"))
        kind = ops.kind(node)
        if kind == "weighted":
            graph.insert([copy], after=name)
            if scale_weighted(graph, copy, gain):
                return copy.name
        elif kind == "product" and takes_gain(graph, node, gain.shape):
            graph.insert([copy], after=name)
            give_factors(graph, only=(copy.name,))
            _replace(graph, factor_in_front(graph, graph[copy.name]).name, lambda own: own * gain)
            return copy.name
        elif kind == "add" or (kind in ("layout", "mixing") and gain.numel() == 1):
            read = [i for i in dict.fromkeys(node.inputs) if ops.kind(graph[i]) != "shape"]
            moved = {i: self.multiplied(i, gain) for i in read}
            graph.insert([copy.with_args(lambda r: Ref(moved.get(r.name, r.name)))], after=name)
            if ops.is_constant_add(node):
                index = next(i for i, a in enumerate(node.args) if isinstance(a, Param))
                _replace(graph, copy.name, lambda number: number * gain, index)
            return copy.name
        raise ConfigError(
            f"to_integer: expected factors with an integer form, got one at {self.asked.where()} "
            f"that differs between elements which {ops.describe(node)} ({name}) puts together. "
            "Multiply before it, or leave the network in floating point."
        )


def _replace(graph: Graph, name: str, change: Callable[[Tensor], Tensor], index: int = 1) -> None:
    """Change a tensor of one node."""
    args = list(graph[name].args)
    args[index] = graph.fresh_param(f"{args[index].name}'", change(graph.params[args[index].name]))
    graph.update(dataclasses.replace(graph[name], args=tuple(args)))


def scaled(graph: Graph, name: str, gain: Tensor) -> str:
    """Put a factor behind a value, for one reader; return its name."""
    node = graph[name]
    scale = Node(
        name=graph.fresh_name(f"{name}/wire"),
        op=ops.SCALE,
        args=(Ref(name), graph.fresh_param(f"{name}/wire", gain)),
        module=node.module,
        source=node.source,
        shape=node.shape,
    )
    graph.insert([scale], after=name)
    return scale.name
