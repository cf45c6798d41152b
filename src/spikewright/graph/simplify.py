# SPDX-License-Identifier: Apache-2.0
"""First passes after capture: one spelling for each thing.

No-ops vanish, operators with several names get one, tuple results are picked at once, and
arithmetic on constants is done, so that later passes meet few forms.
"""

import dataclasses

import torch
from torch import Tensor

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import ops
from spikewright.graph.advice import is_random
from spikewright.graph.ir import Graph, Node, Param, Ref
from spikewright.graph.program import resolve_operator

__all__ = ["fold_batch_norm", "simplify"]

_NO_OPS = frozenset(
    f"aten.{n}"
    for n in (
        "clone.default",
        "alias.default",
        "detach.default",
        "contiguous.default",
        "dropout.default",
        "feature_dropout.default",
        "alpha_dropout.default",
        "feature_alpha_dropout.default",
        "native_dropout.default",
        "lift_fresh.default",
        "lift_fresh_copy.default",
        "positive.default",
    )
)
_TUPLE_FIRST = frozenset(
    {
        *(f"aten.max_pool{d}d_with_indices.default" for d in (1, 2, 3)),
        "aten.max_pool1d_with_indices.default",
        *(f"aten.adaptive_max_pool{d}d.default" for d in (1, 2, 3)),
        "aten._native_batch_norm_legit_no_training.default",
        "aten.native_dropout.default",
    }
)
_PLAIN_NAMES = {
    f"aten.{name}": f"aten.{plain}"
    for name, plain in {
        "__and__.Scalar": "bitwise_and.Scalar",
        "__and__.Tensor": "bitwise_and.Tensor",
        "__or__.Scalar": "bitwise_or.Scalar",
        "__or__.Tensor": "bitwise_or.Tensor",
        "__xor__.Scalar": "bitwise_xor.Scalar",
        "__xor__.Tensor": "bitwise_xor.Tensor",
        "absolute.default": "abs.default",
        "add.Scalar": "add.Tensor",
        "clip.default": "clamp.default",
        "clip.Tensor": "clamp.Tensor",
        "div.Scalar": "div.Tensor",
        "divide.Scalar": "div.Tensor",
        "divide.Tensor": "div.Tensor",
        "fix.default": "trunc.default",
        "fmax.default": "maximum.default",
        "fmin.default": "minimum.default",
        "max.other": "maximum.default",
        "min.other": "minimum.default",
        "mul.Scalar": "mul.Tensor",
        "multiply.Scalar": "mul.Tensor",
        "multiply.Tensor": "mul.Tensor",
        "negative.default": "neg.default",
        "sub.Scalar": "sub.Tensor",
        "subtract.Scalar": "sub.Tensor",
        "subtract.Tensor": "sub.Tensor",
        "swapaxes.default": "transpose.int",
        "true_divide.Scalar": "div.Tensor",
        "true_divide.Tensor": "div.Tensor",
    }.items()
}
"""Operators that are others under a second name; fmax and fmin differ for NaN only."""
_BATCH_NORM = "aten._native_batch_norm_legit_no_training.default"


def simplify(graph: Graph) -> Graph:
    """Return an equal graph without no-ops, tuples of one use, and constant arithmetic."""
    graph = graph.copy()
    graph.prune()  # what nobody reads, such as a pool's indices, must not count as a reader
    for node in graph:
        _use_plain_name(graph, node)
    for node in graph:
        _pick_first(graph, node)
    for stale in graph:
        node = graph[stale.name]  # an earlier no-op may have been its input
        if not node.args or not isinstance(node.args[0], Ref):
            continue  # a no-op on a constant is arithmetic on constants
        if (node.op in _NO_OPS and not is_random(node)) or _is_identity(graph, node):
            graph.redirect(node.name, node.args[0].name)
    graph.prune()
    _fold_constants(graph)
    for node in graph:
        _infer_batch(graph, node)
    graph.prune()
    return graph


