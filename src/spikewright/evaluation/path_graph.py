# SPDX-License-Identifier: Apache-2.0
"""A network's graph in which values are numbers of ways: weights one, averages sums."""

import dataclasses

import torch

from spikewright.graph import Graph, Ref, flow, ops
from spikewright.graph.ir import Param
from spikewright.graph.windows import to_sum

__all__ = ["path_graph"]


def path_graph(graph: Graph, dtype: torch.dtype = torch.float64) -> Graph:
    """Return the graph with weights one, biases zero, and averages turned into sums.

    Args:
        graph: The graph.
        dtype: Floating type of the new tensors.
    """
    graph = graph.copy()
    values = flow(graph)
    for node in graph:
        spec = ops.weighted(node)
        args = list(node.args)
        if spec is not None and isinstance(args[spec.weight], Param):
            weight = graph.params[args[spec.weight].name]
            args[spec.weight] = graph.fresh_param("one", torch.ones_like(weight, dtype=dtype))
            if len(args) > spec.bias and args[spec.bias] is not None:
                bias = graph.params[args[spec.bias].name]
                args[spec.bias] = graph.fresh_param("zero", torch.zeros_like(bias, dtype=dtype))
            graph.update(dataclasses.replace(node, args=tuple(args)))
        elif node.op == ops.SCALE:
            one = graph.fresh_param(f"{node.name}/one", torch.ones((), dtype=dtype))
            graph.update(dataclasses.replace(node, args=(args[0], one)))
        elif ops.is_constant_add(node):
            zero = graph.fresh_param(f"{node.name}/zero", torch.zeros((), dtype=dtype))
            graph.update(
                dataclasses.replace(
                    node,
                    op="aten.add.Tensor",
                    args=tuple(a if isinstance(a, Ref) else zero for a in args[:2]),
                    kwargs={},
                )
            )
        elif ops.kind(node) == "add":
            graph.update(
                dataclasses.replace(node, op="aten.add.Tensor", args=tuple(args[:2]), kwargs={})
            )
        elif ops.kind(node) == "mixing" and not (
            values[node.name].tail or values[node.name].prefix
        ):
            to_sum(graph, node, ways=True)
            graph.params.update({p: graph.params[p].to(dtype) for p in graph[node.name].params})
    return graph
