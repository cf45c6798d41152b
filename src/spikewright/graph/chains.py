# SPDX-License-Identifier: Apache-2.0
"""Chains of elementwise operators that depend on one value: a function of one number.

An activation may be written in a dozen operators and many orders. What it computes is found by
evaluating the whole chain in float64 on that value's line, whatever its spelling.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator

__all__ = ["SNAP", "chains", "evaluate", "is_pointwise", "is_uniform", "rounder"]

SNAP = 2.5e-7  # a number this near to a whole one is that number, spoilt by rounded constants
_ALIKE = ("ones_like", "zeros_like", "full_like")
_ELEMENTWISE = frozenset(
    {
        ops.SCALE,
        "aten._to_copy.default",
        "aten.type_as.default",
        "aten.floor_divide.default",
        "aten.where.ScalarSelf",
        "aten.where.ScalarOther",
        "aten.where.Scalar",
        *(f"aten.{name}.default" for name in _ALIKE),
    }
)
"""Operators that act on each element by itself, but that PyTorch does not mark as such."""

_ROUNDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "aten.floor.default": torch.floor,
    "aten.ceil.default": torch.ceil,
    "aten.trunc.default": torch.trunc,
    "aten.round.default": torch.round,
    "aten.floor_divide.default": torch.floor,
    "floor": torch.floor,  # rounding modes of a division
    "trunc": torch.trunc,
    "aten._to_copy.default": torch.trunc,  # to whole numbers
}


def chains(
    graph: Graph, end: str, order: dict[str, int], wanted: Callable[[Node], bool]
) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """Yield what ``end`` is computed from: one value and the nodes between, shortest chain first.

    Walking back, the nodes still to be explained are kept; whenever there is only one left,
    everything between it and ``end`` depends on it alone.

    Args:
        graph: The graph.
        end: Name of the last node.
        order: Position of every node.
        wanted: Chains without a node of this kind are passed over.
    """
    todo, chain, found = {end}, dict[str, Node](), False
    while todo:
        name = max(todo, key=order.__getitem__)
        node = graph[name]
        if len(todo) == 1 and found:
            yield name, tuple(sorted(chain.values(), key=lambda n: order[n.name]))
        if not _is_elementwise(graph, node):
            return
        todo.remove(name)
        chain[name] = node
        found = found or wanted(node)
        for source in node.inputs:
            if _is_constant(graph, graph[source]):
                chain[source] = graph[source]
            else:
                todo.add(source)


def _is_elementwise(graph: Graph, node: Node) -> bool:
    """Tell whether the node maps each element by itself, all of them by the same function."""
    if node.shape is None or node.pick is not None:
        return False
    if not is_pointwise(node):
        return False
    values = [graph[i] for i in node.inputs if not _is_constant(graph, graph[i])]
    return all(is_uniform(graph.params[p]) for p in node.params) and all(
        v.shape == node.shape for v in values
    )


def is_pointwise(node: Node) -> bool:
    """Tell whether an operator computes each element from those at the same place."""
    if node.op in _ELEMENTWISE or rounder(node) is not None:
        return True
    if not node.op.startswith("aten."):
        return False
    tags = getattr(resolve_operator(node.op), "tags", ())
    return torch.Tag.pointwise in tags and torch.Tag.nondeterministic_seeded not in tags


def _is_constant(graph: Graph, node: Node) -> bool:
    """Tell whether the node only reads a number out of a tensor, or repeats it."""
    reads = node.op in ("aten.item.default", "aten.expand.default")
    return reads and isinstance(node.args[0], Param) and is_uniform(graph.params[node.params[0]])


def _is_float(dtype: Arg) -> bool:
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point


def is_uniform(tensor: Tensor) -> bool:
    """Tell whether all numbers of a tensor are the same one."""
    return tensor.numel() > 0 and bool((tensor == tensor.reshape(-1)[0]).all())


def rounder(node: Node) -> Callable[[Tensor], Tensor] | None:
    """Return the rounding that is in an operator, or None."""
    if node.op.startswith("aten.div."):
        return _ROUNDERS.get(str(node.kwargs.get("rounding_mode")))
    if node.op == "aten._to_copy.default":
        dtype = node.kwargs.get("dtype")
        if not isinstance(dtype, torch.dtype) or dtype.is_floating_point or dtype == torch.bool:
            return None
    return _ROUNDERS.get(node.op)


def evaluate(
    graph: Graph, source: str, chain: Sequence[Node], x: Float[Tensor, " points"], snap: float
) -> Float[Tensor, " points"]:
    """Evaluate a chain on numbers, in float64; gradients flow.

    A threshold written as clip(x, 0, θ)/θ must reach 1, but 1/θ is a float32 constant by now;
    so numbers within ``snap`` of a whole one are taken for it before they are rounded.
    """
    env: dict[str, Tensor] = {source: x}

    def value(arg: Arg) -> Arg:
        if isinstance(arg, Param):
            number = graph.params[arg.name].reshape(-1)[0]
            return number.double() if number.is_floating_point() else number
        return env[arg.name] if isinstance(arg, Ref) else arg

    for node in chain:
        args = tuple(value(a) for a in node.args)
        kwargs = {k: value(v) for k, v in node.kwargs.items()}
        rounding = rounder(node)
        if rounding is not None:
            y = args[0] / args[1] if "div" in node.op else args[0].double()
            whole = y.round()
            near = (y - whole).abs() <= snap * whole.abs().clamp(min=1.0)
            env[node.name] = rounding(torch.where(near, whole, y))
        elif node.op == "aten.expand.default":
            env[node.name] = args[0]
        elif node.op == "aten._to_copy.default" and _is_float(kwargs.get("dtype")):
            env[node.name] = args[0].double()
        elif node.op == "aten.heaviside.default":
            env[node.name] = _heaviside(*args)
        else:
            env[node.name] = resolve_operator(node.op)(*args, **kwargs)
    return env[chain[-1].name]


def _heaviside(x: Tensor, at_zero: Tensor) -> Tensor:
    """PyTorch's own has no gradient."""
    step = (x > 0).to(torch.float64)
    return torch.where(x == 0, at_zero.to(torch.float64), step)
