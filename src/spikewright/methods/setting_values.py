# SPDX-License-Identifier: Apache-2.0
"""From the text of a method's setting to its value, by the type that the setting declares."""

import tomllib
import types
from typing import Any, Literal, Union, get_args, get_origin

from spikewright.calibration import RULES, ScaleRule
from spikewright.errors import ConfigError

__all__ = ["typed"]


def typed(text: str, hint: Any, where: str) -> Any:  # noqa: ANN401 - whatever the hint says
    """Read a value as the type that a setting declares.

    Args:
        text: As given; a TOML value, or plain text. ``none`` stands for None.
        hint: The setting's type.
        where: The option, for the error.

    Raises:
        ConfigError: If the text is no such value.

    Example:
        >>> typed("8", int, "--set T"), typed('["a"]', tuple[str, ...], "--set paths")
        (8, ('a',))
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for candidate in (value, text, None if text.lower() == "none" else text):
        fits, result = _as(candidate, hint)
        if fits:
            return result
    raise ConfigError(f"{where}: expected {_name(hint)}, got {text!r}. Correct the value.")


def _as(value: object, hint: Any) -> tuple[bool, Any]:  # noqa: ANN401 - any type
    """Return whether a value is of the hinted type, and the value as that type."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for each in inside:
            fits, result = _as(value, each)
            if fits:
                return True, result
        return False, None
    if origin is Literal:
        return value in inside, value
    if origin is tuple and isinstance(value, list):
        parts = [_as(item, inside[0]) for item in value]
        return all(fits for fits, _ in parts), tuple(part for _, part in parts)
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number, float(value) if number else None  # type: ignore[arg-type]
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if hint in (bool, str):
        return isinstance(value, hint), value
    if hint is types.NoneType:
        return value is None, None
    if hint is ScaleRule and isinstance(value, str | dict):
        settings = {"name": value} if isinstance(value, str) else value
        return True, RULES[str(settings.get("name", ""))].from_dict(settings)
    return isinstance(value, dict), value


def _name(hint: Any) -> str:  # noqa: ANN401 - any type
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
