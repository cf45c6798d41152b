# SPDX-License-Identifier: Apache-2.0
"""How much function units and analog work do for one input, operator by operator.

Counted are the operators on complete values: those of regions between populations, those in front
of the network's first weights, and those behind its last read-outs. Weighted layers among them are
multiply-adds and told by :mod:`spikewright.graph.tail`. A factor right in front of neurons is their
threshold.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spikewright.graph import ops
from spikewright.graph.batch import element_count, sizes
from spikewright.graph.constants import constants
from spikewright.graph.function_units import Cost, Operation, operations_of
from spikewright.graph.ir import Graph, Node
from spikewright.graph.sites import flow
from spikewright.graph.windows import covered, pool_members

__all__ = ["FunctionWork", "function_work"]


@dataclass(frozen=True)
class FunctionWork:
    """What one operator on complete values does for one input.

    Attributes:
        node: The operator.
        kind: ``"function"``: function units in front of neurons; ``"analog"``: what no neurons
            follow, or no weights come before.
        operations: Number of operations by class.
        reads: Elements that it reads.
        writes: Elements that it writes.
        groups: Groups whose members exchange sums; 0 where it works element by element.
        neurons: The populations that it is in front of.
    """

    node: Node
    kind: Literal["function", "analog"]
    operations: Mapping[Operation, int]
    reads: int
    writes: int
    groups: int
    neurons: tuple[str, ...]


def function_work(graph: Graph) -> dict[str, FunctionWork]:
    """Return the work of every operator on complete values that does any, in execution order.

    Args:
        graph: A graph with sites.
    """
    values, fixed, behind = flow(graph), constants(graph), _neurons_behind(graph)
    users = graph.users()
    found: dict[str, FunctionWork] = {}
    for node in graph:
        value = values[node.name]
        if not (value.tail or value.prefix) or node.name in fixed or not node.inputs:
            continue
        if ops.kind(node) in ("site", "weighted"):
            continue
        if _is_threshold(node, users[node.name]):
            continue
        operations, groups = _count(graph, node)
        if operations:
            neurons = behind[node.name] if value.tail else ()
            found[node.name] = FunctionWork(
                node=node,
                kind="function" if neurons else "analog",
                operations=operations,
                reads=sum(element_count(graph[i].shape) for i in node.inputs if graph[i].shape),
                writes=_written(node),
                groups=groups,
                neurons=neurons,
            )
    return found


def _is_threshold(node: Node, users: Sequence[Node]) -> bool:
    """Tell whether a factor does nothing but choose the unit in which neurons compare."""
    return node.op == ops.SCALE and bool(users) and all(u.op in ops.SPIKING_OPS for u in users)


def _neurons_behind(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the populations that take a value first, none or several."""
    behind: dict[str, dict[str, None]] = {n.name: {} for n in graph}
    for node in reversed(tuple(graph)):
        own = {node.name: None} if node.op in ops.SPIKING_OPS else behind[node.name]
        if ops.kind(node) == "site" and not own:
            continue
        for name in node.inputs:
            behind[name].update(own)
    return {name: tuple(own) for name, own in behind.items()}


def _written(node: Node) -> int:
    return element_count(node.shape) if node.shape is not None else 0


def _count(graph: Graph, node: Node) -> tuple[dict[Operation, int], int]:
    """Return the operations of an operator by class, and its groups."""
    written, before = _written(node), graph[node.inputs[0]].shape
    if ops.kind(node) == "pool":
        return {"comparison": pool_members(graph, node)}, written
    if ops.kind(node) == "mixing" and node.op != ops.SCALE:
        averages = 0 if node.op == "aten.sum.dim_IntList" else written
        return _some({"addition": covered(graph, node), "multiplication": averages}), written
    cost = operations_of(node)
    read = element_count(before) if before is not None else 0
    elements, groups = written, 0
    if cost.over == "reduction":
        elements, groups = read, written or 1
    elif cost.over == "matrix":
        elements *= sizes(graph[_left(node)].shape or (1,))[-1]
        groups = written
    elif cost.over:
        groups = written // max(1, _group_size(node, cost))
    found: dict[Operation, int] = {op: n * elements for op, n in cost.element.items()}
    for op, n in cost.group.items():
        found[op] = found.get(op, 0) + n * groups
    return _some(found), groups


def _some(operations: Mapping[Operation, int]) -> dict[Operation, int]:
    return {op: n for op, n in operations.items() if n}


def _left(node: Node) -> str:
    """Return the left factor of a product of matrices, behind what is added to it."""
    return node.inputs[1 if "addmm" in node.op or "baddbmm" in node.op else 0]


def _group_size(node: Node, cost: Cost) -> int:
    """Return how many elements exchange sums."""
    shape = sizes(node.shape or ())
    if cost.over == "axis":
        return shape[int(node.args[1])]
    if cost.over == "shape":
        given = node.args[1]
        return math.prod(given) if isinstance(given, tuple) else int(given)
    if cost.over == "channels":
        return math.prod(shape[2:])
    groups = node.args[6] if "native" in node.op else node.args[1]
    return math.prod(shape) // max(1, int(groups))