def _infer_batch(graph: Graph, node: Node) -> None:
    """Let a reshape or an expansion find out the size that depends on the batch by itself."""
    if node.op not in ("aten.reshape.default", "aten.expand.default") or node.shape is None:
        return
    sizes = node.args[1]
    if not isinstance(sizes, tuple) or not any(isinstance(s, Ref) for s in sizes):
        return
    inferred = sizes
    if node.op == "aten.reshape.default" and 0 not in node.shape:
        inferred = tuple(s if isinstance(s, int) else -1 for s in node.shape)
    elif node.op == "aten.expand.default" and isinstance(node.args[0], Ref):
        before = graph[node.args[0].name].shape or ()
        before = (*(1 for _ in range(len(sizes) - len(before))), *before)
        inferred = tuple(-1 if b is None else s for s, b in zip(sizes, before, strict=True))
    graph.update(dataclasses.replace(node, args=(node.args[0], inferred)))


def _use_plain_name(graph: Graph, node: Node) -> None:
    if node.op in _PLAIN_NAMES:
        graph.update(dataclasses.replace(node, op=_PLAIN_NAMES[node.op]))
    elif node.op == "aten.batch_norm.default":
        args = (*node.args[:5], *node.args[6:8])
        graph.update(dataclasses.replace(node, op=_BATCH_NORM, args=args, pick=0))


def _pick_first(graph: Graph, node: Node) -> None:
    """Read element 0 of a tuple result in the node itself."""
    if node.op != "operator.getitem" or node.args[1] != 0:
        return
    source = graph[node.args[0].name]
    if source.op in _TUPLE_FIRST and graph.has_one_reader(source.name):
        graph.update(dataclasses.replace(source, pick=0, shape=node.shape))
        graph.redirect(node.name, source.name)


def _is_identity(graph: Graph, node: Node) -> bool:
    if ops.kind(node) != "layout" or node.op == "operator.getitem":
        return False
    before = graph[node.args[0].name].shape
    moves = (
        "permute",
        "transpose",
        "roll",
        "flip",
        "index",
        "pixel",
        "channel_shuffle",
        "aten.t.",
    )
    values = [i for i in node.inputs if graph[i].shape is not None]
    if any(m in node.op for m in moves) or len(values) != 1:
        return False
    if "pad" in node.op and any(node.args[1]):
        return False
    return node.shape is not None and before == node.shape


def _fold_constants(graph: Graph) -> None:
    """Do arithmetic that depends on nothing but the graph's own tensors."""
    for stale in graph:
        node = graph[stale.name]
        if node.op == ops.INPUT or node.inputs or not (node.params or node.op.startswith("aten.")):
            continue
        if is_random(node):
            continue
        args = node.with_args(lambda p: graph.params[p.name], Param)
        with torch.no_grad():
            value = resolve_operator(node.op)(*args.args, **args.kwargs)
        value = value if node.pick is None else value[node.pick]
        found = {node.name: value}
        if isinstance(value, tuple | list):
            users = graph.users()[node.name]
            found = {u.name: value[u.args[1]] for u in users if u.op == "operator.getitem"}
        for name, tensor in found.items():
            if isinstance(tensor, Tensor):
                _read_instead(graph, name, tensor)


def _read_instead(graph: Graph, name: str, value: Tensor) -> None:
    """Let all that read a node read a constant."""
    const = graph.fresh_param(f"{name}.value", value.detach().clone())
    for reader in graph:
        if name in reader.inputs:
            graph.update(reader.with_args(lambda r: const if r.name == name else r))


