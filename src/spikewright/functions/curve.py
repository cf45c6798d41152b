# SPDX-License-Identifier: Apache-2.0
"""A smooth activation that neurons compute by firing, with trains that were fitted to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.errors import ConfigError, unknown_name
from spikewright.functions.base import Function

__all__ = ["CURVES", "Curve"]

_NAMES = (
    "celu elu erf exp expm1 gelu hardsigmoid hardswish log_sigmoid mish selu sigmoid silu sin cos "
    "softplus softsign square tanh tanhshrink atan asinh"
)
_SPELLED = {"softsign": torch.nn.functional.softsign, "tanhshrink": torch.nn.functional.tanhshrink}

CURVES: Mapping[str, Any] = MappingProxyType(
    {
        **{n: getattr(torch.ops.aten, n).default for n in _NAMES.split() if n not in _SPELLED},
        **_SPELLED,
        "gelu-tanh": partial(torch.ops.aten.gelu.default, approximate="tanh"),
    }
)
"""Functions of one number that are defined, and continuous, everywhere."""


@dataclass(frozen=True, kw_only=True)
class Curve(Function):
    """f(x) of a name, which a :class:`spikewright.codes.FewSpikes` train approaches.

    Args:
        curve: Its name, one of ``CURVES``.
        settings: The operator's further arguments in their order (the slope of an ELU).

    Raises:
        UnknownNameError: If there is no such function.
        ConfigError: If settings are no numbers, or not those of the function.
    """

    name: ClassVar[str | None] = "curve"
    by_firing: ClassVar[bool] = True

    curve: str = "silu"
    settings: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that the function can be called."""
        if self.curve not in CURVES:
            raise unknown_name("curve", str(self.curve)[:40], CURVES)
        numbers = isinstance(self.settings, tuple) and all(
            type(x) in (int, float) and abs(x) < 1e6 for x in self.settings
        )
        try:
            if not numbers:
                raise TypeError
            self(torch.zeros(1))
        except (TypeError, RuntimeError) as error:
            raise ConfigError(
                f"curve: expected the numbers that {self.curve} takes, got "
                f"{str(self.settings)[:80]}. Leave them out for its defaults."
            ) from error

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Return the function's values; see :class:`Function`."""
        found: Tensor = CURVES[self.curve](x, *self.settings)
        return found

    def __str__(self) -> str:
        """Return name and settings: ``elu(1)``."""
        return self.curve + (
            f"({', '.join(f'{x:g}' for x in self.settings)})" * bool(self.settings)
        )
