# SPDX-License-Identifier: Apache-2.0
"""From options to the settings of a method, whichever method it is."""

import dataclasses
import tomllib
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spikewright.calibration import RULES, Max, MinError, Percentile, ScaleRule
from spikewright.cli.options import MethodOptions
from spikewright.errors import ConfigError, unknown_name
from spikewright.methods import MethodConfig, configure, methods

__all__ = ["DEFAULT_METHOD", "method_config", "typed"]

DEFAULT_METHOD = "spikeconverter"
_SAME_NAME = ("T", "per_channel", "rounding", "extra_step", "input")


def method_config(options: MethodOptions) -> MethodConfig:
    """Fill a method's settings from the options that were given.

    Raises:
        UnknownNameError: If there is no such method, or it has no such option.
        ConfigError: If a value is of the wrong kind or out of range, or given twice.
    """
    name = options.method or DEFAULT_METHOD
    cls = methods()[name]
    hints = get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    values = _named(options)
    for assignment in options.set:
        key, equals, text = assignment.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise ConfigError(f"--set: expected KEY=VALUE, got {assignment!r}. Write --set T=8.")
        if key in values:
            raise ConfigError(f"--set {assignment}: {key} is given twice. Leave one of them out.")
        if key not in known:
            raise unknown_name(f"{name}: option", key, known)
        values[key] = typed(text.strip(), hints[key], f"--set {key}")
    for key in values:
        if key not in known:
            raise unknown_name(f"{name}: option", key, known)
    return configure(name, **values)


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


def _named(options: MethodOptions) -> dict[str, Any]:
    """Return what the options with names of their own say."""
    values = {n: v for n in _SAME_NAME if (v := getattr(options, n)) is not None}
    if options.k is not None:
        values["k"] = None if options.k == "search" else options.k
    if options.analog_relay:
        values["analog_relays"] = options.analog_relay
    if options.percentile is not None and options.scale != "percentile":
        raise ConfigError(
            "--percentile: expected --scale percentile with it, got "
            f"{'no --scale' if options.scale is None else '--scale ' + options.scale}. Add it."
        )
    match options.scale:
        case "min-error":
            values["scale"] = MinError()
        case "max":
            values["scale"] = Max()
        case "percentile":
            percentile = options.percentile
            values["scale"] = Percentile() if percentile is None else Percentile(percentile)
    return values


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
