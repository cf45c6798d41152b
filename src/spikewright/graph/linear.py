# SPDX-License-Identifier: Apache-2.0
"""Products with a constant, in every spelling, as layers with weights.

``x @ W``, ``W @ x``, ``mm``, ``bmm``, ``addmm``, ``baddbmm``, ``einsum``, ``tensordot``, ``inner``:
all are sums over axes that a value and a constant share. Each becomes a linear layer (a 1×1
convolution where the shared axis is the channel's), or a grouped convolution where the constant
differs along an axis that stays; axes are moved before and behind as needed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.build import Rewrite, Rule, batch_position, shape_of
from spikewright.graph.ir import Arg, Node

__all__ = ["RULES", "equation_terms"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _product(w: Rewrite, left: Arg, right: Arg, labels: tuple[str, str, str]) -> Node | None:
    """Contract a value with a constant, whichever side it is on; None if there are not these."""
    one, two, out = labels
    if (x := w.value(left)) is not None and (c := w.constant(right)) is not None:
        return contract(w, x, one, c, two, out)
    if (x := w.value(right)) is not None and (c := w.constant(left)) is not None:
        return contract(w, x, two, c, one, out)
    return None


def _rank(w: Rewrite, arg: Arg) -> int:
    value = w.value(arg)
    if value is not None:
        return len(shape_of(value))
    constant = w.constant(arg)
    return 0 if constant is None else constant.ndim


def _matmul_labels(left: int, right: int) -> tuple[str, str, str]:
    """Return what stands for the axes of both factors and the product, by `torch.matmul`."""
    row, column, inner = "X", "Y", "Z"
    batch = _LETTERS[: max(left, right, 2) - 2]
    one = inner if left == 1 else batch[len(batch) - (left - 2) :] + row + inner
    two = inner if right == 1 else batch[len(batch) - (right - 2) :] + inner + column
    out = batch + ("" if left == 1 else row) + ("" if right == 1 else column)
    return one, two, out


def _matmul(w: Rewrite) -> bool:
    left, right = w.node.args[:2]
    found = _product(w, left, right, _matmul_labels(_rank(w, left), _rank(w, right)))
    return found is not None and w.finish(found)


def _addmm(w: Rewrite) -> bool:
    """Beta · added + alpha · (left @ right)."""
    added, left, right = w.node.args[:3]
    alpha, beta = float(w.arg(4, "alpha", 1)), float(w.arg(3, "beta", 1))
    found = _product(w, left, right, _matmul_labels(_rank(w, left), _rank(w, right)))
    if found is None:
        return False
    found = w.scale(found, alpha)
    bias, other = w.constant(added), w.value(added)
    if beta == 0:
        return w.finish(found)
    if bias is not None:
        return w.finish(w.shift(found, bias * beta))
    if other is None:
        return False
    return w.finish(w.add(found, w.expand(w.scale(other, beta), shape_of(found))))


def _tensordot(w: Rewrite) -> bool:
    left, right, over, onto = w.node.args[:4]
    a, b = _rank(w, left), _rank(w, right)
    if a + b > len(_LETTERS):
        return False
    one, two = list(_LETTERS[:a]), list(_LETTERS[a : a + b])
    for i, j in zip(over, onto, strict=True):
        two[j % b] = one[i % a]
    shared = {one[i % a] for i in over}
    out = [c for c in (*one, *two) if c not in shared]
    found = _product(w, left, right, ("".join(one), "".join(two), "".join(out)))
    return found is not None and w.finish(found)


def _inner(w: Rewrite) -> bool:
    left, right = w.node.args[:2]
    a, b = _rank(w, left), _rank(w, right)
    one, two = _LETTERS[: a - 1], _LETTERS[a : a + b - 1]
    found = _product(w, left, right, (one + "Z", two + "Z", one + two))
    return found is not None and w.finish(found)


def _linear(w: Rewrite) -> bool:
    """F.linear(constant, x): the value stands where the weight should be."""
    left, right = w.node.args[:2]
    if w.value(right) is None or w.constant(left) is None:
        return False
    batch = _LETTERS[: _rank(w, left) - 1]
    found = _product(w, left, right, (batch + "Z", "YZ", batch + "Y"))
    bias = w.constant(w.arg(2, "bias"))
    if found is None or (bias is None and w.arg(2, "bias") is not None):
        return False
    return w.finish(found if bias is None else w.shift(found, bias))


def _einsum(w: Rewrite) -> bool:
    equation, operands = w.node.args[0], w.node.args[1]
    values = [o for o in operands if w.value(o) is not None]
    fixed = [w.constant(o) for o in operands if w.value(o) is None]
    if len(values) != 1 or any(c is None for c in fixed):
        return False
    terms, out = equation_terms(equation.replace(" ", ""), [_rank(w, o) for o in operands])
    x = w.value(values[0])
    own = terms[operands.index(values[0])]
    others = [t for t, o in zip(terms, operands, strict=True) if w.value(o) is None]
    if x is None:
        return False
    x, own = _diagonals(w, x, own)
    needed = "".join(dict.fromkeys(c for t in others for c in t if c in own or c in out))
    tensors = [c.to(w.graph.dtype) for c in fixed if c is not None]
    if tensors:
        constant = torch.einsum(",".join(others) + "->" + needed, *tensors)
    else:
        constant = torch.ones((), dtype=w.graph.dtype)
    found = contract(w, x, own, constant, needed, out)
    return found is not None and w.finish(found)


def _diagonals(w: Rewrite, x: Node, own: str) -> tuple[Node, str]:
    """Take the diagonal of axes that have the same letter."""
    while (twice := next((c for c in own if own.count(c) > 1), None)) is not None:
        first = own.index(twice)
        second = own.index(twice, first + 1)
        shape = shape_of(x)
        kept = [a for a in range(len(own)) if a not in (first, second)]
        sizes = (*(shape[a] for a in kept), shape[first])
        x = w.call("aten.diagonal.default", x, 0, first, second, shape=sizes)
        own = "".join(own[a] for a in kept) + twice
    return x, own


def equation_terms(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Write out the ellipsis and the output of an equation of `torch.einsum`.

    Args:
        equation: Without spaces.
        ranks: How many axes each operand has.

    Returns:
        One letter for each axis of each operand, and of the result.
    """
    before, _, out = equation.partition("->")
    terms = before.split(",")
    spare = [c for c in reversed(_LETTERS) if c not in equation]
    most = max((r - len(t) + 3 for t, r in zip(terms, ranks, strict=True) if "..." in t), default=0)
    dots = "".join(spare[:most])
    terms = [
        t.replace("...", dots[len(dots) - (r - len(t) + 3) :])
        for t, r in zip(terms, ranks, strict=True)
    ]
    if "->" in equation:
        return terms, out.replace("...", dots)
    every = "".join(terms)
    single = sorted(c for c in set(every) if every.count(c) == 1 and c not in dots)
    return terms, dots + "".join(single)


