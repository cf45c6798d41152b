# SPDX-License-Identifier: Apache-2.0
"""What tells one task from another, also in another process: settings, and code by its source."""

import dataclasses
import functools
import hashlib
import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.library_code import PLAIN, is_library

__all__ = ["identity"]


def identity(value: object) -> str:
    """Write a value so that two are written alike only if they do the same.

    Functions and objects of a user's class are module, name and the digest of the file that they
    are in, with what they hold; a repr would have their address, which changes from run to run.
    What cannot be looked into keeps its repr, so that it counts as another one.

    Example:
        >>> from spikewright.detection import Suppression
        >>> identity(Suppression())
        'Suppression(iou=0.5, least=0.01, most=300)'
    """
    return _written(value, ())


def _written(value: Any, within: tuple[int, ...]) -> str:  # noqa: ANN401 - whatever a task holds
    if id(value) in within:
        return "…"

    def inner(part: object) -> str:
        return _written(part, (*within, id(value)))

    if isinstance(value, types.FunctionType):
        held = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items()]
        held += [_content(cell) for cell in value.__closure__ or ()]
        return _named(value) + "".join(map(inner, held))
    if isinstance(value, types.MethodType):
        return f"{inner(value.__self__)}.{inner(value.__func__)}"
    if isinstance(value, functools.partial):
        return f"partial{inner((value.func, value.args, value.keywords))}"
    if isinstance(value, type):
        return _named(value)
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        raw = flat.view(torch.uint8).numpy().tobytes()
        return f"tensor({value.dtype}, {tuple(value.shape)}, {_digest(raw)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{inner(k)}: {inner(v)}' for k, v in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | range):
        return f"({', '.join(map(inner, value))})"
    if isinstance(value, PLAIN) or not hasattr(value, "__dict__"):
        return repr(value)
    kind = type(value)
    name = kind.__name__ if is_library(kind.__module__) else _named(kind)
    fields = (
        [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
        if dataclasses.is_dataclass(value)
        else sorted(vars(value).items())
    )
    return f"{name}({', '.join(f'{key}={inner(part)}' for key, part in fields)})"


def _content(cell: types.CellType) -> object:
    """Return what a function has from around it."""
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None


def _named(thing: types.FunctionType | type) -> str:
    """Return module and name; of code that is no library's also the digest of its source."""
    name = f"{thing.__module__}:{thing.__qualname__}"
    if is_library(thing.__module__):
        return name
    try:
        path = inspect.getsourcefile(thing)
        text = Path(path).read_bytes() if path else inspect.getsource(thing).encode()
    except (OSError, TypeError):
        if isinstance(thing, type):
            return repr(thing) + str(id(thing))
        text = repr(list(_code(thing.__code__))).encode()
    return f"{name}@{_digest(text)}"


def _code(code: types.CodeType) -> Iterator[object]:
    """Return what code does, without where it stands."""
    yield code.co_code, code.co_names
    for constant in code.co_consts:
        yield from _code(constant) if isinstance(constant, types.CodeType) else [repr(constant)]


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
