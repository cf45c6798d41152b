# SPDX-License-Identifier: Apache-2.0
"""All that a capture of a model depends on, as one value that can be compared.

It is read from the model anew each time: the bytes of every tensor, every attribute of every
module, hooks, the code that runs with the globals, defaults and closures that it names, the form
of the example, and PyTorch's own switches. Of the library's code (PyTorch's, Python's) it is
enough that functions are the same ones. What cannot be looked into has no fingerprint.
"""

import enum
import functools
import hashlib
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikewright.graph.calls import Call
from spikewright.graph.library_code import (
    OUTSIDE,
    PLAIN,
    Same,
    UnknownError,
    is_library,
    library_class,
    library_function,
    names,
    require_pure,
)

__all__ = ["Fingerprint", "fingerprint"]

Fingerprint = tuple[Any, ...]

_TENSORS = (Tensor, nn.Parameter, nn.Buffer)
_BUILT_IN = (
    *(types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(torch._ops.OpOverload, torch._ops.OpOverloadPacket),
)
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)


def fingerprint(model: nn.Module, call: Call) -> Fingerprint | None:
    """Return all that a capture depends on.

    Args:
        model: The model.
        call: The arguments that it would be captured with; of tensors only the form matters.

    Returns:
        A value that is equal only while a capture would give an equal graph, or None if something
        about the model cannot be looked into (a file, a lock, a tensor class of another library).
    """
    if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
        return None
    walk = _Walk()
    try:
        return (
            _switches(),
            walk.of({k: v for k, v in vars(nn.modules.module).items() if k.startswith("_global_")}),
            walk.call(call),
            walk.of(model),
        )
    except UnknownError:
        return None


