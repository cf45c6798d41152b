# SPDX-License-Identifier: Apache-2.0
"""The support table: what each operator means for a spiking network.

Every operator is in one class. *Weighted*: linear with weights of its own. *Layout*: moves
elements, so a spike train stays a spike train. *Mixing*: linear without weights (averages, sums).
*Pool*: takes maxima, done by the spiking gate. *Activation*: becomes neurons. *Product*: multiplies
two values, one of them held in registers. Everything else is analog: done where no spikes are
needed (any more, or yet), or by the function units of populations.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from spikewright.graph.ir import Node, Ref

__all__ = [
    "ACTIVATIONS",
    "AFFINE",
    "ANALOG_RELAY",
    "CURVE",
    "HOLD",
    "INPUT",
    "INPUT_SITE",
    "NAMES",
    "PRODUCT",
    "READOUT",
    "RECTIFY",
    "RELAY",
    "SCALE",
    "SITE_OPS",
    "SPIKING_OPS",
    "WINDOW_SUM",
    "Kind",
    "Weighted",
    "describe",
    "is_constant_add",
    "kind",
    "operators",
    "weighted",
]

Kind = Literal[
    "input",
    "weighted",
    "layout",
    "mixing",
    "add",
    "pool",
    "product",
    "hold",
    "site",
    "shape",
    "activation",
    "analog",
]

INPUT = "input"
RECTIFY = "sw.rectify"  # neurons with a ReLU's range: args (x,), kwargs cap (levels, offset)
RELAY = "sw.relay"  # ON/OFF pair carrying a signed value: args (x,), kwargs cap
CURVE = "sw.curve"  # few-spikes neurons: args (x,), kwargs curve, settings (see functions.Curve)
ANALOG_RELAY = "sw.analog_relay"  # a relay that the user left analog
READOUT = "sw.readout"  # accumulates, never fires: outputs or function units read it
INPUT_SITE = "sw.encode_input"  # encodes the network's input, signed or not
AFFINE = "sw.affine"  # x * gain + bias, gain and bias broadcast over the channel axis
WINDOW_SUM = "sw.window_sum"  # whole multiples summed over windows: args (x, one matrix an axis)
SCALE = "sw.scale"  # x * gain: a synapse's own factor, one weight a wire
HOLD = "sw.hold"  # registers that hold a whole train's values: the held factor of a product
PRODUCT = "sw.product"  # args (left, right), one of them held; kwargs by: "mul" or "matmul"

SPIKING_OPS = frozenset({RECTIFY, RELAY, CURVE, INPUT_SITE})
SITE_OPS = SPIKING_OPS | {ANALOG_RELAY, READOUT}


@dataclass(frozen=True)
class Weighted:
    """Where a weighted operator keeps its tensors, and along which axes.

    Attributes:
        weight: Argument index of the weight.
        bias: Argument index of the bias, which may be absent.
        out_axis: Axis of the weight that runs over output channels (within a group if
            transposed); None if the weight has the value's own shape.
        in_axis: Axis of the weight that runs over input channels (within a group).
        channel_axis: Axis of the value that runs over output channels.
        groups: Argument index of the group count, or None.
    """

    weight: int
    bias: int
    out_axis: int | None
    in_axis: int | None
    channel_axis: int
    groups: int | None = None
    transposed: bool = False


_CONV = Weighted(1, 2, 0, 1, 1, groups=6)
_CONV_T = Weighted(1, 2, 1, 0, 1, groups=6, transposed=True)
_LINEAR = Weighted(1, 2, 0, 1, -1)

_WEIGHTED: dict[str, Weighted] = {
    **{f"aten.conv{d}d.{o}": _CONV for d in (1, 2, 3) for o in ("default", "padding")},
    "aten.conv_transpose1d.default": _CONV_T,
    "aten.conv_transpose2d.input": _CONV_T,
    "aten.conv_transpose3d.input": _CONV_T,
    "aten.linear.default": _LINEAR,
    AFFINE: Weighted(1, 2, None, None, 1),
}

_LAYOUT = frozenset(
    {
        *(
            f"aten.{n}.default"
            for n in (
                "view",
                "reshape",
                "expand",
                "permute",
                "unsqueeze",
                "cat",
                "stack",
                "pad",
                "constant_pad_nd",
                "pixel_shuffle",
                "pixel_unshuffle",
                "channel_shuffle",
                "roll",
                "flip",
                "repeat",
                "index_select",
                "unflatten",
                "reflection_pad1d",
                "reflection_pad2d",
                "reflection_pad3d",
                "replication_pad1d",
                "replication_pad2d",
                "replication_pad3d",
                "upsample_nearest1d",
                "upsample_nearest2d",
                "upsample_nearest3d",
                "squeeze",
                "t",
                "unfold",
                "im2col",
            )
        ),
        "aten.flatten.using_ints",
        "aten.unflatten.int",
        "aten.transpose.int",
        "aten.squeeze.dim",
        "aten.squeeze.dims",
        "aten.slice.Tensor",
        "aten.select.int",
        "aten.split.Tensor",
        "aten.split_with_sizes.default",
        "aten.split.sizes",
        "aten.chunk.default",
        "aten.unbind.int",
        "aten.diagonal.default",
        "aten.index.Tensor",
        "aten.repeat_interleave.self_int",
        "aten.upsample_nearest1d.vec",
        "aten.upsample_nearest2d.vec",
        "aten.upsample_nearest3d.vec",
        "operator.getitem",
    }
)

_MIXING = frozenset(
    {
        *(f"aten.avg_pool{d}d.default" for d in (1, 2, 3)),
        *(f"aten.adaptive_avg_pool{d}d.default" for d in (1, 2, 3)),
        *(f"aten._adaptive_avg_pool{d}d.default" for d in (2, 3)),
        "aten.mean.dim",
        "aten.sum.dim_IntList",
        "aten.upsample_linear1d.vec",
        "aten.upsample_bilinear2d.vec",
        "aten.upsample_trilinear3d.vec",
    }
)

_POOL = frozenset(
    {
        *(f"aten.max_pool{d}d.default" for d in (1, 2, 3)),
        *(f"aten.max_pool{d}d_with_indices.default" for d in (1, 2, 3)),
        *(f"aten.adaptive_max_pool{d}d.default" for d in (1, 2, 3)),
        "aten.amax.default",
    }
)

_ADD = frozenset({"aten.add.Tensor", "aten.sub.Tensor"})

_SHAPE = frozenset(
    {
        "aten.sym_size.int",
        *(f"operator.{n}" for n in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg")),
    }
)

ACTIVATIONS = frozenset(
    f"aten.{name}.default"
    for name in (
        "relu",
        "relu6",
        "hardtanh",
        "clamp",
        "clamp_min",
        "clamp_max",
        "threshold",
        "maximum",
    )
)
"""Spellings of ReLU and its clipped forms; `activation_range` says with which arguments."""

NAMES: dict[str, str] = {
    "aten.relu.default": "ReLU",
    "aten.relu6.default": "ReLU6",
    "aten.hardtanh.default": "Hardtanh",
    "aten.clamp.default": "clamp",
    "aten.clamp_min.default": "clamp_min",
    "aten.clamp_max.default": "clamp_max",
    "aten.maximum.default": "maximum",
    "aten.leaky_relu.default": "LeakyReLU",
    "aten.prelu.default": "PReLU",
    "aten.rrelu.default": "RReLU",
    "aten.elu.default": "ELU",
    "aten.selu.default": "SELU",
    "aten.celu.default": "CELU",
    "aten.gelu.default": "GELU",
    "aten.silu.default": "SiLU",
    "aten.mish.default": "Mish",
    "aten.hardswish.default": "Hardswish",
    "aten.hardsigmoid.default": "Hardsigmoid",
    "aten.sigmoid.default": "Sigmoid",
    "aten.tanh.default": "Tanh",
    "aten.softplus.default": "Softplus",
    "aten.softmax.int": "Softmax",
    "aten.log_softmax.int": "LogSoftmax",
    "aten.layer_norm.default": "LayerNorm",
    "aten.native_layer_norm.default": "LayerNorm",
    "aten.group_norm.default": "GroupNorm",
    "aten.native_group_norm.default": "GroupNorm",
    "aten.instance_norm.default": "InstanceNorm",
    "aten.scaled_dot_product_attention.default": "attention",
    "aten.matmul.default": "product of two values",
    "aten.bmm.default": "product of two values",
    "aten.mul.Tensor": "product of two values",
    "aten.div.Tensor": "quotient of two values",
    "aten.addmm.default": "product of two values",
    "aten.baddbmm.default": "product of two values",
    "aten.bilinear.default": "product of two values",
    "aten.einsum.default": "product of two values",
    "aten.mm.default": "product of two values",
    "aten.tensordot.default": "product of two values",
    "aten.embedding.default": "embedding of tokens",
    "aten.dropout.default": "dropout that is always on",
    "aten.native_dropout.default": "dropout that is always on",
    "aten.alpha_dropout.default": "dropout that is always on",
    "aten.feature_dropout.default": "dropout that is always on",
    "aten.bernoulli.default": "random choice (dropout)",
    "aten.bernoulli.p": "random choice (dropout)",
    "aten.rand.default": "random numbers",
    "aten.rand_like.default": "random numbers",
    "aten.randn.default": "random numbers",
    "aten.randn_like.default": "random numbers",
    "aten.lstm.input": "LSTM",
    "aten.gru.input": "GRU",
    "aten.rnn_relu.input": "RNN",
    "aten.rnn_tanh.input": "RNN",
    "aten._native_batch_norm_legit.no_stats": "batch norm without running statistics",
    RECTIFY: "spiking neurons",
    RELAY: "relay (ON/OFF pair)",
    CURVE: "few-spikes neurons",
    ANALOG_RELAY: "relay left analog",
    READOUT: "read-out",
    INPUT_SITE: "input neurons",
    AFFINE: "batch norm",
    SCALE: "scale",
    HOLD: "held factor",
    PRODUCT: "product of two values",
}


def operators(kind: str) -> frozenset[str]:
    """Return the names of PyTorch's operators of a class, for the support table."""
    tables: dict[str, Iterable[str]] = {
        "weighted": (*_WEIGHTED, "aten.batch_norm.default"),
        "layout": _LAYOUT,
        "mixing": _MIXING,
        "pool": _POOL,
        "add": _ADD,
        "activation": ACTIVATIONS,
    }
    return frozenset(n for n in tables[kind] if n.startswith("aten."))


