# SPDX-License-Identifier: Apache-2.0
"""Maxima and minima in every spelling, as ``amax``; minima as the maximum of the negative.

``max(dim)``, ``topk(1)`` and ``aminmax`` where only the values are read; ``maximum`` of two values,
which are stacked on an axis of their own.
"""

from collections.abc import Mapping, Sequence

from spikewright.graph.build import Rewrite, Rule, shape_of
from spikewright.graph.ir import Node

__all__ = ["RULES"]

_WITH_PLACES = {"aten.max.dim": False, "aten.min.dim": True}


def _amin(w: Rewrite) -> bool:
    x = w.value(w.node.args[0])
    if x is None:
        return False
    axes = w.arg(1, "dim") or tuple(range(len(shape_of(x))))
    return w.finish(_extreme(w, x, axes, keep=bool(w.arg(2, "keepdim", False)), least=True))


def _values(w: Rewrite) -> bool:
    """Element 0 of (values, places)."""
    source, place = w.graph[w.node.args[0].name], int(w.node.args[1])
    outer = Rewrite(w.graph, source, w.held)
    x = outer.value(source.args[0]) if source.args else None
    if x is None:
        return False
    if source.op in _WITH_PLACES and place == 0:
        axis, keep = int(outer.arg(1, "dim")), bool(outer.arg(2, "keepdim", False))
        least = _WITH_PLACES[source.op]
    elif source.op == "aten.topk.default" and place == 0 and int(outer.arg(1, "k")) == 1:
        axis, keep = int(outer.arg(2, "dim", -1)), True
        least = not outer.arg(3, "largest", True)
    elif source.op == "aten.aminmax.default" and source.kwargs.get("dim") is not None:
        axis, keep = int(source.kwargs["dim"]), bool(source.kwargs.get("keepdim", False))
        least = place == 0
    else:
        return False
    return w.finish(_extreme(w, x, (axis,), keep=keep, least=least))


def _of_two(w: Rewrite) -> bool:
    """The larger (smaller) of two values: both on a new last axis, and the maximum over it."""
    least = "min" in w.node.op
    left, right = (w.value(a) for a in w.node.args[:2])
    if left is None or right is None:
        return False
    shape = w.shape
    parts = [w.expand(p, shape) for p in (left, right)]
    if least:
        parts = [w.scale(p, -1.0) for p in parts]
    both = w.call("aten.stack.default", tuple(parts), len(shape), shape=(*shape, 2))
    found = w.largest(both, (len(shape),), keep=False)
    return w.finish(w.scale(found, -1.0) if least else found)


def _extreme(w: Rewrite, x: Node, axes: Sequence[int], *, keep: bool, least: bool) -> Node:
    if not least:
        return w.largest(x, axes, keep=keep)
    return w.scale(w.largest(w.scale(x, -1.0), axes, keep=keep), -1.0)


RULES: Mapping[str, Rule] = {
    "operator.getitem": _values,
    "aten.maximum.default": _of_two,
    "aten.minimum.default": _of_two,
    "aten.amin.default": _amin,
}
