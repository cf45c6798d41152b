# SPDX-License-Identifier: Apache-2.0
"""What takes the place of activations, as one frozen fact."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spikewright.errors import ConfigError
from spikewright.graph import Node, ops
from spikewright.training.activations import (
    QCFS,
    ClipFloor,
    SignedSteps,
    SiteActivation,
    ThresholdReLU,
)
from spikewright.training.stbp import LIF

__all__ = ["Activation", "ActivationSettings"]

Activation = Literal["casc", "qcfs", "threshold-relu", "stbp", "relu"]


@dataclass(frozen=True, kw_only=True)
class ActivationSettings:
    """What is put in the place of a network's activations.

    Attributes:
        activation: ``"casc"`` (floor, fixed top), ``"qcfs"`` (rounding, learned top),
            ``"threshold-relu"`` (a learned clip, no levels), ``"stbp"`` (leaky neurons that spike:
            the spiking network itself is trained), or ``"relu"``: the network's own activations
            stay, for training the original itself.
        levels: Levels above zero, Q or L; of ``"stbp"``, the time steps T.
        relays: Whether signed values between weighted layers get levels, too (of either sign),
            where activations do.
        per_channel: Whether every channel of an activation has a top of its own, for networks that
            are fine-tuned. Weights are normalised so that all tops are 1, as in the paper, and
            batch norms are folded into them; see :func:`normalised`.

    Raises:
        ConfigError: If a setting is out of range.
    """

    activation: Activation = "casc"
    levels: int = 8
    relays: bool = True
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.activation not in get_args(Activation):
            known = " or ".join(map(repr, get_args(Activation)))
            raise ConfigError(f"activation: expected {known}, got {self.activation!r}.")
        if self.levels < 1:
            raise ConfigError(f"levels: expected at least 1, got {self.levels}.")
        if self.per_channel and not (self.quantised and self.relays):
            raise ConfigError(
                "per_channel: expected activation 'casc' or 'qcfs' with relays, got "
                f"{self.activation!r}{'' if self.relays else ' without'}. Leave per_channel out."
            )

    @property
    def quantised(self) -> bool:
        """Whether activations have levels."""
        return self.activation in ("casc", "qcfs")

    @property
    def rounding(self) -> bool:
        """Whether a value goes to the nearest level, not to the one below (by a bias in casc)."""
        return self.activation in ("casc", "qcfs", "threshold-relu")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able data."""
        settings = dataclasses.asdict(self)
        if not self.per_channel:  # as it was written before there was a choice
            del settings["per_channel"]
        return settings

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ActivationSettings":
        """Build from what ``to_dict`` wrote; ConfigError for unknown keys."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ConfigError(
                f"activation settings: unknown {', '.join(unknown)}. Known: "
                f"{', '.join(sorted(known))}."
            )
        return cls(**data)

    def site(self, node: Node, cap: float) -> SiteActivation:
        """Make the module of one site."""
        if node.op == ops.RELAY:
            return SignedSteps(self.levels, cap, learned=self.activation == "qcfs")
        if self.activation == "casc":
            return ClipFloor(self.levels, cap)
        if self.activation == "qcfs":
            return QCFS(self.levels, cap)
        if self.activation == "stbp":
            return LIF(self.levels)
        return ThresholdReLU(cap, learned=True)
