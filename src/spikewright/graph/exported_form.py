# SPDX-License-Identifier: Apache-2.0
"""Exported programs that can be read as they are, without a second trace.

``run_decompositions`` opens operators, and makes of operators that write in place ones that do not.
It takes more time than the export. Most networks have nothing to open, and write only where nobody
else looks: their operators mean the same when they are read one by one.
"""

from typing import Any

import torch

from spikewright.graph.opened import OPENED

__all__ = ["needs_opening", "out_of_place", "viewed_as"]

_aten = torch.ops.aten
_RESHAPES = frozenset({_aten.flatten.using_ints, _aten.reshape.default, _aten.unflatten.int})
_KNOWN = _RESHAPES | {
    *(getattr(_aten, f"conv{d}d").default for d in (1, 2, 3)),
    *(getattr(_aten, f"max_pool{d}d").default for d in (1, 2, 3)),
    *(getattr(_aten, f"adaptive_avg_pool{d}d").default for d in (1, 2, 3)),
    _aten.batch_norm.default,
    _aten.dropout.default,
    _aten.linear.default,
}
"""Operators made of others that the passes after capture know under their own names."""
_GIVES_BACK = frozenset({_aten.dropout.default})
"""Operators that may return their input itself, though their signatures do not say so."""


def needs_opening(program: Any) -> bool:  # noqa: ANN401 - ExportedProgram
    """Tell whether a program has to be traced again, by ``run_decompositions``.

    Args:
        program: What ``torch.export.export`` returned.
    """
    return not all(_is_plain(fx) for fx in program.graph.nodes if fx.op == "call_function")


def _is_plain(fx: Any) -> bool:  # noqa: ANN401 - fx node
    op = fx.target
    if not isinstance(op, torch._ops.OpOverload):
        return True
    if op in OPENED or (op is _aten.batch_norm.default and fx.args[5]):
        return False
    if op._schema.is_mutable:
        return out_of_place(fx) is not None
    return op in _KNOWN or not op.has_kernel_for_dispatch_key(
        torch._C.DispatchKey.CompositeImplicitAutograd
    )


def out_of_place(fx: Any) -> Any:  # noqa: ANN401 - fx node; operator
    """Return the operator that does the same in new memory, where nobody can tell the difference.

    That is where the value that is overwritten is nobody's view or input, and is read by nobody
    else.

    Args:
        fx: A call of an operator.

    Returns:
        The operator itself if it writes nothing; None where a difference could be told.
    """
    op = fx.target
    if not op._schema.is_mutable:
        return op
    name, target = op._schema.name.removeprefix("aten::"), fx.args[0]
    twin = getattr(getattr(_aten, name.removesuffix("_"), None), op._overloadname, None)
    others = [a for a in op._schema.arguments[1:] if a.alias_info is not None]
    if not name.endswith("_") or twin is None or others or not _is_fresh(target):
        return None
    return twin if set(target.users) == {fx} else None


def _is_fresh(fx: Any) -> bool:  # noqa: ANN401 - fx node
    """Tell whether a value lies in memory of its own."""
    op = getattr(fx, "target", None)
    if not isinstance(op, torch._ops.OpOverload) or op in _GIVES_BACK:
        return False
    if op._schema.is_mutable:
        return out_of_place(fx) is not None
    return all(r.alias_info is None for r in op._schema.returns)


def viewed_as(fx: Any) -> tuple[int, ...] | None:  # noqa: ANN401 - fx node
    """Return the sizes that a reshape gives, -1 for the one that grows with the batch.

    Returns:
        None for other operators, and where one number cannot say it.
    """
    value = fx.meta.get("val")
    if fx.target not in _RESHAPES or not isinstance(value, torch.Tensor):
        return None
    sizes = tuple(int(s) if isinstance(s, int) else -1 for s in value.shape)
    return sizes if sizes.count(-1) <= 1 and 0 not in sizes else None