def contract(w: Rewrite, x: Node, own: str, constant: Tensor, other: str, out: str) -> Node | None:
    """Multiply a value with a constant and sum over what they share, as `torch.einsum` does.

    Args:
        w: Takes the new nodes.
        x: The value.
        own: One letter for each of its axes, none twice.
        constant: The constant; an axis of size 1 goes with one of any size.
        other: One letter for each of its axes.
        out: The letters of the result.

    Returns:
        The result's node, None if the batch would be summed over.
    """
    if not constant.is_floating_point():
        constant = constant.to(w.graph.dtype)
    size = dict(zip(own, shape_of(x), strict=True))
    batch = next((c for c, s in size.items() if not isinstance(s, int)), None)
    alone = [c for c in other if c in size and constant.shape[other.index(c)] == 1 != size[c]]
    constant = constant.squeeze([other.index(c) for c in alone])
    other = "".join(c for c in other if c not in alone)
    wide = dict(zip(other, constant.shape, strict=True))
    single = [c for c in own if size[c] == 1 and wide.get(c, 1) != 1]  # the constant is larger
    lost = [c for c in own if c in single or (c not in out and c not in other)]
    summed = [c for c in other if c not in out and c not in own]
    constant = constant.sum([other.index(c) for c in summed]) if summed else constant
    other = "".join(c for c in other if c not in summed)
    if batch in lost or (batch is not None and (batch in other or batch not in out)):
        return None
    x = _sum(w, x, [own.index(c) for c in lost])
    own = "".join(c for c in own if c not in lost)
    if any(c not in own and c not in other for c in out):
        return None
    inner = "".join(c for c in own if c in other and c not in out)
    group = "".join(c for c in own if c in other and c in out)
    new = "".join(c for c in out if c in other and c not in own)
    rest = "".join(c for c in own if c not in other)
    weight = constant.permute([other.index(c) for c in (*group, *new, *inner)])
    size.update({c: wide[c] for c in new})
    if not inner:
        return _scaled(w, x, own, weight, group + new, out, size)
    if group:
        return _grouped(w, x, own, weight, (group, new, inner, rest), out, size)
    matrix = weight.reshape(math.prod(wide[c] for c in new), -1)
    if _is_pointwise(x, own, out, inner, new):
        return _pointwise(w, x, matrix)
    y = w.permute(x, [own.index(c) for c in rest + inner])
    y = w.reshape(y, (*(size[c] for c in rest), matrix.shape[1]))
    y = w.linear(y, matrix)
    y = w.reshape(y, tuple(size[c] for c in rest + new))
    return w.permute(y, [(rest + new).index(c) for c in out])


