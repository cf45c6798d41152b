# SPDX-License-Identifier: Apache-2.0
"""Networks trained with quantised activations: QCFS (Bu et al., ICLR 2022) and clip-floor.

The trained staircase a = θ·clip(floor(L·x/θ + φ)/L, 0, 1) is what a soft-reset neuron computes
under a constant current in T = L steps from v_0 = φ·θ.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import Graph, Node, ops
from spikewright.methods.base import Prepared
from spikewright.methods.synchronous import ScaledConfig

__all__ = ["QCFS"]


@dataclass(frozen=True, kw_only=True)
class QCFS(ScaledConfig):
    """Settings of the conversion of quantised networks; see :class:`ScaledConfig`.

    θ and φ are read off the network; ``scale`` is for relays of signed values only. T need not
    equal L.

    Attributes:
        T: Time steps; 8 is a common L.
        scale: How λ of relays is chosen, which carry signed values; activations bring their own.
        v_init: Must stay 0: the network says where its neurons start.

    References:
        T. Bu et al., Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking
        neural networks, ICLR 2022: v(0) = θ/2, φ = ½.
    """

    name: ClassVar[str | None] = "qcfs"
    starts_at_zero: ClassVar[str | None] = "the trained offset takes its place"

    T: int = 8

    def check_graph(self, graph: Graph) -> None:
        """Refuse activations that are not quantised.

        Raises:
            UnsupportedModuleError: Listing them.
        """
        plain = [n for n in graph if n.op == ops.RECTIFY and "levels" not in n.kwargs]
        if plain:
            lines = "\n".join(f"  {n.where()}" for n in plain)
            raise UnsupportedModuleError(
                "qcfs: expected activations that were trained quantised, "
                "θ·clip(floor(L·x/θ + φ)/L, 0, 1), got "
                f"{len(plain)} that were not:\n{lines}\n"
                "Train the network so, or use snn-calibration, burst or spikeconverter."
            )

    def choose_scale(self, graph: Graph, node: Node, prepared: Prepared) -> Tensor:
        """Return the trained θ."""
        if node.op == ops.RECTIFY:
            return torch.tensor(float(node.kwargs["cap"]))
        return super().choose_scale(graph, node, prepared)

    def initial(self, node: Node) -> float:
        """Return the trained offset φ."""
        return float(node.kwargs.get("offset", 0.0)) if node.op == ops.RECTIFY else 0.0
