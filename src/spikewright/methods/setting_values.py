# SPDX-License-Identifier: Apache-2.0
"""From the text of a method's setting to its value, by the type that the setting declares."""

import dataclasses
import tomllib
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spikewright.calibration import RULES, ScaleRule
from spikewright.errors import ConfigError, unknown_name
from spikewright.methods.base import MethodConfig
from spikewright.preparation import Step, preparation_of

__all__ = ["settings_of", "typed"]


def settings_of(
    cls: type[MethodConfig], assignments: Iterable[str], where: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Read ``key=value`` texts as settings of a method.

    Args:
        cls: The method's settings.
        assignments: The texts; dashes in keys stand for underscores.
        where: What stands in front of a text in errors, e.g. ``--set``.
        given: Settings that are known already.

    Returns:
        All settings by name.

    Raises:
        ConfigError: If a text has another form, a value is of the wrong kind, or given twice.
        UnknownNameError: If the method has no such option; with the nearest.
    """
    hints, known = get_type_hints(cls), [field.name for field in dataclasses.fields(cls)]
    values = dict(given)
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        key = key.replace("-", "_")
        if not equals:
            raise ConfigError(
                f"{where} {assignment}: expected key=value, got {assignment!r}. Write e.g. T=8."
            )
        if key in values:
            raise ConfigError(f"{where} {assignment}: {key} is given twice. Leave one of them out.")
        values[key] = typed(text, hints[key], f"{where} {key}") if key in known else text
    for key in values:
        if key not in known:
            raise unknown_name(f"{cls.name}: option", key, known)
    return values


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
    if hint is Step and isinstance(value, str | dict):
        return True, preparation_of(value)[0]
    if hint is ScaleRule and isinstance(value, str | dict):
        settings = {"name": value} if isinstance(value, str) else value
        return True, RULES[str(settings.get("name", ""))].from_dict(settings)
    return isinstance(value, dict), value


def _name(hint: Any) -> str:  # noqa: ANN401 - any type
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
