# SPDX-License-Identifier: Apache-2.0
"""Arithmetic with constants, masks and padding, as factors, sums and padding with zeros.

x·gain + bias in any spelling: ``masked_fill`` and ``where`` with a constant mask, ``tril``,
``lerp``, ``addcmul``, a constant that is larger than the value, padding with a number, a
concatenation with a constant.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.graph.build import Rewrite, Rule, batch_position, shape_of
from spikewright.graph.ir import Arg, Node
from spikewright.graph.program import resolve_operator

__all__ = ["RULES"]


def _fits(w: Rewrite, constant: Tensor) -> bool:
    """Tell whether a constant broadcasts with the node's value and leaves its batch alone."""
    shape = w.shape
    batch = batch_position(shape)
    if constant.ndim > len(shape):
        return False
    place = None if batch is None else batch - len(shape) + constant.ndim
    return place is None or place < 0 or constant.shape[place] == 1


def _full(w: Rewrite, x: Node) -> Node:
    return w.expand(x, w.shape)


def _arithmetic(w: Rewrite) -> bool:
    """Arithmetic of one value and a constant, which may be the larger of the two."""
    left, right = w.node.args[:2]
    name = w.node.op.split(".")[1]
    if "rounding_mode" in w.node.kwargs:
        return False
    x, c = w.value(left), w.constant(right)
    turned = x is None
    if turned:
        x, c = w.value(right), w.constant(left)
    if x is None or c is None or not _fits(w, c) or (turned and name == "div"):
        return False
    y, alpha = _full(w, x), float(w.arg(2, "alpha", 1)) if name in ("add", "sub") else 1.0
    c = c if c.is_floating_point() else c.to(w.graph.dtype)
    if name == "mul":
        return w.finish(w.scale(y, c))
    if name == "div":
        return w.finish(w.scale(y, 1 / c))
    sign = -1.0 if name == "sub" else 1.0
    if turned:  # c ± alpha·x
        return w.finish(w.shift(w.scale(y, sign * alpha), c))
    return w.finish(w.shift(y, sign * alpha * c))


def _neg(w: Rewrite) -> bool:
    x = w.value(w.node.args[0])
    return x is not None and w.finish(w.scale(x, -1.0))


def _rsub(w: Rewrite) -> bool:
    """Subtract alpha·x from a constant or value."""
    x, other = w.node.args[:2]
    return _combined(w, [(other, torch.ones(())), (x, torch.tensor(-float(w.arg(2, "alpha", 1))))])


def _where(w: Rewrite) -> bool:
    mask = w.constant(w.node.args[0])
    return mask is not None and _choice(w, mask, w.node.args[1], w.node.args[2])


def _masked_fill(w: Rewrite) -> bool:
    mask = w.constant(w.node.args[1])
    return mask is not None and _choice(w, mask, w.node.args[2], w.node.args[0])


def _choice(w: Rewrite, mask: Tensor, yes: Arg, no: Arg) -> bool:
    """Take one argument where a constant mask is true, the other one elsewhere."""
    share = mask.to(w.graph.dtype)
    return _combined(w, [(yes, share), (no, 1 - share)])


def _combined(w: Rewrite, terms: Sequence[tuple[Arg, Tensor]]) -> bool:
    """Add up terms, each an argument times constants."""
    total: Node | None = None
    bias = torch.zeros((), dtype=w.graph.dtype)
    for arg, gain in terms:
        x, c = w.value(arg), w.constant(arg)
        if not _fits(w, gain) or (c is not None and not _fits(w, c)):
            return False
        if x is not None:
            part = w.scale(_full(w, x), gain)
            total = part if total is None else w.add(total, part)
        elif c is not None:
            bias = bias + torch.where(gain == 0, 0, c * gain)
        else:
            return False
    return total is not None and w.finish(w.shift(total, bias))


def _lerp(w: Rewrite) -> bool:
    """Go a constant share of the way from one value to another."""
    start, end = w.node.args[:2]
    weight = w.constant(w.arg(2, "weight"))
    return weight is not None and _combined(w, [(start, 1 - weight), (end, weight * 1.0)])


def _addcmul(w: Rewrite) -> bool:
    """Add a product (quotient) with a constant."""
    added, first, second = w.node.args[:3]
    if w.constant(second) is None:
        if "addcdiv" in w.node.op:
            return False
        first, second = second, first
    gain = w.constant(second)
    if gain is None:
        return False
    gain = gain.to(w.graph.dtype)
    gain = (1 / gain if "addcdiv" in w.node.op else gain) * float(w.arg(3, "value", 1))
    return _combined(w, [(added, torch.ones((), dtype=w.graph.dtype)), (first, gain)])


def _triangle(w: Rewrite) -> bool:
    """Zero one side of a diagonal."""
    x = w.value(w.node.args[0])
    shape = w.shape
    if x is None or batch_position(shape[-2:]) is not None:
        return False
    cut = resolve_operator(w.node.op)
    return w.finish(w.scale(x, cut(torch.ones(shape[-2:]), int(w.arg(1, "diagonal", 0)))))