def fold_batch_norm(graph: Graph) -> Graph:
    """Return an equal graph in which batch norms live in the layer before them where they can.

    A batch norm folds into a convolution, transposed convolution (grouped and dilated ones
    included) or linear layer whose only reader it is. One that cannot fold (pre-activation order,
    a shared input) stays, as ``x · gain + bias`` with one gain and bias per channel.
    """
    graph = graph.copy()
    for stale in graph:
        node = graph[stale.name]
        if node.op != _BATCH_NORM:
            continue
        gain, bias = _gain_and_bias(graph, node)
        before = graph[node.args[0].name]
        spec = ops.weighted(before)
        only = graph.has_one_reader(before.name)
        shape = before.shape or ()
        axis = None if spec is None else spec.channel_axis % max(len(shape), 1)
        if spec is not None and spec.out_axis is not None and only and axis == 1:
            _scale_output(graph, before, gain, bias)
            graph.redirect(node.name, before.name)
        else:
            view = (-1, *(1 for _ in shape[2:]))
            g = graph.fresh_param(f"{node.module or node.name}.gain", gain.reshape(view))
            b = graph.fresh_param(f"{node.module or node.name}.bias", bias.reshape(view))
            graph.update(
                dataclasses.replace(
                    node, op=ops.AFFINE, args=(node.args[0], g, b), kwargs={}, pick=None
                )
            )
    graph.prune()
    return graph


def _gain_and_bias(graph: Graph, node: Node) -> tuple[Tensor, Tensor]:
    weight, bias, mean, var = (
        None if a is None else graph.params[a.name].double() for a in node.args[1:5]
    )
    eps = float(node.args[6])
    if mean is None or var is None:
        raise UnsupportedModuleError(
            f"{node.where()}: expected batch norm with running statistics, got one without. "
            "Train it with track_running_stats=True."
        )
    gain = torch.rsqrt(var + eps)
    gain = gain if weight is None else gain * weight
    shift = -mean * gain if bias is None else bias - mean * gain
    dtype = graph.params[node.args[3].name].dtype
    return gain.to(dtype), shift.to(dtype)


def _scale_output(graph: Graph, node: Node, gain: Tensor, shift: Tensor) -> None:
    spec = ops.weighted(node)
    args = list(node.args) + [None] * max(0, 3 - len(node.args))
    weight = graph.params[args[1].name]
    scaled = weight * output_gain(node, gain, weight)
    old = 0 if args[2] is None else graph.params[args[2].name] * gain
    args[1] = graph.fresh_param(f"{node.module or node.name}.folded_weight", scaled)
    args[2] = graph.fresh_param(f"{node.module or node.name}.folded_bias", old + shift)
    if spec is not None:
        graph.update(dataclasses.replace(node, args=tuple(args)))


def output_gain(node: Node, gain: Tensor, weight: Tensor) -> Tensor:
    """Shape a factor per output channel so that it multiplies the weight.

    Args:
        node: A convolution, transposed convolution or linear layer.
        gain: Factor per output channel, ``"channel"``, or one for all, ``""``.
        weight: The layer's weight.

    Returns:
        A tensor that broadcasts with the weight.
    """
    spec = ops.weighted(node)
    if gain.ndim == 0 or spec is None:
        return gain
    if not spec.transposed:
        return gain.reshape(-1, *(1 for _ in weight.shape[1:]))
    groups = argument(node, spec.groups, 1)
    rows = weight.shape[0] // groups  # input channels of one group
    per_row = gain.reshape(groups, 1, -1).expand(groups, rows, -1)
    return per_row.reshape(weight.shape[0], -1, *(1 for _ in weight.shape[2:]))


def input_gain(node: Node, gain: Tensor, weight: Tensor) -> Tensor:
    """Shape a factor per input channel so that it multiplies the weight; see `output_gain`."""
    spec = ops.weighted(node)
    if gain.ndim == 0 or spec is None:
        return gain
    ones = tuple(1 for _ in weight.shape[2:])
    if spec.transposed:
        return gain.reshape(-1, 1, *ones)
    groups = argument(node, spec.groups, 1)
    per_out = gain.reshape(groups, 1, -1).expand(groups, weight.shape[0] // groups, -1)
    return per_out.reshape(weight.shape[0], -1, *ones)


def argument(node: Node, index: int | None, default: int) -> int:
    """Return an integer positional argument or its default."""
    if index is None or index >= len(node.args):
        return default
    return int(node.args[index])