def _switches() -> Fingerprint:
    devices = ("cpu", "cuda")
    return (
        torch.get_default_dtype(),
        torch.is_inference_mode_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        *((torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in devices),
    )


class _Walk:
    """One walk through a model."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._met: list[object] = []  # held, so that no number of an object is used twice
        self._storages: dict[int, int] = {}

    def of(self, value: Any) -> Fingerprint:  # noqa: ANN401 - anything
        """Describe any value; what is met a second time by its number."""
        kind = type(value)
        if kind in PLAIN:
            return (kind, value if kind is str else repr(value))
        number = self._seen.setdefault(id(value), len(self._met))
        if number < len(self._met):
            return ("again", number)
        self._met.append(value)
        return self._described(value, kind)

    def _described(self, value: Any, kind: type) -> Fingerprint:  # noqa: ANN401 - anything
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, torch.jit.ScriptModule):
            raise UnknownError
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return (kind.__name__, self._class_of(kind), *self._content(value))
        if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            return ("array", value.dtype.str, value.shape, _digest(np.ascontiguousarray(value)))
        if isinstance(value, enum.Enum):
            return ("enum", Same(kind), value.name)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return ("method", self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, functools.partial):
            return ("partial", *map(self.of, (value.func, value.args, value.keywords)))
        if isinstance(value, property):
            return ("property", *map(self.of, (value.fget, value.fset, value.fdel)))
        if isinstance(value, staticmethod | classmethod):
            return (kind, self.of(value.__func__))
        if isinstance(value, _BUILT_IN):
            own = getattr(value, "__self__", None)
            if own is None:  # methods of built-in types say their module by their type
                owner = getattr(value, "__objclass__", value)
                require_pure(getattr(owner, "__module__", None))
            else:
                require_pure(getattr(own, "__name__", None))
            if own is None or isinstance(own, type | types.ModuleType):
                return ("built in", Same(value))
            return ("built in", value.__name__, self.of(own))
        if isinstance(value, types.ModuleType) and is_library(value.__name__):
            return ("module", Same(value))
        return self._object(value, kind)

    def call(self, call: Call) -> Fingerprint:
        """Describe arguments: of tensors what they are like, not their values."""
        leaves, spec = torch.utils._pytree.tree_flatten((call.args, dict(call.kwargs)))
        return (
            repr(spec),
            *(_form(leaf) if isinstance(leaf, Tensor) else self.of(leaf) for leaf in leaves),
        )

    def _tensor(self, value: Tensor) -> Fingerprint:
        if type(value) not in _TENSORS or value.layout != torch.strided or value.is_meta:
            raise UnknownError
        storage = value.untyped_storage().data_ptr()
        raw = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        return (
            type(value),
            *_form(value),
            value.requires_grad,
            self._storages.setdefault(storage, len(self._storages)),
            value.storage_offset(),
            _digest(raw.view(torch.uint8).numpy()),
            self.of(vars(value)),
        )

    def _content(self, value: Any) -> Iterator[Fingerprint]:  # noqa: ANN401 - a container
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield (self.of(key), self.of(inner))
        elif isinstance(value, set | frozenset):
            if any(type(inner) not in PLAIN for inner in value):
                raise UnknownError
            yield (frozenset(map(self.of, value)),)
        else:
            yield from map(self.of, value)
        if hasattr(value, "__dict__"):
            yield self.of(vars(value))

    def _object(self, value: Any, kind: type) -> Fingerprint:  # noqa: ANN401 - see _described
        """Describe an object that keeps its state in attributes, as Python's own classes do."""
        slots = [name for c in kind.__mro__ for name in _slots(c)]
        if not all("__dict__" in vars(c) or "__slots__" in vars(c) for c in kind.__mro__[:-1]) and (
            not isinstance(value, nn.Module)
        ):
            raise UnknownError
        return (
            self._class_of(kind),
            self.of(getattr(value, "__dict__", None)),
            *(self.of(getattr(value, name, None)) for name in slots),
        )

    def _class_of(self, kind: type) -> Fingerprint:
        return () if kind.__module__ == "builtins" else self.of(kind)

    def _class(self, kind: type) -> Fingerprint:
        """Describe a class with all that it inherits: its functions and its other attributes."""
        found: list[Any] = [Same(kind)]
        for base in kind.__mro__:
            if base.__module__ == "builtins":
                continue
            if is_library(base.__module__):
                found.append(library_class(base))
                continue
            for name, value in tuple(vars(base).items()):
                if isinstance(value, _DESCRIPTORS) or name == "_abc_impl":
                    continue
                if not (name.startswith("__") and name.endswith("__")) or callable(value):
                    found.append((name, self.of(value)))
        return tuple(found)

    def _function(self, fn: types.FunctionType) -> Fingerprint:
        place = fn.__globals__.get("__name__", "")
        if is_library(place):
            require_pure(place)
            own = library_function(fn)
        else:
            named = dict.fromkeys(names(fn.__code__))
            own = tuple((name, self._global(fn.__globals__, name, named)) for name in named)
        cells = [c.cell_contents for c in fn.__closure__ or () if _is_filled(c)]
        state = (fn.__defaults__, fn.__kwdefaults__, cells, fn.__dict__)
        return ("function", fn.__code__, own, *map(self.of, state))

    def _global(
        self, space: Mapping[str, Any], name: str, named: Mapping[str, None]
    ) -> Fingerprint:
        """Describe what a name in a function's code stands for, if it is no attribute's."""
        if name in space:
            value = space[name]
        elif name in OUTSIDE:
            raise UnknownError
        elif name in sys.modules and not is_library(name):  # imported within the function
            value = sys.modules[name]
        else:
            return ()
        return (
            self._of_module(value, named)
            if isinstance(value, types.ModuleType)
            else (self.of(value))
        )

    def _of_module(self, module: types.ModuleType, named: Mapping[str, None]) -> Fingerprint:
        """Describe what is named of a module."""
        require_pure(module.__name__)
        found: list[Any] = [Same(module)]
        for name in named:
            value = vars(module).get(name, module)
            if not isinstance(value, types.ModuleType):
                found.append((name, self.of(value)))
            elif id(value) not in self._seen:
                self._seen[id(value)] = len(self._met)
                self._met.append(value)
                found.append((name, self._of_module(value, named)))
        return tuple(found)


def _form(value: Tensor) -> Fingerprint:
    return (value.dtype, str(value.device), tuple(value.shape), value.stride())


def _digest(raw: Any) -> bytes:  # noqa: ANN401 - an array
    return hashlib.sha256(raw).digest()


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _slots(kind: type) -> Sequence[str]:
    found = vars(kind).get("__slots__", ())
    names = (found,) if isinstance(found, str) else tuple(found)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
