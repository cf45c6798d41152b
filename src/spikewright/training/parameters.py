# SPDX-License-Identifier: Apache-2.0
"""Give a simplified graph its parameters back where arithmetic on them was done in advance."""

import dataclasses
from collections.abc import Set as AbstractSet

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import Graph, Node, Param, ops

__all__ = ["with_parameters"]


def with_parameters(captured: Graph, graph: Graph, trainable: AbstractSet[str]) -> Graph:
    """Return an equal graph in which x·p, x/p, x + p … read p itself, not a copy.

    Args:
        captured: The graph as it was captured.
        graph: The same, simplified, with sites; not changed.
        trainable: Names of the tensors that will be trained.

    Raises:
        UnsupportedModuleError: If some of them are in the graph as constants only, because they
            are computed from each other (weight norm), naming them all.
    """
    graph = graph.copy()
    for node in graph:
        old = captured.nodes.get(node.name)
        if old is not None and len(old.params) == 1 and len(old.inputs) == 1:
            graph.update(_own(node, old))
    lost = sorted(_lost(captured, graph) & trainable)
    if lost:
        raise UnsupportedModuleError(
            "model: expected layers that read their parameters as they are, got some computed from "
            f"others: {', '.join(lost)}. Remove parametrisations such as weight norm first "
            "(torch.nn.utils.parametrize.remove_parametrizations)."
        )
    graph.prune()
    return graph


def _own(node: Node, old: Node) -> Node:
    """Return a node of elementwise arithmetic that reads the tensor of its captured form."""
    own = Param(old.params[0])
    if node.op == ops.SCALE and old.op == "aten.mul.Tensor":
        return dataclasses.replace(node, args=(node.args[0], own))
    if node.op == ops.SCALE and old.op == "aten.div.Tensor":
        return dataclasses.replace(node, op=old.op, args=(node.args[0], own))
    if node.op == "aten.add.Tensor" and old.op in ("aten.add.Tensor", "aten.sub.Tensor"):
        if isinstance(old.args[1], Param):
            return dataclasses.replace(
                node, op=old.op, args=(node.args[0], own), kwargs=dict(old.kwargs)
            )
        return dataclasses.replace(node, args=(node.args[0], own))
    return node


def _lost(captured: Graph, graph: Graph) -> set[str]:
    """Return the tensors that nodes of a graph depended on when captured, but do not read."""
    constants: dict[str, set[str]] = {}
    found: set[str] = set()
    for old in captured:
        if old.op != ops.INPUT and all(i in constants for i in old.inputs):
            constants[old.name] = set(old.params).union(*(constants[i] for i in old.inputs))
            continue
        node = graph.nodes.get(old.name)
        if node is not None and ops.kind(node) != "site":
            read = set(old.params).union(*(constants.get(i, set()) for i in old.inputs))
            found |= read - set(node.params)
    return found
