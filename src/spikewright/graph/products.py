# SPDX-License-Identifier: Apache-2.0
"""Products of two values that both depend on the input, in two spellings.

A product that sums over an axis is ``matmul``, any other is ``mul`` with broadcasting: ``bmm``,
``mm``, ``baddbmm``, ``addmm``, ``addcmul`` and ``einsum`` of two values become these. A value times
itself is ``square``, which is a function of one number; a root mean square norm that is written out
is ``rms_norm``, a function of a group.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.graph.build import Rewrite, Rule, shape_of
from spikewright.graph.ir import Node, Ref
from spikewright.graph.linear import equation_terms

__all__ = ["PRODUCTS", "RULES"]

PRODUCTS = frozenset({"aten.matmul.default", "aten.mul.Tensor"})
"""Names of the two spellings; with a constant as a factor they are layers and scales."""


def _matmul(w: Rewrite) -> bool:
    left, right = (w.value(a) for a in w.node.args[:2])
    if left is None or right is None:
        return False
    return w.finish(w.call("aten.matmul.default", left, right, shape=w.shape))


def _addmm(w: Rewrite) -> bool:
    """Beta · added + alpha · (left @ right)."""
    added, left, right = (w.value(a) for a in w.node.args[:3])
    bias = w.constant(w.node.args[0])
    if left is None or right is None:
        return False
    alpha, beta = float(w.arg(4, "alpha", 1)), float(w.arg(3, "beta", 1))
    y = w.scale(w.call("aten.matmul.default", left, right, shape=w.shape), alpha)
    if beta == 0:
        return w.finish(y)
    if bias is not None:
        return w.finish(w.shift(y, bias * beta))
    return added is not None and w.finish(w.add(y, w.expand(w.scale(added, beta), w.shape)))


def _addcmul(w: Rewrite) -> bool:
    """Added + number · first · second."""
    added, first, second = (w.value(a) for a in w.node.args[:3])
    bias = w.constant(w.node.args[0])
    if first is None or second is None or (added is None and bias is None):
        return False
    y = w.call("aten.mul.Tensor", first, second, shape=w.shape)
    y = w.scale(y, float(w.arg(3, "value", 1)))
    if bias is not None:
        return w.finish(w.shift(y, bias))
    return added is not None and w.finish(w.add(y, w.expand(added, w.shape)))


def _mul(w: Rewrite) -> bool:
    """A value times itself, or times what makes a root mean square norm of it."""
    left, right = (w.value(a) for a in w.node.args[:2])
    if left is None or right is None:
        return False
    if left is right:
        return w.finish(w.call("aten.square.default", left, shape=w.shape))
    for x, factor in ((left, right), (right, left)):
        eps = _rms_eps(w, x, factor)
        if eps is not None:
            size = (shape_of(x)[-1],)
            return w.finish(w.call("aten.rms_norm.default", x, size, None, eps, shape=w.shape))
    return False


def _rms_eps(w: Rewrite, x: Node, factor: Node) -> float | None:
    """Return ε if a factor is 1 / sqrt(mean(x²) + ε) over the last axis, else None."""
    found = []
    for op in ("rsqrt.default", "add.Tensor", "mean.dim", "square.default"):
        if factor.op != f"aten.{op}" or not isinstance(factor.args[0], Ref):
            return None
        found.append(factor)
        factor = w.graph[factor.args[0].name]
    eps = w.constant(found[1].args[1])
    axes, keep = found[2].args[1], [*found[2].args[2:], False][0]
    last = axes in ((-1,), (len(shape_of(x)) - 1,))
    if factor is not x or not last or not keep or eps is None or eps.numel() != 1:
        return None
    return float(eps)


def _pow(w: Rewrite) -> bool:
    x = w.value(w.node.args[0])
    if x is None or w.node.args[1] != 2:
        return False
    return w.finish(w.call("aten.square.default", x, shape=w.shape))


def _einsum(w: Rewrite) -> bool:
    operands = w.node.args[1]
    values = [w.value(o) for o in operands]
    left, right = [*values, None, None][:2]
    if len(values) != 2 or left is None or right is None:
        return False
    ranks = [len(shape_of(left)), len(shape_of(right))]
    (one, two), out = equation_terms(w.node.args[0].replace(" ", ""), ranks)
    if any(len(set(term)) != len(term) for term in (one, two)):
        return False
    left, one = _summed(w, left, one, two + out)
    right, two = _summed(w, right, two, one + out)
    sizes = {**_sizes(left, one), **_sizes(right, two)}
    if any(sizes[c] != n for c, n in _sizes(left, one).items()):
        return False  # an axis of size 1 that goes with a larger one
    inner = [c for c in one if c in two and c not in out]
    if inner:
        return w.finish(_contracted(w, (left, one), (right, two), out, sizes))
    factors = [_placed(w, x, own, out) for x, own in ((left, one), (right, two))]
    return w.finish(w.call("aten.mul.Tensor", *factors, shape=w.shape))


def _sizes(x: Node, own: str) -> dict[str, Any]:
    return dict(zip(own, shape_of(x), strict=True))


def _summed(w: Rewrite, x: Node, own: str, others: str) -> tuple[Node, str]:
    """Sum over the axes that neither the other factor nor the result has."""
    lost = tuple(own.index(c) for c in own if c not in others)
    if not lost:
        return x, own
    kept = [s for a, s in enumerate(shape_of(x)) if a not in lost]
    y = w.call("aten.sum.dim_IntList", x, lost, False, shape=kept)
    return y, "".join(c for c in own if c in others)


def _placed(w: Rewrite, x: Node, own: str, out: str) -> Node:
    """Put a factor's axes where the result has them, with axes of size 1 for the others."""
    y = w.permute(x, [own.index(c) for c in out if c in own])
    sizes = _sizes(x, own)
    return w.reshape(y, tuple(sizes.get(c, 1) for c in out))


def _contracted(
    w: Rewrite, left: tuple[Node, str], right: tuple[Node, str], out: str, sizes: dict[str, Any]
) -> Node:
    """Multiply two values as matrices, for every place along the axes that both keep."""
    (x, one), (y, two) = left, right
    shared = [c for c in out if c in one and c in two]
    rows, columns = ([c for c in own if c not in shared and c in out] for own in (one, two))
    inner = [c for c in one if c in two and c not in out]
    first, number = tuple(sizes[c] for c in shared), _product(sizes, inner)
    high, wide = _product(sizes, rows), _product(sizes, columns)
    x = w.permute(x, [one.index(c) for c in (*shared, *rows, *inner)])
    y = w.permute(y, [two.index(c) for c in (*shared, *inner, *columns)])
    x, y = w.reshape(x, (*first, high, number)), w.reshape(y, (*first, number, wide))
    z = w.call("aten.matmul.default", x, y, shape=(*first, high, wide))
    order = [*shared, *rows, *columns]
    z = w.reshape(z, tuple(sizes[c] for c in order))
    return w.permute(z, [order.index(c) for c in out])


def _product(sizes: Mapping[str, Any], letters: Sequence[str]) -> int:
    return math.prod(sizes[c] for c in letters)


RULES: Mapping[str, Rule] = {
    **{f"aten.{n}.default": _matmul for n in ("bmm", "mm")},
    "aten.addmm.default": _addmm,
    "aten.baddbmm.default": _addmm,
    "aten.addcmul.default": _addcmul,
    "aten.einsum.default": _einsum,
    "aten.mul.Tensor": _mul,
    "aten.pow.Tensor_Scalar": _pow,
}
