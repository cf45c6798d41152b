# SPDX-License-Identifier: Apache-2.0
"""What a network file may name: every operator, its arguments, and the range of each.

Names are the support table's and those of analog work in front of and behind the spikes. Types and
defaults are PyTorch's own schemas; what a schema cannot say (a stride is at least 1) is said here,
once for every argument of that name.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from spikewright.errors import FileFormatError
from spikewright.functions.curve import CURVES
from spikewright.graph import ops
from spikewright.graph.analog import ANALOG

__all__ = ["Argument", "Signature", "operators", "signature"]

_MOST = 1 << 20  # of strides, kernels, paddings: a map is never as large
_SIZE = (-1, 1 << 40)
_ANY = (-(1 << 63), (1 << 63) - 1)
_RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        **dict.fromkeys(("kernel_size", "stride", "dilation", "step", "output_size"), (1, _MOST)),
        **dict.fromkeys(("groups", "group", "num_groups", "chunks", "split_size"), (1, _MOST)),
        **dict.fromkeys(("split_sizes", "repeats", "length", "n"), (0, _MOST)),
        **dict.fromkeys(("upscale_factor", "downscale_factor", "divisor_override"), (1, _MOST)),
        **dict.fromkeys(("padding", "output_padding"), (0, _MOST)),
        **dict.fromkeys(("pad", "diagonal", "offset", "shifts"), (-_MOST, _MOST)),
        **dict.fromkeys(("size", "sizes", "shape", "normalized_shape"), _SIZE),
        **dict.fromkeys(("start", "end", "index"), _ANY),  # the end of a slice is often the last
        **dict.fromkeys(("N", "C", "HxW"), (1, 1 << 40)),
        "k": (1, _MOST),
        "padding_idx": (-_MOST, _MOST),
        "interpolation_mode": (0, 2),
        "padding_mode": (0, 2),
        "decimals": (-30, 30),
    }
)
"""Least and largest value of whole-number arguments, by their name in PyTorch's schemas."""

_AXES = frozenset(
    {
        *("dim", "dims", "dim0", "dim1", "dim2", "dimension", "start_dim", "end_dim"),
        *("source", "destination", "axis0", "axis1"),
    }
)
"""Arguments that name axes of the first tensor, from the front or (below zero) from the back."""

_ONE_MORE = frozenset({"unsqueeze", "stack", "diag_embed"})
"""Operators whose axes are those of a result with one axis more."""

_OTHERWISE = (-(1 << 31), (1 << 31) - 1)
_PER_OPERATOR: Mapping[tuple[str, str], tuple[int, int]] = MappingProxyType(
    {
        ("rot90", "k"): (-_MOST, _MOST),
        ("tile", "dims"): (0, _MOST),
        ("diff", "n"): (0, 64),
    }
)
_FLOATS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "eps": (0.0, 1e30),
        "momentum": (0.0, 1.0),
        **dict.fromkeys(
            ("scale_factors", "scales", "scales_d", "scales_h", "scales_w"), (2.0**-20, 2.0**20)
        ),
        "scale": (-1e30, 1e30),
    }
)
"""Ranges of floating arguments; any other may be everything but NaN."""

_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "mode": "constant|reflect|replicate|circular",
        "padding": "same|valid",
        "approximate": "none|tanh",
        "rounding_mode": "floor|trunc",
        "equation": r"[A-Za-z.,> -]{1,200}",
    }
)
"""What text arguments may say, as patterns."""

_PER_AXIS = frozenset(
    {"kernel_size", "stride", "padding", "dilation", "output_padding", "output_size"}
)
"""Lists that have a value for each axis of a map."""

