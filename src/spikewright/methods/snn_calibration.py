# SPDX-License-Identifier: Apache-2.0
"""SNN Calibration (Li et al., ICML 2021): error-minimising thresholds, layer-wise bias correction.

θ minimises the error of the clip-floor code; then, layer by layer with the spiking layers in
front at work, each channel's bias takes away the mean error of the layer.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.calibration import MinError, ScaleRule
from spikewright.graph import Graph, Node, Program, ops
from spikewright.graph.activation import activate
from spikewright.methods.base import Prepared, channel_mean, check_counts, shaped
from spikewright.methods.synchronous import ScaledConfig
from spikewright.methods.walk import Population, input_population, inputs_that_fit, walk
from spikewright.neurons import Firing

__all__ = ["SNNCalibration"]


@dataclass(frozen=True, kw_only=True)
class SNNCalibration(ScaledConfig):
    """Settings of SNN Calibration's light pipeline; see :class:`ScaledConfig`.

    Thresholds, shift and corrections depend on T, so a network is converted for one T.

    Attributes:
        T: Time steps to calibrate for. The paper uses 16 to 256.
        scale: θ with the least mean squared error of the T-step clip-floor code (paper: a grid
            search of the same error).
        per_channel: One θ a channel (the paper does both) or one a layer (default).
        correct_bias: Whether each rectified layer's bias takes away the mean error (spiking minus
            original) over the calibration inputs, per channel.
        samples: Calibration inputs the correction is computed on, fewer where memory is short.

    References:
        Y. Li et al., A free lunch from ANN: towards efficient, accurate spiking neural networks
        calibration, ICML 2021 (shift θ/(2T), threshold search, bias correction).
    """

    name: ClassVar[str | None] = "snn-calibration"
    anytime: ClassVar[bool] = False
    starts_at_zero: ClassVar[str | None] = "the shift of θ/(2T) a step does its work"

    T: int = 32
    scale: ScaleRule = field(default_factory=lambda: MinError(unseen=0.0))
    correct_bias: bool = True
    samples: int = 64

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        check_counts(self, "samples")

    def rounds(self) -> bool:
        """Return True: the shift rounds."""
        return True

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return θ of every population, and shift and correction of the rectified ones."""
        scales, _ = super().choose_scales(graph, prepared)
        shifts = {n: s / (2 * self.T) for n, s in scales.items() if graph[n].op == ops.RECTIFY}
        if not self.correct_bias:
            return scales, shifts
        inputs = prepared.some_inputs(inputs_that_fit(graph, self.T, self.samples), str(self.name))
        wanted = _means(graph, inputs, prepared)

        def fire(node: Node, currents: Tensor) -> Tensor:
            if node.op == ops.INPUT_SITE:
                return input_population(self, prepared, node).fire(currents)
            axis = prepared.channel_axis(node)
            scale = shaped(scales[node.name], axis, node)
            population = Population("if-soft", scale, Firing(signed=node.op == ops.RELAY))
            if node.op != ops.RECTIFY:
                return population.fire(currents)
            shift = shaped(shifts[node.name], axis, node)
            error = (
                channel_mean(population.fire(currents + shift).mean(0), axis) - wanted[node.name]
            )
            shifts[node.name] = shifts[node.name] - error
            return population.fire(currents + shaped(shifts[node.name], axis, node))

        walk(graph, inputs, self.T, self.pool, fire)
        return scales, shifts


def _means(graph: Graph, x: tuple[Tensor, ...], prepared: Prepared) -> dict[str, Tensor]:
    """Return the mean activation of every rectified population of the original network."""
    found: dict[str, Tensor] = {}

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        value = activate(node, value)
        if node.op == ops.RECTIFY:
            found[node.name] = channel_mean(value, prepared.channel_axis(node))
        return value

    with torch.no_grad():
        Program(graph, site=site)(*x)
    return found
