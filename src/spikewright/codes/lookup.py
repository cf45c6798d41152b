# SPDX-License-Identifier: Apache-2.0
"""Finds the classes of a package by their public name, so that a new one is a file and no list.

Every module of the package is imported once and each class defined there that carries a text
attribute ``name`` is taken. Rooms above use it too (neurons, calibration rules, methods).
"""

import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from spikewright.errors import ConfigError, unknown_name

__all__ = ["Lookup", "classes_in", "discover", "named", "registered", "with_entry_points"]

T_co = TypeVar("T_co", covariant=True)


class Lookup(Generic[T_co]):
    """A read-only table from public name to class that knows what to say about wrong names.

    Args:
        where: What is looked up, used in error messages, e.g. ``"code"``.
        entries: The classes by name.

    Example:
        >>> Lookup("code", {"radix": object}).names()
        ('radix',)
    """

    def __init__(self, where: str, entries: Mapping[str, T_co]) -> None:
        self.where = where
        self._entries = dict(entries)

    def names(self) -> tuple[str, ...]:
        """Return every known name in alphabetical order."""
        return tuple(sorted(self._entries))

    def __getitem__(self, name: str) -> T_co:
        """Return the class called ``name``.

        Raises:
            UnknownNameError: If there is none; the nearest names are given.
        """
        if name not in self._entries:
            raise unknown_name(self.where, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._entries)


def classes_in(modules: Iterable[ModuleType]) -> dict[str, type]:
    """Collect the classes with a text attribute ``name`` that the modules define themselves.

    Args:
        modules: Imported modules; classes they merely import are not taken.

    Returns:
        The classes by their ``name``.

    Raises:
        ConfigError: If two classes carry the same name.
    """
    found: dict[str, type] = {}
    for module in modules:
        for _, cls in inspect.getmembers(module, inspect.isclass):
            name = getattr(cls, "name", None)
            if cls.__module__ != module.__name__ or not isinstance(name, str):
                continue
            if name in found:
                raise ConfigError(
                    f"{module.__name__}.{cls.__name__}: expected a name of its own, got {name!r}, "
                    f"which {found[name].__module__} has. Rename one of them."
                )
            found[name] = cls
    return found


def discover(where: str, package: str, path: Iterable[str], kind: type[T_co]) -> Lookup[type[T_co]]:
    """Import every module of a package and look its named classes up.

    Args:
        where: What the classes are, for messages.
        package: The package's dotted name.
        path: The package's ``__path__``.
        kind: The protocol or base class the classes follow; used by type checkers only.

    Returns:
        The lookup from name to class.

    Raises:
        ConfigError: If two classes carry the same name.
    """
    modules = [
        importlib.import_module(f"{package}.{module.name}")
        for module in sorted(pkgutil.iter_modules(list(path)), key=lambda m: m.name)
    ]
    return Lookup(where, cast("dict[str, type[T_co]]", classes_in(modules)))


def registered(
    where: str,
    package: str,
    path: Iterable[str],
    kind: type[T_co],
    group: str,
    base: type | tuple[type, ...],
) -> Lookup[type[T_co]]:
    """Look up the classes of a package and those that other packages register.

    The arguments are those of `discover` and `with_entry_points`.

    Raises:
        ConfigError: If an entry point names something else, or a name is taken.
    """
    return with_entry_points(discover(where, package, path, kind), group, base)


def named(where: str) -> Any:  # noqa: ANN401 - whatever is there
    """Return what ``"package.module:name"`` names, which may be in a room above.

    Example:
        >>> named("spikewright.codes.rate:Rate").name
        'rate'
    """
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def with_entry_points(
    known: Lookup[type[T_co]], group: str, base: type | tuple[type, ...]
) -> Lookup[type[T_co]]:
    """Add the classes that other packages have registered under a group of entry points.

    Args:
        known: This package's own.
        group: Name of the entry point group.
        base: What every registered class must be a subclass of, or one of several.

    Returns:
        A lookup of both.

    Raises:
        ConfigError: If an entry point names something else, or a name is taken.
    """
    entries = {name: known[name] for name in known}
    kinds = base if isinstance(base, tuple) else (base,)
    for entry in _entry_points(group, tuple(map(str, sys.path))):
        cls = entry.load()
        named = isinstance(cls, type) and getattr(cls, "name", None) == entry.name
        if not named or not issubclass(cls, base):
            raise ConfigError(
                f"entry point {entry.name!r} of {group}: expected a "
                f"{' or '.join(k.__name__ for k in kinds)} of that name, "
                f"got {cls!r}. Correct the package that registers it."
            )
        if entries.setdefault(entry.name, cls) is not cls:
            raise ConfigError(
                f"entry point {entry.name!r} of {group}: expected a name of its own, another "
                "class has this one already. Rename one of them."
            )
    return Lookup(known.where, entries)


@functools.cache
def _entry_points(group: str, path: tuple[str, ...]) -> metadata.EntryPoints:
    """Read what the packages on a path have registered, once; a network asks for each neuron."""
    return metadata.entry_points(group=group)
