# SPDX-License-Identifier: Apache-2.0
"""What a site computes in the original network: the activation that it stands for."""

import math

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node, Ref
from spikewright.graph.staircase import quantised

__all__ = ["activate", "activation_range", "between_layers"]


def activate(node: Node, x: Tensor, overwrite: bool = False) -> Tensor:
    """Apply a site's activation in the original network's numbers.

    A rectified site clips to [0, cap], a relay to ±cap if it has a cap; either applies the
    staircase it was trained with if there is one. Everything else passes through.

    Args:
        node: The site.
        x: Its input, "batch *neuron".
        overwrite: Whether the memory of ``x`` may be used.
    """
    cap, levels = node.kwargs.get("cap"), node.kwargs.get("levels")
    if levels is not None:
        signed = node.op == ops.RELAY
        return quantised(x, node.kwargs["cap"], levels, node.kwargs["offset"], signed)
    if node.op == ops.RECTIFY:
        return x.clamp_(0, cap) if overwrite else x.clamp(0, cap)
    if node.op == ops.RELAY and cap is not None:
        return x.clamp(-cap, cap)
    return x


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
