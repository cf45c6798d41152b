# SPDX-License-Identifier: Apache-2.0
"""Threshold ReLU with a shift of half a step (Deng & Gu, ICLR 2021).

The ANN's activation is clip(a, 0, θ); soft-reset neurons floor θ·N/T, and a shift of θ/(2T) in
every step turns the flooring into rounding.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.calibration import Max, ScaleRule
from spikewright.graph import Graph, Node, ops
from spikewright.methods.base import Prepared
from spikewright.methods.synchronous import ScaledConfig

__all__ = ["ThresholdReLU"]


@dataclass(frozen=True, kw_only=True)
class ThresholdReLU(ScaledConfig):
    """Settings of threshold balancing with a shift; see :class:`ScaledConfig`.

    The shift depends on T, so a network is converted for one T.

    Attributes:
        T: Time steps that the shift is made for.
        scale: θ where the network has a plain ReLU: the largest activation (paper). Where it was
            trained with a clip (ReLU6, Hardtanh, clamp), θ is the clip.
        pool: Lateral inhibition; the paper's networks pool by averages, so this choice is ours.

    References:
        S. Deng, S. Gu, Optimal conversion of conventional artificial neural networks to spiking
        neural networks, ICLR 2021, threshold ReLU and the optimal shift θ/(2T).
    """

    name: ClassVar[str | None] = "threshold-relu"
    anytime: ClassVar[bool] = False

    scale: ScaleRule = field(default_factory=Max)

    def choose_scale(self, graph: Graph, node: Node, prepared: Prepared) -> Tensor:
        """Return θ: the network's own clip, else the scale rule's."""
        cap = node.kwargs.get("cap")
        return torch.tensor(cap) if cap else super().choose_scale(graph, node, prepared)

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return θ of every population and the shift θ/(2T) of the rectified ones."""
        scales, _ = super().choose_scales(graph, prepared)
        shifts = {n: s / (2 * self.T) for n, s in scales.items() if graph[n].op == ops.RECTIFY}
        return scales, shifts
