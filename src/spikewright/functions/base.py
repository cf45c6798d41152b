# SPDX-License-Identifier: Apache-2.0
"""What every function of a population declares."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from spikewright.codes.plain import from_plain, to_plain

__all__ = ["Function"]


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of one value, applied to every neuron of a population by itself.

    In the layered schedule a population has its whole input before it fires, so it can fire the
    train of any function of it. Neurons that spike while their input arrives approach the function
    by their dynamics; there it says what they stand for.

    Attributes:
        name: Public name.
        version: Changes when the meaning of the settings changes.
        by_firing: Whether firing alone computes it, as a threshold rectifies and the longest train
            clips; then nothing is evaluated before.
    """

    name: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    by_firing: ClassVar[bool] = False

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Return the function's values in the original network's numbers.

        Args:
            x: "*neuron", float32 or float64.
            overwrite: Whether the memory of ``x`` may be used.
        """
        raise NotImplementedError

    def in_units(self, v: Tensor, unit: Tensor) -> Tensor:
        """Return the function's values of potentials in units: f(v·u)/u; ``v`` may be overwritten.

        Args:
            v: Potentials in units of the population's code, "batch *neuron".
            unit: u > 0, what one unit stands for; broadcastable with ``v``.
        """
        return self(v.mul_(unit), overwrite=True).div_(unit)

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and settings as plain values."""
        return to_plain(self, self.version)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Build the function from what ``to_dict`` wrote.

        Raises:
            ConfigError: If a key, the name or the version is not known, or a value is wrong.
        """
        return from_plain(cls, plain, cls.version)

    def __str__(self) -> str:
        """Return name and settings: ``clip(low=0, high=6)``."""
        given = (f"{f.name}={getattr(self, f.name):g}" for f in dataclasses.fields(self))
        return f"{self.name}({', '.join(given)})"
