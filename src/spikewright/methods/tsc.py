# SPDX-License-Identifier: Apache-2.0
"""Temporal-switch coding: a value is the time between an "on" and an "off" spike (ECCV 2020).

Two events per value whatever its size; in every step between them the synapse adds its weight.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from spikewright.calibration import Percentile, ScaleRule, SiteObserver
from spikewright.codes import Code, Switch
from spikewright.graph import Graph
from spikewright.methods.layered import LayeredConfig

__all__ = ["TSC"]


@dataclass(frozen=True, kw_only=True)
class TSC(LayeredConfig):
    """Settings of temporal-switch coding.

    Our reading of the paper, whose neuron's public description leaves the order of events open: a
    neuron takes in the whole windows of its inputs, then fires with soft reset while v ≥ θ, which
    is one window of n steps: the layered schedule with k = 1. Latency is therefore (L + 1)·T ticks,
    and a layer's T is to be compared with (L + 1)·T steps of the synchronous methods. An addition
    is counted for each event and synapse: the receiver keeps the sum of the weights that are
    switched on and adds it to its potential in every step (a neuron update, not an addition).

    Attributes:
        T: Longest window in steps, ≥ 1.
        scale: How λ is chosen; the 99.9th percentile, our choice.
        per_channel: One λ a channel or one a layer (default, as in the paper).
        rounding: Add half a step before firing. Not in the paper.
        input: ``"analog"`` or ``"encoded"`` (the paper: a pixel is a window as well).
        analog_relays: Relays that stay analog.
        functions: By function units or few-spikes neurons; see :class:`LayeredConfig`.

    References:
        B. Han, K. Roy, Deep Spiking Neural Network: Energy Efficiency Through Time based Coding,
        ECCV 2020.
    """

    name: ClassVar[str | None] = "tsc"

    T: int = 64
    scale: ScaleRule = field(default_factory=Percentile)
    per_channel: bool = False
    rounding: bool = False
    input: Literal["analog", "encoded"] = "encoded"

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        Switch(T=self.T)

    def choose_code(self, graph: Graph, observers: dict[str, SiteObserver]) -> Code:
        """Return the switch code."""
        return Switch(T=self.T)
