# SPDX-License-Identifier: Apache-2.0
"""What a population's function unit computes, operator by operator, and the class of each.

A programmable neuron (Loihi 2, SpiNNaker2) evaluates them on complete potentials; members of a
group exchange sums before they fire. Classes are those that an account prices by themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from spikewright.graph import ops
from spikewright.graph.ir import Node, Param, Ref

__all__ = [
    "OPERATIONS",
    "Cost",
    "Operation",
    "functions_by_reach",
    "is_function",
    "operations_of",
]

Operation = Literal["evaluation", "multiplication", "addition", "division", "comparison"]
OPERATIONS: tuple[Operation, ...] = (
    "evaluation",
    "multiplication",
    "addition",
    "division",
    "comparison",
)
"""Classes of operations: a curve at one point, and the four plain ones."""


@dataclass(frozen=True)
class Cost:
    """What an operator does, by class.

    Attributes:
        element: For every element that it writes; of a reduction, that it reads.
        group: Once for every group: a row of a softmax, what a reduction makes one number of.
        over: What its groups are: ``""`` (it works element by element), ``"reduction"``,
            ``"axis"`` (the one that it is given), ``"shape"`` (the last axes), ``"groups"`` (as
            many as it is given), ``"channels"``, ``"matrix"`` (a row times a column).
    """

    element: Mapping[Operation, int] = field(default_factory=dict)
    group: Mapping[Operation, int] = field(default_factory=dict)
    over: Literal["", "reduction", "axis", "shape", "groups", "channels", "matrix"] = ""


_ELEMENT: Mapping[Operation, str] = MappingProxyType(
    {
        "evaluation": (
            "exp exp2 expm1 log log2 log10 log1p logit sqrt rsqrt erf erfc erfinv sinc sin cos tan "
            "asin acos atan sinh cosh tanh asinh acosh atanh sigmoid log_sigmoid silu mish gelu "
            "softplus elu selu celu hardswish hardshrink softshrink hardsigmoid pow xlogy atan2 "
            "hypot logaddexp softsign tanhshrink"
        ),
        "multiplication": "mul multiply square leaky_relu prelu",
        "addition": "add sub rsub subtract neg negative cumsum",
        "division": "div divide true_divide reciprocal floor_divide remainder fmod",
        "comparison": (
            "abs absolute sign sgn ceil floor trunc frac round eq ne lt le gt ge isfinite isinf "
            "isnan maximum minimum fmax fmin clamp clip clamp_min clamp_max relu relu6 hardtanh "
            "threshold heaviside where masked_fill logical_and logical_or logical_not logical_xor "
            "bitwise_and bitwise_or bitwise_not bitwise_xor nan_to_num"
        ),
    }
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOVES = _names(
    "clone detach alias contiguous positive broadcast_to expand_as narrow tile concat hstack "
    "vstack movedim moveaxis swapaxes tril triu type_as to _to_copy split unbind zeros_like "
    "ones_like full_like new_zeros new_ones new_full index index_select gather take_along_dim"
)
_JUMPS = _names(
    "sign sgn ceil floor trunc frac round floor_divide remainder fmod eq ne lt le gt ge isfinite "
    "isinf isnan threshold hardshrink heaviside logical_and logical_or logical_not logical_xor "
    "bitwise_and bitwise_or bitwise_not bitwise_xor"
)
_PLACES = frozenset({"aten.max.dim", "aten.min.dim"})
"""Largest values with their places; where these are not read, passes have written a maximum."""
_GIVEN = _names(
    "embedding take index_put index_fill scatter "
    "slice_scatter select_scatter roll flip repeat_interleave one_hot arange full zeros ones"
)
"""Operators that no function unit has but analog work may use: they only move elements."""

_NORM: Mapping[Operation, int] = {"addition": 3, "multiplication": 2}  # mean, x - mean, squares
_ROOT: Mapping[Operation, int] = {"multiplication": 2, "addition": 1, "evaluation": 1}
_SPREAD: Mapping[Operation, int] = {"addition": 3, "multiplication": 1}

_COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        **{n: Cost({op: 1}) for op, names in _ELEMENT.items() for n in names.split()},
        "addcmul": Cost({"multiplication": 1, "addition": 1}),
        "addcdiv": Cost({"division": 1, "addition": 1}),
        "lerp": Cost({"multiplication": 1, "addition": 2}),
        "glu": Cost({"evaluation": 1, "multiplication": 1}),
        # the largest is found and taken off, the sum's reciprocal is taken once
        **dict.fromkeys(
            ("softmax", "_softmax"),
            Cost(
                {"comparison": 1, "addition": 2, "evaluation": 1, "multiplication": 1},
                {"division": 1},
                "axis",
            ),
        ),
        **dict.fromkeys(
            ("log_softmax", "_log_softmax"),
            Cost(
                {"comparison": 1, "addition": 3, "evaluation": 1},
                {"evaluation": 1, "addition": 1},
                "axis",
            ),
        ),
        # mean, difference, its square and their sum; then 1/sqrt(variance + epsilon) once a group
        **dict.fromkeys(("layer_norm", "native_layer_norm"), Cost(_NORM, _ROOT, "shape")),
        **dict.fromkeys(("group_norm", "native_group_norm"), Cost(_NORM, _ROOT, "groups")),
        "instance_norm": Cost(_NORM, _ROOT, "channels"),
        "batch_norm": Cost({}),  # its statistics are constants: gain and shift alone
        **dict.fromkeys(
            ("rms_norm", "_fused_rms_norm"),
            Cost(
                {"addition": 1, "multiplication": 2},
                {"multiplication": 1, "addition": 1, "evaluation": 1},
                "shape",
            ),
        ),
        "sum": Cost({"addition": 1}, over="reduction"),
        "mean": Cost({"addition": 1}, {"multiplication": 1}, "reduction"),
        **dict.fromkeys(("var", "var_mean"), Cost(_SPREAD, {"multiplication": 2}, "reduction")),
        **dict.fromkeys(
            ("std", "std_mean"),
            Cost(_SPREAD, {"multiplication": 2, "evaluation": 1}, "reduction"),
        ),
        **dict.fromkeys(
            ("linalg_vector_norm", "norm"),
            Cost({"multiplication": 1, "addition": 1}, {"evaluation": 1}, "reduction"),
        ),
        "logsumexp": Cost(
            {"comparison": 1, "addition": 2, "evaluation": 1},
            {"evaluation": 1, "addition": 1},
            "reduction",
        ),
        **dict.fromkeys(
            ("amax", "amin", "max", "min", "any", "all"),
            Cost({"comparison": 1}, over="reduction"),
        ),
    }
)
_ANALOG = MappingProxyType(
    {
        **dict.fromkeys(
            ("argmax", "argmin", "topk", "sort", "argsort"),
            Cost({"comparison": 1}, over="reduction"),
        ),
        **dict.fromkeys(
            ("matmul", "mm", "bmm", "mv", "dot", "addmm", "baddbmm"),
            Cost({"multiplication": 1, "addition": 1}, over="matrix"),
        ),
    }
)
"""What no function unit computes, but analog work at a network's end does."""


