# SPDX-License-Identifier: Apache-2.0
"""Max pooling of each step by itself, as directly trained spiking networks have it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor

__all__ = ["SpikeMax"]


class SpikeMax:
    """y = maxpool(x): the OR of a window's spikes in this step.

    For converted networks it is no maximum of the values (two members that take turns pass on the
    spikes of both); networks that were trained with it mean just this.

    References:
        Y. Wu et al., Frontiers in Neuroscience 2018 (pooling inside the trained network).
    """

    name: ClassVar[str] = "spike-max"
    states: ClassVar[Mapping[str, float]] = MappingProxyType({})

    @staticmethod
    def step(
        state: None, spikes: Tensor, pool: Callable[[Tensor], Tensor], base: float = 1.0
    ) -> tuple[Tensor, None]:
        """Pool the spikes of one step.

        Args:
            state: None; it carries nothing on.
            spikes: Input spikes, "batch *map". Not changed.
            pool: The network's max pool.
            base: Not used.

        Returns:
            Output spikes "batch *pooled", and None.
        """
        return pool(spikes), None
