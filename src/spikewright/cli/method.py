# SPDX-License-Identifier: Apache-2.0
"""From options to the settings of a method, whichever method it is."""

import dataclasses
from typing import Any

from spikewright.calibration import Max, MinError, Percentile
from spikewright.cli.options import MethodOptions
from spikewright.errors import ConfigError
from spikewright.methods import MethodConfig, configure, methods
from spikewright.methods.setting_values import settings_of

__all__ = ["DEFAULT_METHOD", "method_config"]

DEFAULT_METHOD = "spikeconverter"
_SAME_NAME = (
    "T",
    "per_channel",
    "rounding",
    "extra_step",
    "input",
    "code",
    "spike_price",
    "spikes",
    "mixed",
    "functions",
)


def method_config(options: MethodOptions) -> MethodConfig:
    """Fill a method's settings from the options that were given.

    Raises:
        UnknownNameError: If there is no such method, or it has no such option.
        ConfigError: If a value is of the wrong kind or out of range, or given twice.
    """
    name = options.method or DEFAULT_METHOD
    cls = methods()[name]
    named = _named(options, _default_scale(cls))
    return configure(name, **settings_of(cls, options.set, "--set", named))


def _default_scale(cls: type[MethodConfig]) -> object:
    """Return the scale rule that a method takes where none is given, None if it has none."""
    for field in dataclasses.fields(cls):
        if field.name == "scale" and field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    return None


def _named(options: MethodOptions, own: object) -> dict[str, Any]:
    """Return what the options with names of their own say, given the method's own scale rule."""
    values = {n: v for n in _SAME_NAME if (v := getattr(options, n)) is not None}
    if options.k is not None:
        values["k"] = None if options.k == "search" else options.k
    if options.analog_relay:
        values["analog_relays"] = options.analog_relay
    if options.prepare:
        values["prepare"] = options.prepare[0] if len(options.prepare) == 1 else options.prepare
    rule = options.scale
    if options.percentile is not None and rule is None and isinstance(own, Percentile):
        rule = "percentile"
    if options.percentile is not None and rule != "percentile":
        raise ConfigError(
            "--percentile: expected --scale percentile with it, got "
            f"{'no --scale' if rule is None else '--scale ' + rule}. Add it."
        )
    match rule:
        case "min-error":
            values["scale"] = MinError()
        case "max":
            values["scale"] = Max()
        case "percentile":
            base = own if isinstance(own, Percentile) else Percentile()
            percentile = options.percentile
            values["scale"] = (
                base if percentile is None else dataclasses.replace(base, q=percentile)
            )
    return values
