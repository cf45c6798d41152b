# SPDX-License-Identifier: Apache-2.0
"""Frozen settings to plain dictionaries and back, the same strict way for every kind of setting.

A dictionary names its class and the version of its meaning; a key that is not known is an error,
because a setting that is read past is a setting that silently does something else.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from spikewright.errors import ConfigError

__all__ = ["from_plain", "to_plain"]

T_settings = TypeVar("T_settings")


def to_plain(settings: Any, version: int) -> dict[str, Any]:  # noqa: ANN401 - any frozen dataclass
    """Write a frozen dataclass with a ``name`` as a dictionary of JSON values.

    Args:
        settings: A dataclass instance whose fields are numbers, texts, booleans or None.
        version: The version of the class's meaning.

    Returns:
        ``{"name": ..., "version": ..., **fields}``.
    """
    fields = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return {"name": settings.name, "version": version, **fields}


def from_plain(cls: type[T_settings], plain: Mapping[str, Any], version: int) -> T_settings:
    """Read back what ``to_plain`` wrote; left-out fields take their defaults.

    Args:
        cls: The dataclass to build; it carries the expected ``name``.
        plain: The dictionary; ``name`` must be there, ``version`` may be left out.
        version: The only version that is understood.

    Returns:
        An instance of ``cls``.

    Raises:
        ConfigError: If the name or version differs or a key is not known.
    """
    name: str = getattr(cls, "name", cls.__name__)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if plain.get("name") != name:
        raise ConfigError(
            f"{name}: expected settings with name {name!r}, got {plain.get('name')!r}. "
            "Read them with the class they were written by."
        )
    if plain.get("version", version) != version:
        raise ConfigError(
            f"{name}: expected settings of version {version}, got {plain['version']!r}. "
            "Use the release that wrote them."
        )
    unknown = sorted(set(plain) - set(known) - {"name", "version"})
    if unknown:
        raise ConfigError(
            f"{name}: expected the settings {', '.join(known) or 'none'}, got unknown "
            f"{', '.join(map(repr, unknown))}. Remove or rename them."
        )
    given = {key: plain[key] for key in known if key in plain}
    return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})