def _index_fill(w: Rewrite) -> bool:
    """Set constant places along an axis to a number."""
    x, shape = w.node.args[0], w.shape
    axis = int(w.node.args[1]) % len(shape)
    index = w.constant(w.node.args[2])
    if index is None or not isinstance(shape[axis], int):
        return False
    mask = torch.zeros(shape[axis], dtype=torch.bool)
    mask[index.reshape(-1)] = True
    return _choice(w, mask.reshape(-1, *[1] * (len(shape) - 1 - axis)), w.node.args[3], x)


def _pad(w: Rewrite) -> bool:
    """Padding with a number: with zeros, and the number added around."""
    named = w.node.op == "aten.pad.default"
    mode = w.arg(2, "mode", "constant") if named else "constant"
    number = w.arg(3 if named else 2, "value") or 0.0
    x, zeros = w.value(w.node.args[0]), w.node.args[1]
    if mode != "constant" or number == 0 or x is None:
        return False
    shape = w.shape
    inside = torch.ones([1] * len(shape), dtype=w.graph.dtype)
    y = x
    for i in range(len(zeros) // 2):
        before, behind = (int(z) for z in zeros[2 * i : 2 * i + 2])
        axis = len(shape) - 1 - i
        if before == behind == 0:
            continue
        size = shape_of(y)[axis]
        if not isinstance(size, int):
            return False
        line = functional.pad(torch.ones(size), (before, behind))
        inside = inside * line.reshape(-1, *[1] * i)
        y = w.pad(y, axis, before, behind)
    return w.finish(w.shift(y, (1 - inside) * float(number)))


def _cat(w: Rewrite) -> bool:
    """A concatenation with constants: zeros beside the values, and the constants added."""
    parts = w.node.args[0]
    shape = w.shape
    axis = int(w.arg(1, "dim", 0)) % len(shape)
    fixed = [w.constant(p) for p in parts]
    if all(c is None for c in fixed) or not isinstance(shape[axis], int):
        return False
    values = [w.value(p) for p in parts]
    if any((c is None) == (x is None) for c, x in zip(fixed, values, strict=True)):
        return False
    first = next(i for i, x in enumerate(values) if x is not None)
    made: list[tuple[Node, int, int]] = []  # a value, zeros in front of it, zeros behind it
    bias = []
    zeros = 0
    for i, (c, x) in enumerate(zip(fixed, values, strict=True)):
        if c is not None:
            bias.append(_one_sample(c.to(w.graph.dtype), shape, axis))
            width = c.shape[axis]
            if i < first:
                zeros += width
            else:
                made[-1] = (made[-1][0], made[-1][1], made[-1][2] + width)
        elif x is not None:
            own = [1] * len(shape)
            own[axis] = shape_of(x)[axis]
            bias.append(torch.zeros(own, dtype=w.graph.dtype))
            made.append((x, zeros if i == first else 0, 0))
    whole = w.cat([w.pad(x, axis, before, behind) for x, before, behind in made], axis)
    if not any(bool(b.any()) for b in bias):
        return w.finish(whole)
    sizes = [max(b.shape[a] for b in bias) for a in range(len(shape))]
    full = [b.expand([b.shape[a] if a == axis else n for a, n in enumerate(sizes)]) for b in bias]
    return w.finish(w.shift(whole, torch.cat(full, axis)))


def _one_sample(c: Tensor, shape: Sequence[object], axis: int) -> Tensor:
    """Reduce a constant to size 1 wherever it does not change, so that it broadcasts."""
    for a in range(c.ndim):
        if a != axis and c.shape[a] > 1 and bool((c == c.narrow(a, 0, 1)).all()):
            c = c.narrow(a, 0, 1)
    return c


RULES: Mapping[str, Rule] = {
    **{f"aten.{n}.Tensor": _arithmetic for n in ("add", "sub", "mul", "div")},
    "aten.neg.default": _neg,
    "aten.rsub.Scalar": _rsub,
    "aten.rsub.Tensor": _rsub,
    "aten.where.self": _where,
    "aten.where.ScalarOther": _where,
    "aten.where.ScalarSelf": _where,
    "aten.masked_fill.Scalar": _masked_fill,
    "aten.masked_fill.Tensor": _masked_fill,
    "aten.lerp.Scalar": _lerp,
    "aten.lerp.Tensor": _lerp,
    "aten.addcmul.default": _addcmul,
    "aten.addcdiv.default": _addcmul,
    "aten.tril.default": _triangle,
    "aten.triu.default": _triangle,
    "aten.index_fill.int_Scalar": _index_fill,
    "aten.index_fill.int_Tensor": _index_fill,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": _pad,
    "aten.cat.default": _cat,
}
