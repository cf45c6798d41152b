# SPDX-License-Identifier: Apache-2.0
"""Weighted layers that no neurons follow: analog work behind the read-outs, and how much of it."""

import torch

from spikewright.graph import ops
from spikewright.graph.batch import sizes
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator
from spikewright.graph.sites import flow

__all__ = ["tail_macs"]


def tail_macs(graph: Graph) -> dict[str, int]:
    """Return the multiply-adds for one input of every weighted layer behind the read-outs.

    Args:
        graph: A graph with sites.

    Returns:
        Node name to number, in the order of execution; products with padding are none.
    """
    values = flow(graph)
    return {
        node.name: _macs(graph, node)
        for node in graph
        if ops.weighted(node) is not None and values[node.name].tail
    }


def _macs(graph: Graph, node: Node) -> int:
    """Run a layer whose weights are ones on ones: every product then adds one."""
    spec = ops.weighted(node)

    def ones(index: int, arg: Arg) -> Arg:
        if isinstance(arg, Ref):
            return torch.ones(sizes(graph[arg.name].shape or ()), dtype=torch.float64)
        if isinstance(arg, Param):
            bias = spec is not None and index == spec.bias
            fill = torch.zeros_like if bias else torch.ones_like
            return fill(graph.params[arg.name], dtype=torch.float64, device="cpu")
        return list(arg) if isinstance(arg, tuple) else arg

    args = [ones(index, arg) for index, arg in enumerate(node.args)]
    return int(resolve_operator(node.op)(*args, **node.kwargs).sum())
