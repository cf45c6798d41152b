# SPDX-License-Identifier: Apache-2.0
"""Directly trained spiking networks (STBP): nothing is converted, the weights are run as they are.

The column "directly trained" of the papers' tables. The weights come from training with LIF
neurons and a surrogate gradient; loaded into the plain architecture, ReLU where the neurons are,
they become the same spiking network here.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph import Graph, Node, ops
from spikewright.methods.base import Prepared
from spikewright.methods.synchronous import SynchronousConfig

__all__ = ["STBP"]


@dataclass(frozen=True, kw_only=True)
class STBP(SynchronousConfig):
    """Settings of a directly trained network; they must be those of its training.

    Attributes:
        T: Time steps that it was trained with; the paper and its followers use 2 to 10.
        leak: τ, the share of the potential that is left after a step.
        threshold: θ; spikes are worth 1 whatever it is.
        input: ``"analog"``: the image is a constant current.
        pool: Max pools act on the spikes of each step.
        v_init: Must stay 0.

    References:
        Y. Wu, L. Deng, G. Li, J. Zhu, L. Shi, Frontiers in Neuroscience 2018.
    """

    name: ClassVar[str | None] = "stbp"
    anytime: ClassVar[bool] = False
    starts_at_zero: ClassVar[str | None] = "where trained neurons start"

    T: int = 4
    leak: float = 0.5
    threshold: float = 1.0
    pool: Literal["lateral-inhibition", "accumulated-count", "spike-max"] = "spike-max"

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        if not 0.0 <= self.leak <= 1.0:
            raise ConfigError(
                f"leak: expected the share of the potential that is left, in [0, 1], got "
                f"{self.leak}."
            )
        if not self.threshold > 0.0:
            raise ConfigError(f"threshold: expected θ > 0, got {self.threshold}.")

    def neuron(self) -> str:
        """Return the leaky neuron."""
        return "lif"

    def leakage(self) -> float:
        """Return τ."""
        return self.leak

    def firing_threshold(self) -> float:
        """Return θ."""
        return self.threshold

    def check_graph(self, graph: Graph) -> None:
        """Refuse values between layers that no trained neuron stands for.

        Raises:
            UnsupportedModuleError: Listing them.
        """
        relays = [n for n in graph if n.op == ops.RELAY]
        if relays:
            lines = "\n".join(f"  {n.where()}" for n in relays)
            raise UnsupportedModuleError(
                f"stbp: expected an activation between all weighted layers, got {len(relays)} "
                f"value(s) without one:\n{lines}\n"
                "Such values passed from layer to layer as they were in training: list them in "
                "analog_relays."
            )

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return 1 for every population: weights are left as trained. Nothing is added.

        A value is then the mean of spikes, in [0, 1].
        """
        spiking = [n for n in graph if n.op in ops.SPIKING_OPS and n.op != ops.INPUT_SITE]
        return {n.name: torch.tensor(1.0, dtype=graph.dtype) for n in spiking}, {}

    def initial(self, node: Node) -> float:
        """Return 0."""
        return 0.0
