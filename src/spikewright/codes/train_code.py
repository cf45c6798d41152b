# SPDX-License-Identifier: Apache-2.0
"""What the codes of this package share: how a train is read, and plain values."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch

from spikewright.codes.greedy import check_type
from spikewright.codes.plain import from_plain, to_plain
from spikewright.errors import ConfigError
from spikewright.shapes import Decoded, Train

__all__ = ["TrainCode"]

_VERSION = 1


class TrainCode:
    """Base of frozen descriptions of a code; see `Code` for what a subclass gives."""

    name: ClassVar[str]
    holds: ClassVar[bool] = False
    both_signs: ClassVar[bool] = False
    T: int

    @property
    def steps(self) -> int:
        """Symbols in a train: T unless a code says otherwise."""
        return self.T

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each step in units."""
        raise NotImplementedError

    def decode(self, train: Train) -> Decoded:
        """Read trains: n = Σ_j w_j·s[j].

        Args:
            train: "steps *value", float32 or float64.

        Returns:
            Values in units, "*value".

        Raises:
            ConfigError: If the type is another or the train has another number of steps.
        """
        check_type(train)
        if train.ndim == 0 or train.shape[0] != self.steps:
            raise ConfigError(
                f"{self.name} code: expected a train of {self.steps} steps, got shape "
                f"{tuple(train.shape)}. Put time first and use the code it was written with."
            )
        n = torch.zeros_like(train[0])
        for spikes, weight in zip(train, self.weights, strict=True):
            n.add_(spikes, alpha=weight)
        return n

    def check_step(self, t: int) -> None:
        """Refuse a step outside the train."""
        if not 0 <= t <= self.steps:
            raise ConfigError(
                f"{self.name} code: expected t from 0 to {self.steps} steps, got t={t}. "
                "Count steps from the start of the train."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and settings as plain values."""
        return to_plain(self, _VERSION)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Build the code from what ``to_dict`` wrote.

        Raises:
            ConfigError: If a key, the name or the version is not known, or a value is wrong.
        """
        return from_plain(cls, plain, _VERSION)
