# SPDX-License-Identifier: Apache-2.0
"""Add a constant to what enters a site, in the layer's own bias where there is one."""

import dataclasses

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node, Ref

__all__ = ["add_bias"]


def add_bias(graph: Graph, site: str, value: Tensor) -> Graph:
    """Return a graph in which a constant is added to a site's input.

    Args:
        graph: A graph with sites.
        site: Name of the site.
        value: Broadcastable with the site's value, e.g. "channel 1 1".
    """
    graph = graph.copy()
    node = graph[graph[site].inputs[0]]
    if not _in_own_bias(graph, node, value):
        added = dataclasses.replace(
            graph[site],
            name=graph.fresh_name(f"{site}/shift"),
            op="aten.add.Tensor",
            args=(Ref(node.name), graph.fresh_param(f"{site}/shift", value.clone())),
            kwargs={},
            pick=None,
        )
        graph.redirect(node.name, added.name, only=[site])
        graph.insert([added], after=node.name)
    return graph


def _in_own_bias(graph: Graph, node: Node, value: Tensor) -> bool:
    """Add to the bias of a layer that only this site reads, if it has one of the right form."""
    spec = ops.weighted(node)
    if spec is None or not graph.has_one_reader(node.name) or node.op == ops.AFFINE:
        return False
    if len(node.args) <= spec.bias or node.args[spec.bias] is None:
        return False
    ndim = len(node.shape or ())
    axis = spec.channel_axis % ndim - (ndim - value.ndim)
    if any(size != 1 for i, size in enumerate(value.shape) if i != axis):
        return False
    bias: Tensor = graph.params[node.args[spec.bias].name]
    args = list(node.args)
    args[spec.bias] = graph.fresh_param(f"{node.name}/bias", bias + value.reshape(-1))
    graph.update(dataclasses.replace(node, args=tuple(args)))
    return True
