# SPDX-License-Identifier: Apache-2.0
"""Spike-Norm (Sengupta et al. 2019): thresholds from the currents of the spiking network itself."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from spikewright.methods.balance import BalancedConfig

__all__ = ["SpikeNorm"]


@dataclass(frozen=True, kw_only=True)
class SpikeNorm(BalancedConfig):
    """Settings of Spike-Norm; see :class:`BalancedConfig` and :class:`SynchronousConfig`.

    Neurons reset to zero; the input is Poisson, as in the paper. Networks with biases and shortcuts
    are taken too (the paper leaves biases out): a spike is worth the product of the thresholds in
    front, and biases are scaled with it.

    Attributes:
        T: Time steps. The paper uses 2,500.
        pool: Lateral inhibition; the paper pools by averages, so this choice is ours.

    References:
        A. Sengupta et al., Going deeper in spiking neural networks: VGG and residual
        architectures, Frontiers in Neuroscience 2019.
    """

    name: ClassVar[str | None] = "spike-norm"

    input: Literal["analog", "encoded", "poisson"] = "poisson"

    def neuron(self) -> str:
        """Return the neuron that resets to zero."""
        return "if-hard"
