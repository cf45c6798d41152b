# SPDX-License-Identifier: Apache-2.0
"""What a population's function unit computes, operator by operator, and the class of each.

A programmable neuron (Loihi 2, SpiNNaker2) evaluates them on complete potentials; members of a
group exchange sums before they fire. Classes are those that an account prices by themselves.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from spikewright.graph import ops
from spikewright.graph.ir import Node

__all__ = ["OPERATIONS", "Operation", "is_function", "operations_of"]

Operation = Literal["evaluation", "multiplication", "addition", "division", "comparison", "move"]
OPERATIONS: tuple[Operation, ...] = (
    "evaluation",
    "multiplication",
    "addition",
    "division",
    "comparison",
)
"""Classes of operations: a curve at one point, and the four plain ones."""

_TABLE: Mapping[Operation, str] = MappingProxyType(
    {
        "evaluation": (
            "exp exp2 expm1 log log2 log10 log1p logit sqrt rsqrt erf erfc erfinv sinc sin cos tan "
            "asin acos atan sinh cosh tanh asinh acosh atanh sigmoid log_sigmoid silu mish gelu "
            "softplus elu selu celu hardswish hardshrink softshrink hardsigmoid pow xlogy atan2 "
            "hypot logaddexp softsign tanhshrink"
        ),
        "multiplication": "mul multiply square addcmul lerp prelu leaky_relu glu",
        "addition": "add sub rsub subtract neg negative sum mean cumsum var std var_mean std_mean",
        "division": "div divide true_divide reciprocal addcdiv floor_divide remainder fmod",
        "comparison": (
            "abs absolute sign sgn ceil floor trunc frac round eq ne lt le gt ge isfinite isinf "
            "isnan maximum minimum fmax fmin clamp clip clamp_min clamp_max relu relu6 hardtanh "
            "threshold heaviside where masked_fill amax amin max min logical_and logical_or "
            "logical_not logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor nan_to_num"
        ),
        "move": (
            "clone detach alias contiguous positive broadcast_to expand_as narrow tile concat "
            "hstack vstack movedim moveaxis swapaxes tril triu type_as to _to_copy split unbind "
            "zeros_like ones_like full_like new_zeros new_ones new_full any all"
        ),
    }
)
_CLASS = {name: found for found, names in _TABLE.items() for name in names.split()}

_GROUP: Mapping[str, Mapping[Operation, int]] = MappingProxyType(
    {
        # an element: subtract the largest (found by comparing), one exponential, one sum, a quotient
        **dict.fromkeys(
            ("softmax", "_softmax", "log_softmax", "_log_softmax"),
            {"evaluation": 1, "addition": 2, "comparison": 1, "division": 1},
        ),
        "logsumexp": {"evaluation": 1, "addition": 2, "comparison": 1},
        # an element: mean, squared difference and its mean, then gain and shift
        **dict.fromkeys(
            (
                *("layer_norm", "native_layer_norm", "group_norm", "native_group_norm"),
                *("instance_norm", "batch_norm"),
            ),
            {"addition": 4, "multiplication": 3},
        ),
        **dict.fromkeys(
            ("rms_norm", "_fused_rms_norm", "linalg_vector_norm", "norm"),
            {"addition": 1, "multiplication": 3},
        ),
    }
)
"""Operations an element of a function of a group; what is done once a group is left out, except
in softmax, which divides every element."""


def _name(node: Node) -> str:
    return node.op.split(".")[1].rstrip("_") if node.op.startswith("aten.") else node.op


def is_function(node: Node) -> bool:
    """Tell whether a function unit computes an operator."""
    return _name(node) in _CLASS or _name(node) in _GROUP


def operations_of(node: Node) -> Mapping[Operation, int]:
    """Return the operations an element of an operator of a region takes, by class.

    Operators that only move elements take none; linear ones are told by their kind.
    """
    name, kind = _name(node), ops.kind(node)
    if name in _GROUP:
        return _GROUP[name]
    if node.op == ops.AFFINE:
        return {"multiplication": 1, "addition": 1}
    if node.op == ops.SCALE:
        return {"multiplication": 1}
    if kind in ("add", "mixing"):
        return {"addition": 1}
    if kind == "pool":
        return {"comparison": 1}
    found = _CLASS.get(name)
    return {} if found in (None, "move") else {found: 1}
