# SPDX-License-Identifier: Apache-2.0
"""Burst spikes and lateral-inhibition pooling (Li & Zeng, IJCAI 2022).

Charge that a soft-reset neuron would keep leaves in several spikes a step, up to Γ, and maxima of
spikes are taken exactly; both shorten the run to near-lossless accuracy.
"""

from dataclasses import dataclass
from typing import ClassVar

from spikewright.methods.base import check_counts
from spikewright.methods.synchronous import ScaledConfig

__all__ = ["Burst"]


@dataclass(frozen=True, kw_only=True)
class Burst(ScaledConfig):
    """Settings of the burst method; see :class:`ScaledConfig` for the others.

    Attributes:
        T: Time steps. The paper is near-lossless below 100.
        scale: The 99.9th percentile of a layer's values, zeros included; a burst reaches Γ times
            it (paper, official code).
        gamma: Γ ≥ 1; 1 is the soft-reset neuron. 2 in the official script, 5 (default) in the
            authors' library example.
        v_init: Initial potential as a share of θ; 0 in the official code. ½ turns flooring into
            rounding, which the paper does not do.

    References:
        Y. Li, Y. Zeng, Efficient and accurate conversion of spiking neural network with burst
        spikes, IJCAI 2022.
    """

    name: ClassVar[str | None] = "burst"

    gamma: int = 5

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        check_counts(self, "gamma")

    def neuron(self) -> str:
        """Return the burst neuron."""
        return "burst"

    def largest_burst(self) -> int:
        """Return Γ."""
        return self.gamma