def _sum(w: Rewrite, x: Node, axes: Sequence[int]) -> Node:
    shape = shape_of(x)
    single = [a for a in axes if shape[a] == 1]
    many = tuple(a for a in axes if shape[a] != 1)
    if many:
        kept = [1 if a in many else s for a, s in enumerate(shape)]
        x = w.call("aten.sum.dim_IntList", x, many, True, shape=kept)
    return w.drop_axes(x, sorted((*single, *many)))


def _scaled(
    w: Rewrite, x: Node, own: str, gain: Tensor, letters: str, out: str, size: dict[str, Any]
) -> Node:
    """Nothing is summed over: the constant scales, and repeats along axes of its own."""
    present = [c for c in out if c in own]
    x = w.permute(x, [own.index(c) for c in present])
    x = w.reshape(x, tuple(size[c] if c in own else 1 for c in out))
    x = w.expand(x, tuple(size[c] for c in out))
    order = [c for c in out if c in letters]
    gain = gain.permute([letters.index(c) for c in order])
    return w.scale(x, gain.reshape([size[c] if c in letters else 1 for c in out]))


def _is_pointwise(x: Node, own: str, out: str, inner: str, new: str) -> bool:
    """Tell whether the sum runs over axis 1, behind the batch, and axes behind it stay."""
    spatial = len(own) - 2
    return (
        len(inner) == len(new) == 1
        and 1 <= spatial <= 3
        and batch_position(x.shape) == 0
        and own[1] == inner
        and out == own.replace(inner, new)
    )


def _pointwise(w: Rewrite, x: Node, matrix: Tensor) -> Node:
    spatial = len(shape_of(x)) - 2
    kernel = matrix.reshape(*matrix.shape, *[1] * spatial)
    shape = (shape_of(x)[0], matrix.shape[0], *shape_of(x)[2:])
    weight = w.param("weight", kernel)
    return w.call(f"aten.conv{spatial}d.default", x, weight, shape=shape)


def _grouped(
    w: Rewrite,
    x: Node,
    own: str,
    weight: Tensor,
    parts: tuple[str, str, str, str],
    out: str,
    size: dict[str, Any],
) -> Node:
    """A matrix for every element of an axis that stays: a convolution with groups."""
    group, new, inner, rest = parts
    batch = "".join(c for c in rest if not isinstance(size[c], int))
    others = "".join(c for c in rest if c not in batch)
    first = tuple(size[c] for c in batch) or (1,)
    groups, rows, columns = (math.prod(size[c] for c in p) for p in (group, new, inner))
    length = math.prod(size[c] for c in others)
    y = w.permute(x, [own.index(c) for c in batch + group + inner + others])
    y = w.reshape(y, (*first, groups * columns, length))
    kernel = w.param("weight", weight.reshape(groups * rows, columns, 1))
    y = w.call(
        "aten.conv1d.default",
        y,
        kernel,
        None,
        (1,),
        (0,),
        (1,),
        groups,
        shape=(*first, groups * rows, length),
    )
    order = batch + group + new + others
    y = w.reshape(y, tuple(size[c] for c in order))
    return w.permute(y, [order.index(c) for c in out])


RULES: Mapping[str, Rule] = {
    **{f"aten.{n}.default": _matmul for n in ("matmul", "mm", "bmm", "mv", "dot")},
    "aten.addmm.default": _addmm,
    "aten.baddbmm.default": _addmm,
    "aten.addmv.default": _addmm,
    "aten.tensordot.default": _tensordot,
    "aten.inner.default": _inner,
    "aten.linear.default": _linear,
    "aten.einsum.default": _einsum,
}
