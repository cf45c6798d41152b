# SPDX-License-Identifier: Apache-2.0
"""Every error that Spikewright raises on purpose, so that callers can catch one base class.

A message reads **where: expected, got. What to do.**
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "CalibrationError",
    "ConfigError",
    "FileFormatError",
    "ShapeError",
    "SpikewrightError",
    "SpikewrightWarning",
    "UnknownNameError",
    "UnsupportedModuleError",
    "VerificationError",
    "unknown_name",
]


class SpikewrightError(Exception):
    """Base class of every deliberate Spikewright error."""


class ConfigError(SpikewrightError, ValueError):
    """A setting is outside its range or contradicts another one."""


class ShapeError(SpikewrightError, ValueError):
    """A tensor has another shape than the network or function takes."""


class UnsupportedModuleError(SpikewrightError, TypeError):
    """A model holds operators that the requested conversion cannot take; all are listed."""


class CalibrationError(SpikewrightError, RuntimeError):
    """Calibration data are missing, empty, of the wrong kind, or hold NaN or infinity."""


class UnknownNameError(SpikewrightError, LookupError):
    """A name stands for nothing that is registered; the nearest known names are given."""


class FileFormatError(SpikewrightError, ValueError):
    """A file is missing, damaged, truncated, or not one of ours."""


class VerificationError(SpikewrightError, RuntimeError):
    """Two computations that must agree do not."""


class SpikewrightWarning(UserWarning):
    """Base class of every deliberate Spikewright warning; the text says what it changes."""


def unknown_name(where: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is not registered.

    Args:
        where: What was looked up, e.g. ``"method"``.
        name: The name that was given.
        known: Every name that would have been accepted.

    Returns:
        The error, with the nearest names first and then all known ones.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(repr(n) for n in near)}?" if near else ""
    return UnknownNameError(
        f"{where} {name!r}: not known.{hint} Known: {', '.join(names) if names else 'none'}."
    )
