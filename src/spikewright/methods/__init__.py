# SPDX-License-Identifier: Apache-2.0
"""Conversion methods, one file each, found by themselves; entry points add those of others."""

import dataclasses
from typing import Any

from spikewright.codes.lookup import Lookup, registered
from spikewright.methods.base import MethodConfig as MethodConfig
from spikewright.methods.base import Prepared as Prepared

__all__ = ["ENTRY_POINTS", "MethodConfig", "Prepared", "configure", "methods"]

ENTRY_POINTS = "spikewright.methods"


def methods() -> Lookup[type[MethodConfig]]:
    """Return every known method: the files of this package and those of entry points.

    Raises:
        ConfigError: If an entry point names something else than a method, or a name is taken.
    """
    return registered("method", __name__, __path__, MethodConfig, ENTRY_POINTS, MethodConfig)


def configure(method: str | MethodConfig, **options: Any) -> MethodConfig:  # noqa: ANN401 - any setting
    """Return a method's settings from its name and options, or a given config with changes.

    Raises:
        UnknownNameError: If no method has this name; the nearest ones are given.
        ConfigError: If an option is unknown or out of range.
    """
    if isinstance(method, MethodConfig):
        own = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
        return type(method).from_dict({**own, **options}) if options else method
    return methods()[method].from_dict(options)
