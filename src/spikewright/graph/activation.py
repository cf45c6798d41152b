# SPDX-License-Identifier: Apache-2.0
"""What a site computes in the original network: the activation that it stands for."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from spikewright.functions import Clip, Curve, Function, Identity, ReLU, Staircase
from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node, Ref

__all__ = ["activate", "activation_range", "behind_moves", "between_layers", "function_of"]


def function_of(node: Node) -> Function:
    """Return the activation of a site in the original network.

    A rectified site clips to [0, cap], a relay to ±cap if it has a cap; either applies the
    staircase it was trained with if there is one; few-spikes neurons have a curve. Everything else
    passes on what it is given.
    """
    if node.op == ops.CURVE:
        return Curve(curve=node.kwargs["curve"], settings=tuple(node.kwargs["settings"]))
    cap, levels = node.kwargs.get("cap"), node.kwargs.get("levels")
    signed = node.op == ops.RELAY
    if cap is not None and levels is not None:
        offset = float(node.kwargs["offset"])
        return Staircase(cap=float(cap), levels=int(levels), offset=offset, signed=signed)
    if node.op == ops.RECTIFY:
        return ReLU() if cap is None else Clip(high=float(cap))
    if signed and cap is not None:
        return Clip(low=-float(cap), high=float(cap))
    return Identity()


def activate(node: Node, x: Tensor, overwrite: bool = False) -> Tensor:
    """Apply a site's activation in the original network's numbers.

    Args:
        node: The site.
        x: Its input, "batch *neuron".
        overwrite: Whether the memory of ``x`` may be used.
    """
    return function_of(node)(x, overwrite)


def activation_range(graph: Graph, node: Node) -> tuple[float, float] | None:
    """Return the range [low, high] that a clipping activation leaves; None for other operators."""
    op, args = node.op, node.args
    if op == "aten.relu.default":
        return 0.0, math.inf
    if op == "aten.relu6.default":
        return 0.0, 6.0
    if op == "aten.hardtanh.default":
        low = args[1] if len(args) > 1 else node.kwargs.get("min_val", -1.0)
        high = args[2] if len(args) > 2 else node.kwargs.get("max_val", 1.0)
        return float(low), float(high)
    if op == "aten.clamp.default":
        bounds = [*args[1:], None, None][:2]
        low = node.kwargs.get("min", bounds[0])
        high = node.kwargs.get("max", bounds[1])
        if isinstance(low, Ref) or isinstance(high, Ref):
            return None
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)
    if op in ("aten.clamp_min.default", "aten.clamp_max.default"):
        bound = args[1] if len(args) > 1 else next(iter(node.kwargs.values()))
        return (float(bound), math.inf) if op.endswith("min.default") else (-math.inf, float(bound))
    if op == "aten.threshold.default" and float(args[1]) == float(args[2]) == 0:
        return 0.0, math.inf
    if op in ("aten.maximum.default", "aten.max.other") and len(node.params) == 1:
        bound_tensor = graph.params[node.params[0]]
        return (0.0, math.inf) if not bool(bound_tensor.any()) else None
    return None


_BECOMES = frozenset(
    {
        "aten._native_batch_norm_legit_no_training.default",
        *(f"aten.{n}.default" for n in ("maximum", "minimum", "amin", "topk", "aminmax")),
        "aten.max.dim",
        "aten.min.dim",
    }
)
"""Operators that later passes write as layers and pools."""


def between_layers(graph: Graph, name: str) -> bool:
    """Tell whether a value depends on weights or neurons, and such follow."""

    def spikes(node: Node) -> bool:
        known = activation_range(graph, node) is not None or node.op in _BECOMES
        return known or ops.kind(node) in ("weighted", "site", "pool")

    before = any(spikes(graph[n]) for n in graph.ancestors([name]) if n != name)
    users, todo, seen = graph.users(), [name], set[str]()
    while before and todo:
        for user in users[todo.pop()]:
            if spikes(user):
                return True
            if user.name not in seen:
                seen.add(user.name)
                todo.append(user.name)
    return False


def behind_moves(users: Mapping[str, Sequence[Node]], name: str) -> list[Node]:
    """Return what reads a value, looking through operators that only move elements.

    Args:
        users: Who reads each node, see :meth:`Graph.users`.
        name: The value.
    """
    found, todo = list[Node](), [name]
    while todo:
        for user in users[todo.pop()]:
            if ops.kind(user) == "layout":
                todo.append(user.name)
            else:
                found.append(user)
    return found
