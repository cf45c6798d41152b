# SPDX-License-Identifier: Apache-2.0
"""Which factor of a product of two values streams, and which one registers hold.

Every spike of the streaming factor adds a held value for each way that leads from it to a sum; a
spike of the held factor is one addition to a register. So the number of additions decides, as
calibration lets expect it; where it is nearly the same, the number of stages.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.calibration import SiteObserver
from spikewright.graph import Graph, fold_units, ops
from spikewright.graph.batch import element_count, sizes
from spikewright.graph.held import factors
from spikewright.graph.ir import Ref
from spikewright.network import Site, depths

__all__ = ["Stream", "choose_streams", "spikes_per_neuron"]

NEAR = 0.05
"""Shares of additions up to which two choices are alike, and the one with fewer stages is taken."""


@dataclass(frozen=True)
class Stream:
    """The choice at one product.

    Attributes:
        product: Its node.
        held: The value that registers hold.
        streams: The value that arrives as spikes.
        additions: Additions for one input that were expected, at the product and its registers.
        otherwise: Those that the other choice would have had.
    """

    product: str
    held: str
    streams: str
    additions: float
    otherwise: float


def choose_streams(
    graph: Graph,
    sites: Mapping[str, Site],
    units: Mapping[str, Tensor],
    observers: Mapping[str, SiteObserver],
) -> tuple[Graph, tuple[Stream, ...]]:
    """Return the graph with the better factor of every product held, and what was chosen.

    A factor whose unit the registers of the other one cannot take in is held itself if that helps:
    it would be multiplied at every spike.

    Args:
        graph: The original network with its sites.
        sites: Its populations.
        units: What a unit of each stands for.
        observers: What calibration saw there.
    """
    products = [n.name for n in graph if ops.kind(n) == "product"]
    if not products:
        return graph, ()
    swapped = graph.copy()
    for name in products:
        _swap(swapped, name)
    dear = [_factors_on_wires(fold_units(g, units), products) for g in (graph, swapped)]
    rates = {n: spikes_per_neuron(s, observers[n]) for n, s in sites.items() if n in units}
    graph, chosen = graph.copy(), []
    for name in products:
        stay, turn = _expected(graph, name, rates)
        other = graph.copy()
        _swap(other, name)
        if (name in dear[0]) != (name in dear[1]):
            better = name in dear[0]
        elif abs(stay - turn) <= NEAR * max(stay, turn):
            better = depths(other)[name] < depths(graph)[name]
        else:
            better = turn < stay
        if better:
            graph, stay, turn = other, turn, stay
        hold, streams = factors(graph, graph[name])
        chosen.append(Stream(name, graph[hold].inputs[0], streams, stay, turn))
    return graph, tuple(chosen)


def spikes_per_neuron(site: Site, observer: SiteObserver) -> float:
    """Return the spikes that a neuron of a population sends for one input, by its histogram.

    Args:
        site: The population, of the layered schedule.
        observer: What calibration saw there.
    """
    seen = observer.histogram
    middles = (torch.arange(seen.bins, dtype=torch.float64) + 0.5) * seen.bin_width.unsqueeze(1)
    unit = site.scale.double().reshape(-1, 1) / site.code.max_value
    targets = middles / unit + site.pre_bias.double()
    sides = (targets,) if site.code.k else (targets, -targets)  # few spikes: of either sign
    sent = [site.code.count(site.code.quantise_(x), signed=False).double() for x in sides]
    spikes = sum(sent) / len(sides) * seen.counts
    return float(spikes.sum() / seen.count.sum())


def _swap(graph: Graph, name: str) -> None:
    """Hold the other factor of a product, in place."""
    node = graph[name]
    old, streams = factors(graph, node)
    hold = graph.insert_behind(streams, ops.HOLD, "held", place=name)
    now = {old: graph[old].inputs[0], streams: hold}
    args = tuple(Ref(now[arg.name]) for arg in node.args[:2])
    graph.update(dataclasses.replace(node, args=args))
    graph.prune()


def _factors_on_wires(folded: Graph, products: list[str]) -> set[str]:
    """Return the products whose streaming factor is multiplied on its way."""
    found: set[str] = set()
    for name in products:
        todo = [factors(folded, folded[name])[1]]
        while todo:
            node = folded[todo.pop()]
            if node.op == ops.SCALE:
                found.add(name)
            elif ops.kind(node) != "site":
                todo.extend(node.inputs)
    return found


def _expected(graph: Graph, name: str, rates: Mapping[str, float]) -> tuple[float, float]:
    """Return the additions for one input as the factors are held now, and the other way round."""
    node = graph[name]
    hold, streams = factors(graph, node)
    multiplied = element_count(node.shape)
    if node.kwargs["by"] == "matmul":
        multiplied *= sizes(graph[node.args[0].name].shape or (1,))[-1]
    held = graph[hold].inputs[0]
    own, other = _rate(graph, streams, rates), _rate(graph, held, rates)
    return (
        own * multiplied + other * element_count(graph[held].shape),
        other * multiplied + own * element_count(graph[streams].shape),
    )


def _rate(graph: Graph, name: str, rates: Mapping[str, float]) -> float:
    """Return the mean spikes of an element of a value that populations send."""
    todo, seen, spikes, neurons = [name], set[str](), 0.0, 0
    while todo:
        node = graph[todo.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.name in rates:
            neurons += element_count(node.shape)
            spikes += rates[node.name] * element_count(node.shape)
        elif ops.kind(node) not in ("site", "shape"):
            todo.extend(node.inputs)
    return spikes / max(1, neurons)
