# SPDX-License-Identifier: Apache-2.0
"""Options from a TOML file: the same names as on the command line, each checked.

Keys at the top are for every verb that has such an option, a table ``[convert]`` is for one verb.
So one file holds all settings of a project, and yet a misspelt key is an error.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spikewright.errors import ConfigError, FileFormatError, unknown_name

__all__ = ["config_path", "literal", "read_settings"]

_NOT_IN_FILES = frozenset({"config", "help", "version"})


def config_path(tokens: Sequence[str]) -> Path | None:
    """Return what follows ``--config`` on a command line, if anything does.

    Example:
        >>> config_path(["convert", "--config", "run.toml"]).name
        'run.toml'
    """
    for index, token in enumerate(tokens):
        if token.startswith("--config="):
            return Path(token.partition("=")[2])
        if token == "--config" and index + 1 < len(tokens):
            return Path(tokens[index + 1])
    return None


def read_settings(path: Path, options: Mapping[str, frozenset[str]]) -> dict[str, dict[str, Any]]:
    """Read a TOML file into the options of each verb.

    Args:
        path: The file.
        options: Verb to the names of its options, without dashes in front.

    Returns:
        Verb to option to value; a table ``[set]`` becomes a list of ``key=value``.

    Raises:
        FileFormatError: If the file is missing or no TOML.
        UnknownNameError: If a key is not an option; the nearest are given.
        ConfigError: If a verb's name or ``set`` stands for something else than a table, or a
            value is a table.
    """
    options = {verb: names - _NOT_IN_FILES for verb, names in options.items()}
    found: dict[str, dict[str, Any]] = {verb: {} for verb in options}
    data = _read(path)
    tables = {key: data.pop(key) for key in list(data) if key in options}
    anywhere = frozenset().union(*options.values())
    for key, value in _checked(data, path.name, anywhere, tuple(options)).items():
        for verb in options:
            if key in options[verb]:
                found[verb][key] = value
    for verb, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{path.name}: expected a table [{verb}], got {verb} = {table!r}. "
                "Put that verb's options below [" + verb + "]."
            )
        found[verb].update(_checked(table, f"{path.name} [{verb}]", options[verb]))
    return found


def literal(value: object) -> str:
    """Write a TOML value as TOML.

    Example:
        >>> literal({"name": "percentile", "q": [1, 2.5]})
        '{name = "percentile", q = [1, 2.5]}'
    """
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{k} = {literal(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(literal, value)) + "]"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case _:
            return str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileFormatError(
            f"{path}: expected a TOML file, got one that cannot be read ({reason}). "
            "Check the path and the syntax."
        ) from error


def _checked(
    table: Mapping[str, Any], where: str, known: frozenset[str], tables: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a table with every key spelled as the option is."""
    checked = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in known:
            raise unknown_name(f"{where}: option", key, [*known, *(f"[{t}]" for t in tables)])
        if name == "set":
            value = _assignments(value, where)
        elif isinstance(value, dict):
            raise ConfigError(f"{where}: expected a value for {key}, got a table. Give one value.")
        checked[name] = value
    return checked


def _assignments(value: object, where: str) -> list[str]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where}: expected a table [set], got set = {value!r}. Write key = value."
        )
    return [f"{key}={literal(v)}" for key, v in value.items()]
