# SPDX-License-Identifier: Apache-2.0
"""RMP-SNN (Han et al., CVPR 2020): soft reset keeps the residual membrane potential."""

from dataclasses import dataclass
from typing import ClassVar

from spikewright.errors import ConfigError
from spikewright.methods.balance import BalancedConfig

__all__ = ["RMP"]


@dataclass(frozen=True, kw_only=True)
class RMP(BalancedConfig):
    """Settings of RMP-SNN; see :class:`BalancedConfig` and :class:`SynchronousConfig`.

    Thresholds as Spike-Norm finds them, times a factor. The input is analog by default so that it
    compares with the others at equal T (ours; ``input="poisson"`` is the older choice).

    Attributes:
        T: Time steps. The paper uses up to 2,048.
        threshold_factor: In (0, 1]; below 1 neurons fire more often and clip more. The paper
            tunes it for each network; 0.8 is ours.

    References:
        B. Han, G. Srinivasan, K. Roy, RMP-SNN: residual membrane potential neuron for enabling
        deeper high-accuracy and low-latency spiking neural network, CVPR 2020.
    """

    name: ClassVar[str | None] = "rmp"

    threshold_factor: float = 0.8

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        if not 0.0 < self.threshold_factor <= 1.0:
            raise ConfigError(
                f"threshold_factor: expected a number in (0, 1], got {self.threshold_factor}. "
                "1 takes the largest current as it is."
            )

    def factor(self) -> float:
        """Return the threshold factor."""
        return self.threshold_factor
