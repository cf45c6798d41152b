# SPDX-License-Identifier: Apache-2.0
"""Threshold balancing on spikes: what Spike-Norm and RMP share."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph import Graph, Node, ops
from spikewright.methods.base import Prepared, check_counts
from spikewright.methods.synchronous import SynchronousConfig
from spikewright.methods.walk import Population, input_population, inputs_that_fit, walk
from spikewright.neurons import Firing

__all__ = ["BalancedConfig"]


@dataclass(frozen=True, kw_only=True)
class BalancedConfig(SynchronousConfig):
    """Settings of methods whose θ_l is the largest current that the spikes in front cause.

    Layer by layer, with the layers below already spiking on the calibration inputs, θ_l is the
    largest weighted input of one step.

    Attributes:
        balance_steps: Time steps for which the spikes are watched. Ours: the papers take the
            length of a run.
        balance_samples: Calibration inputs used, fewer where memory is short.
    """

    balance_steps: int = 100
    balance_samples: int = 32

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        check_counts(self, "balance_steps", "balance_samples")

    def factor(self) -> float:
        """Return what the largest current is multiplied with."""
        return 1.0

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return λ of every population from the currents of the spiking network."""
        scales: dict[str, Tensor] = {}

        def fire(node: Node, currents: Tensor) -> Tensor:
            if node.op == ops.INPUT_SITE:
                return input_population(self, prepared, node).fire(currents)
            signed = node.op == ops.RELAY
            largest = (currents.abs() if signed else currents).max()
            cap = node.kwargs.get("cap")
            scale = (
                largest * self.factor() if cap is None else (largest * self.factor()).clamp(max=cap)
            )
            scales[node.name] = torch.where(scale > 0, scale, torch.ones_like(scale))
            firing = Firing(signed=signed, v_init=0.0 if signed else self.v_init)
            return Population(self.neuron(), scales[node.name], firing).fire(currents)

        samples = inputs_that_fit(graph, self.balance_steps, self.balance_samples)
        inputs = prepared.some_inputs(samples, str(self.name))
        walk(graph, inputs, self.balance_steps, self.pool, fire)
        return scales, {}
