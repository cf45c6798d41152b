# SPDX-License-Identifier: Apache-2.0
"""Where a network can be cut so that one value passes, and the blocks between such places."""

from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node
from spikewright.graph.sites import flow
from spikewright.preparation.walk import Walk

__all__ = ["blocks", "ends"]


def blocks(walk: Walk, least: int) -> list[tuple[Node, ...]]:
    """Return the network in blocks, each of which begins and ends where one value passes.

    The value is a train: what lies between a layer and its neurons is in one block. Analog work
    behind the read-outs is in none.

    Args:
        walk: The network at its beginning.
        least: Layers in a block, where there are so many.
    """
    graph = walk.draft.graph
    values, found, current, layers = flow(graph), list[tuple[Node, ...]](), list[Node](), 0
    inside = _inside(graph)
    for node in graph:
        if values[node.name].tail and node.op != ops.READOUT and node.name not in inside:
            continue
        current.append(node)
        layers += ops.kind(node) == "weighted"
        live = [graph[n] for n in walk.live(walk.place(node.name) + 1)]
        whole = len(live) == 1 and live[0].shape is not None and values[live[0].name].train
        if whole and layers >= least:
            found.append(tuple(current))
            current, layers = [], 0
    if any(ops.kind(n) == "weighted" for n in current):
        found.append(tuple(current))
    return found


def ends(walk: Walk, block: tuple[Node, ...]) -> tuple[str, ...]:
    """Return the values of a block that are read behind it, and the network's read-outs in it."""
    inside = _inside(walk.draft.graph)
    live = walk.live(walk.place(block[-1].name) + 1)
    own = {n.name for n in block}
    readouts = (n.name for n in block if n.op == ops.READOUT and n.name not in inside)
    return tuple(dict.fromkeys((*(n for n in live if n in own), *readouts)))


def _inside(graph: Graph) -> set[str]:
    """Return the values that neurons are computed from, functions of complete values too."""
    return graph.ancestors(n.name for n in graph if n.op in ops.SPIKING_OPS)
