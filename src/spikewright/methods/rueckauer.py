# SPDX-License-Identifier: Apache-2.0
"""Data-based normalisation (Rueckauer et al. 2017): the typical rate-coded conversion.

W_l ← W_l·λ_(l-1)/λ_l and b_l ← b_l/λ_l, with λ a percentile of the activations; analog input.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from spikewright.calibration import Percentile, ScaleRule
from spikewright.methods.synchronous import ScaledConfig

__all__ = ["Rueckauer"]


@dataclass(frozen=True, kw_only=True)
class Rueckauer(ScaledConfig):
    """Settings of data-based normalisation; see :class:`ScaledConfig` for the others.

    With ``scale=Max()`` and ``reset="subtract"`` it is the typical conversion that the burst paper
    compares its energy with.

    Attributes:
        scale: The 99.9th percentile of the activations above zero (paper).
        reset: ``"subtract"`` (the paper's better variant) or ``"hard"`` (to zero).
        pool: ``"accumulated-count"``: the paper gates by accumulated rates.

    References:
        B. Rueckauer et al., Conversion of continuous-valued deep networks to efficient
        event-driven networks for image classification, Frontiers in Neuroscience 2017.
    """

    name: ClassVar[str | None] = "rueckauer"

    scale: ScaleRule = field(default_factory=lambda: Percentile(99.9, nonzero=True))
    reset: Literal["subtract", "hard"] = "subtract"
    pool: Literal["lateral-inhibition", "accumulated-count"] = "accumulated-count"

    def neuron(self) -> str:
        """Return the neuron of the reset rule."""
        return "if-hard" if self.reset == "hard" else "if-soft"
