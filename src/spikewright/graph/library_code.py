# SPDX-License-Identifier: Apache-2.0
"""What code reads: names, functions of libraries, and what cannot be known of it."""

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = [
    "OUTSIDE",
    "PLAIN",
    "Same",
    "UnknownError",
    "is_library",
    "library_class",
    "library_function",
    "names",
    "require_pure",
]

_LIBRARY = {"torch", "torchvision", "numpy", "spikewright", *sys.stdlib_module_names} - {"__main__"}
_PURE = {
    *("builtins", "math", "cmath", "numbers", "fractions", "decimal", "statistics", "operator"),
    *("_operator", "functools", "_functools", "itertools", "collections", "_collections"),
    *("_collections_abc", "typing", "types", "copy", "dataclasses", "enum", "abc", "contextlib"),
    *("string", "re", "warnings", "_warnings", "inspect", "bisect", "heapq", "__main__"),
}
"""Modules of Python whose functions give what follows from their arguments, and the user's own."""

OUTSIDE = {
    *("open", "input", "eval", "exec", "os", "sys", "io", "pathlib", "random", "time", "datetime"),
}
"""Names in code that may stand for something outside of the program; even imported on the spot."""

PLAIN = (
    *(int, float, complex, bool, str, bytes, range, slice, types.NoneType, types.EllipsisType),
    *(types.NotImplementedType, torch.dtype, torch.device, torch.layout, torch.memory_format),
)


class UnknownError(Exception):
    """Something whose state cannot be read."""


class Same:
    """Equal to itself only; holds what it names, so that nothing else can take its place."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def is_library(name: str | None) -> bool:
    """Tell whether a module of this name is PyTorch's, Python's or ours, which do not change."""
    return (name or "").partition(".")[0] in _LIBRARY


def require_pure(module: str | None) -> None:
    """Refuse a module of Python that knows more than its arguments, such as the clock or files."""
    root = (module or "").partition(".")[0]
    if (root in sys.stdlib_module_names and root not in _PURE) or (module or "").startswith(
        "numpy.random"
    ):
        raise UnknownError


def names(code: types.CodeType) -> Iterator[str]:
    """Return the names of globals and attributes that code and the functions in it read."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names(constant)


def library_function(fn: Callable[..., Any]) -> tuple[Any, ...]:
    """Describe a function of a library: its code, and that of the functions that it names."""
    named, found = dict.fromkeys(names(fn.__code__)), list[Any]()
    for name in named:
        value = fn.__globals__.get(name)
        inner = [vars(value).get(n) for n in named] if isinstance(value, types.ModuleType) else ()
        found += [_code(v) for v in (value, *inner) if callable(v)]
    return tuple(found)


def library_class(kind: type) -> tuple[Any, ...]:
    """Describe a class of a library, whose functions a user may have replaced."""
    return tuple(
        (name, _code(value), library_function(value) if name == "forward" else ())
        if isinstance(value, types.FunctionType)
        else (name, repr(value) if type(value) in PLAIN else ())
        for name, value in tuple(vars(kind).items())
    )


def _code(value: Any) -> Any:  # noqa: ANN401 - a function or anything else
    return value.__code__ if isinstance(value, types.FunctionType) else Same(value)
