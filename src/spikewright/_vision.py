# SPDX-License-Identifier: Apache-2.0
"""The one place that loads torchvision and Pillow, so that everything else imports without them.

A torchvision wheel whose compiled part does not fit the installed torch stops at its first
Python-side operator registration, although its networks and data sets need none of those
operators. ``torchvision`` below declares the missing operators and tries again; it hides no other
failure.
"""

import functools
import importlib
import re
import sys
from types import ModuleType

import torch
from torch import nn

from spikewright.errors import ConfigError

__all__ = ["detector_family", "pillow_image", "torchvision"]

_MISSING_OPERATOR = re.compile(r"operator torchvision::(\w+) does not exist")


@functools.cache  # a Library withdraws what it declared when it is collected
def _declare(operator: str) -> torch.library.Library:
    """Declare ``torchvision::operator`` to torch, without an implementation."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    library.define(f"{operator}(Tensor x) -> Tensor")  # type: ignore[no-untyped-call]
    return library


def torchvision() -> ModuleType:
    """Import torchvision, also where its compiled operators are missing.

    Returns:
        The module. Operators such as ``torchvision.ops.nms`` raise when called if their compiled
        part is missing; networks, data sets and transforms work.

    Raises:
        ConfigError: If torchvision is not installed.
    """
    declared: set[str] = set()
    while True:
        try:
            return importlib.import_module("torchvision")
        except ModuleNotFoundError as error:
            if error.name != "torchvision":
                raise
            raise _not_installed("torchvision") from error
        except RuntimeError as error:
            match = _MISSING_OPERATOR.search(str(error))
            if match is None or match[1] in declared:
                raise
            declared.add(match[1])
            _declare(match[1])
            half_imported = [
                name for name in sys.modules if name.partition(".")[0] == "torchvision"
            ]
            for name in half_imported:
                del sys.modules[name]


def detector_family(model: nn.Module) -> str | None:
    """Return which of torchvision's classes of detectors a model is of, if any.

    Returns:
        ``"GeneralizedRCNN"``, ``"RetinaNet"``, ``"FCOS"``, ``"SSD"`` or None.
    """
    for kind in type(model).__mro__:
        own = kind.__module__.startswith("torchvision.models.detection.")
        if own and kind.__name__ in ("GeneralizedRCNN", "RetinaNet", "FCOS", "SSD"):
            return kind.__name__
    return None


def pillow_image() -> ModuleType:
    """Import ``PIL.Image``, which decodes and resizes images.

    Returns:
        The module ``PIL.Image``.

    Raises:
        ConfigError: If Pillow is not installed.
    """
    try:
        return importlib.import_module("PIL.Image")
    except ModuleNotFoundError as error:
        if error.name not in {"PIL", "PIL.Image"}:
            raise
        raise _not_installed("Pillow") from error


def _not_installed(package: str) -> ConfigError:
    return ConfigError(
        f"{package}: expected to be installed, got no such module. "
        "Install it: pip install 'spikewright[vision]'."
    )