def weighted(node: Node) -> Weighted | None:
    """Return where a weighted operator keeps its tensors; None for other operators."""
    return _WEIGHTED.get(node.op)


def is_constant_add(node: Node) -> bool:
    """Tell whether the node adds a constant to one value (a bias)."""
    return node.op in _ADD and sum(isinstance(a, Ref) for a in node.args[:2]) == 1


def kind(node: Node) -> Kind:
    """Return the class of an operator."""
    op = node.op
    if op == INPUT:
        return "input"
    if op in SITE_OPS:
        return "site"
    if op in _WEIGHTED:
        return "weighted"
    if op == PRODUCT:
        return "product"
    if op == HOLD:
        return "hold"
    if op == "operator.getitem" and node.shape is None:
        return "shape"
    if op in (SCALE, WINDOW_SUM) or op in _MIXING:
        return "mixing"
    if op in _LAYOUT and not (_is_nonzero_pad(node) or _is_chosen(node)):
        return "layout"
    if op in _ADD:
        return "add"
    if op in _POOL:
        return "pool"
    if op in _SHAPE:
        return "shape"
    return "analog"


def _is_chosen(node: Node) -> bool:
    """Tell whether a value of the network says which elements are taken."""
    if node.op == "aten.index_select.default":
        return any(isinstance(index, Ref) for index in node.args[2:3])
    given = node.args[1:2] if node.op == "aten.index.Tensor" else ()
    return any(
        isinstance(index, Ref) for some in given if isinstance(some, tuple) for index in some
    )


def _is_nonzero_pad(node: Node) -> bool:
    if node.op == "aten.constant_pad_nd.default":
        return bool(node.args[2]) if len(node.args) > 2 else False
    if node.op == "aten.pad.default":
        mode = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
        value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")
        return mode == "constant" and bool(value)
    return False


def describe(node: Node) -> str:
    """Name the operator as its users do, e.g. ``"GELU"``, ``"conv2d"``."""
    return NAMES.get(node.op, node.op.split(".")[1] if "." in node.op else node.op)