_FIXED: Mapping[str, Any] = MappingProxyType(
    {
        "training": False,
        "dropout_p": 0.0,
        "sparse": False,
        "sparse_grad": False,
        "half_to_float": False,
        **dict.fromkeys(("layout", "device", "pin_memory", "memory_format"), None),
    }
)
"""Arguments that have one allowed value: no dropout, no training, no other device."""

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "Tensor": "tensor",
        "int": "int",
        "SymInt": "int",
        "float": "float",
        "number": "number",
        "Scalar": "number",
        "bool": "bool",
        "str": "text",
        "ScalarType": "dtype",
    }
)


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of an operator.

    Attributes:
        name: Its name in PyTorch's schema.
        kind: ``tensor``, ``int``, ``axis`` (of the first tensor, which has ``high`` axes less
            than those that may be named), ``float``, ``number`` (either, or a truth value),
            ``bool``, ``text``, ``dtype``, ``tuple`` (several tensors), or ``fixed``.
        many: Whether it is a list of these; a single whole number then stands for equal ones.
        optional: Whether it may be None (of a list: its elements, too).
        keyword: Whether it is given by keyword.
        required: Whether it has no default.
        low: Least number.
        high: Largest number.
        pattern: What a text may be.
        fixed: The one value of a ``fixed`` argument.
        times: How many values a list has, or one for all axes; 0 for any number.
        empty: Whether the list may have none.
        alone: Whether one number may stand for a list.
    """

    name: str
    kind: str
    many: bool = False
    optional: bool = False
    keyword: bool = False
    required: bool = True
    low: float = float("-inf")
    high: float = float("inf")
    pattern: str = ""
    fixed: Any = None
    times: int = 0
    empty: bool = True
    alone: bool = False


@dataclass(frozen=True)
class Signature:
    """The arguments of an operator, in their order.

    Attributes:
        arguments: All of them.
        rest: What any number of further positional arguments must be; None if there are none.
    """

    arguments: tuple[Argument, ...]
    rest: Argument | None = None


def _tensor(name: str) -> Argument:
    return Argument(name=name, kind="tensor")


def _site(**more: Argument) -> Signature:
    return Signature((_tensor("x"), *more.values()))


_CAP = Argument(
    name="cap", kind="float", optional=True, keyword=True, required=False, low=1e-30, high=1e30
)
_LEVELS = Argument(
    name="levels", kind="int", optional=True, keyword=True, required=False, low=1, high=1 << 24
)
_OFFSET = Argument(name="offset", kind="float", keyword=True, required=False, low=-1.0, high=1.0)
_CURVE = Argument(name="curve", kind="text", keyword=True, pattern="|".join(CURVES))
_SETTINGS = Argument(name="settings", kind="float", many=True, keyword=True, low=-1e6, high=1e6)
_DTYPE = Argument(name="dtype", kind="dtype", keyword=True, required=False)
_BY = Argument(name="by", kind="text", keyword=True, pattern="mul|matmul")
_WHOLE = Argument(name="value", kind="number", low=_ANY[0], high=_ANY[1])

_OWN: Mapping[str, Signature] = MappingProxyType(
    {
        ops.INPUT: Signature((_DTYPE,)),
        ops.RECTIFY: _site(cap=_CAP, levels=_LEVELS, offset=_OFFSET),
        ops.RELAY: _site(cap=_CAP, levels=_LEVELS, offset=_OFFSET),
        ops.CURVE: _site(curve=_CURVE, settings=_SETTINGS),
        ops.ANALOG_RELAY: _site(cap=_CAP),
        ops.READOUT: _site(),
        ops.INPUT_SITE: _site(cap=_CAP),
        ops.AFFINE: Signature((_tensor("x"), _tensor("gain"), _tensor("bias"))),
        ops.SCALE: Signature((_tensor("x"), _tensor("gain"))),
        ops.HOLD: _site(),
        ops.PRODUCT: Signature((_tensor("left"), _tensor("right"), _BY)),
        ops.WINDOW_SUM: Signature((_tensor("x"),), rest=_tensor("matrix")),
        "operator.neg": Signature((_WHOLE,)),
        **{
            f"operator.{name}": Signature((_WHOLE, _WHOLE))
            for name in ("add", "sub", "mul", "floordiv", "truediv", "mod")
        },
        "operator.getitem": Signature(
            (
                Argument(name="values", kind="tuple"),
                Argument(name="index", kind="int", low=0, high=_MOST),
            )
        ),
    }
)


@functools.cache
def operators() -> frozenset[str]:
    """Return the name of every operator that a network file may hold."""
    kinds = ("weighted", "layout", "mixing", "pool", "add", "activation")
    table = {name for kind in kinds for name in ops.operators(kind)}
    analog = {f"aten.{n}.{o}" for n, overloads in ANALOG.items() for o in overloads.split()}
    known = {n for n in table | analog | {"aten.sym_size.int"} if _overload(n) is not None}
    return frozenset(known | set(_OWN))


@functools.cache
def signature(op: str) -> Signature:
    """Return the arguments of an operator.

    Raises:
        FileFormatError: If a network may not call it.
    """
    if op not in operators():
        raise FileFormatError(f"operator {op!r}: not one that a network may call.")
    if op in _OWN:
        return _OWN[op]
    found = _overload(op)
    return Signature(tuple(_argument(op.split(".")[1], a) for a in found._schema.arguments))


def _overload(op: str) -> Any:  # noqa: ANN401 - torch's overload, None if there is none
    _, packet, overload = op.split(".")
    return getattr(getattr(torch.ops.aten, packet, None), overload, None)


def _argument(packet: str, schema: Any) -> Argument:  # noqa: ANN401 - torch's argument
    """Turn one argument of a schema into ours."""
    text, name = str(schema.real_type), str(schema.name)
    common = {
        "name": name,
        "keyword": schema.kwarg_only,
        "required": not schema.has_default_value(),
    }
    optional = "Optional[" in text
    bare = re.sub(r"Optional\[|List\[|\]", "", text)
    if (name in _FIXED and bare not in ("float", "Tensor")) or name == "dropout_p":
        return Argument(kind="fixed", fixed=_FIXED[name], optional=optional, **common)
    kind = _KINDS[bare]
    low, high = float("-inf"), float("inf")
    if kind == "int" and name in _AXES and (packet, name) not in _PER_OPERATOR:
        kind, high = "axis", float(packet in _ONE_MORE)
    elif kind == "int":
        low, high = _PER_OPERATOR.get((packet, name), _RANGES.get(name, _OTHERWISE))
    elif kind == "float":
        low, high = _FLOATS.get(name, (low, high))
    return Argument(
        kind=kind,
        many="List[" in text,
        optional=optional,
        low=low,
        high=high,
        pattern=_TEXTS.get(name, "") if kind == "text" else "",
        times=schema.N or 0 if name in _PER_AXIS else 0,
        empty=name not in _PER_AXIS or schema.default_value == [],
        alone=bool(schema.N),
        **common,
    )