def functions_by_reach() -> dict[str, tuple[str, ...]]:
    """Return the names of what function units compute: of one value, and of a group of values."""
    found: dict[str, list[str]] = {"function": [], "function of a group": []}
    for name in sorted(set(_COSTS) - _JUMPS):
        if not name.startswith(("_", "native")):
            found["function of a group" if _COSTS[name].over else "function"].append(name)
    return {reach: tuple(names) for reach, names in found.items()}


def _name(node: Node) -> str:
    return node.op.split(".")[1].rstrip("_") if node.op.startswith("aten.") else node.op


def is_function(node: Node) -> bool:
    """Tell whether a function unit computes an operator: continuous functions, elementwise or not.

    A jump would make a whole step of a difference that is a matter of rounding, so what jumps
    (rounding, signs, comparisons of the network's values) is no function here. Masks of the input
    choose between values, which is one.
    """
    name = _name(node)
    return not (name in _JUMPS or node.op in _PLACES) and (name in _COSTS or name in _MOVES)


def operations_of(node: Node) -> Cost:
    """Return what an operator on complete values does; nothing where it only moves elements.

    An operator that is in no table is one evaluation an element.
    """
    name, kind = _name(node), ops.kind(node)
    if node.op == ops.AFFINE:
        return Cost({"multiplication": 1, "addition": 1})
    if node.op == ops.SCALE:
        return Cost({"multiplication": 1})
    if kind in ("layout", "shape", "input", "site", "hold") or name in _MOVES | _GIVEN:
        return Cost()
    if kind == "add":
        return Cost({"addition": 1})
    if name == "pow" and len(node.args) > 1 and node.args[1] in (2, 3, 4):
        return Cost({"multiplication": int(node.args[1]) - 1})
    if name in ("max", "min") and sum(isinstance(a, Ref) for a in node.args[:2]) == 2:
        return Cost({"comparison": 1})
    found = _COSTS.get(name, _ANALOG.get(name))
    if found is None:
        return Cost({"evaluation": 1})
    return _with_gain(node, found) if "norm" in name and found.over != "reduction" else found


def _with_gain(node: Node, cost: Cost) -> Cost:
    """Add the gain and the shift of a norm that has them."""
    given = sum(isinstance(a, Param | Ref) for a in node.args[1:4])
    element = dict(cost.element)
    if given > 0:
        element["multiplication"] = element.get("multiplication", 0) + 1
    if given > 1:
        element["addition"] = element.get("addition", 0) + 1
    return Cost(element, cost.group, cost.over)
