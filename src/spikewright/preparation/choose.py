# SPDX-License-Identifier: Apache-2.0
"""The setting ``prepare``: steps that were named, or ways for ``"auto"`` to choose from."""

from collections.abc import Iterable, Mapping
from typing import Any

from spikewright.codes.lookup import Lookup
from spikewright.errors import ConfigError
from spikewright.preparation.base import Step
from spikewright.preparation.bias import Bias
from spikewright.preparation.reconstruct import Reconstruct
from spikewright.preparation.refit import Refit
from spikewright.preparation.scales import Scales

__all__ = ["MOST_INPUTS", "Preparation", "read_steps", "ways_of"]

Preparation = str | tuple[Step, ...]
"""``"none"``, ``"auto"``, or steps in the order in which they work at every place."""

MOST_INPUTS = 512
"""Calibration inputs that are looked at, at most."""

_FITTED = ((Bias(),), (Refit(rounds=0),), (Refit(), Scales()))
_AUTO: tuple[tuple[int, tuple[tuple[Step, ...], ...]], ...] = (
    (4, (*_FITTED, (Refit(rounds=0), Reconstruct()))),
    (8, _FITTED),
)
"""Largest T to the ways that are tried up to it; see docs/results.md."""


def read_steps(given: Any, known: Lookup[type[Step]]) -> tuple[Step, ...]:  # noqa: ANN401 - a user's
    """Return steps as they were named or described.

    Args:
        given: A step's name, a step, its dictionary, or several of these.
        known: Every step by name.

    Raises:
        UnknownNameError: If there is no such step.
        ConfigError: If it is something else, or a step is there twice.
    """
    if isinstance(given, str | Step | Mapping):
        given = (given,)
    if not isinstance(given, Iterable):
        raise ConfigError(
            f"prepare: expected 'none', 'auto' or steps, got {given!r}. Known steps: "
            f"{', '.join(known)}."
        )
    steps = tuple(_step(each, known) for each in given)
    names = [s.name for s in steps]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"prepare: expected each step once, got {', '.join(map(str, names))}. Leave one out."
        )
    return steps


def _step(given: Any, known: Lookup[type[Step]]) -> Step:  # noqa: ANN401 - a user's
    if isinstance(given, Step):
        return given
    if isinstance(given, str):
        return known[given]()
    if isinstance(given, Mapping):
        return known[str(given.get("name", ""))].from_dict(given)
    raise ConfigError(
        f"prepare: expected a step or its name, got {given!r}. Known steps: {', '.join(known)}."
    )


def ways_of(preparation: Preparation, T: int) -> tuple[tuple[Step, ...], ...]:
    """Return the ways that a setting allows, for trains of T steps.

    Args:
        preparation: See :data:`Preparation`.
        T: Time steps of a train.
    """
    if isinstance(preparation, tuple):
        return (preparation,)
    if preparation != "auto":
        return ()
    return next((ways for most, ways in _AUTO if most >= T), ())
