# SPDX-License-Identifier: Apache-2.0
"""SpikeConverter: inverse-LIF neurons, soft reset, temporal separation (Liu et al., AAAI 2022).

A value a ≥ 0 of scale λ travels as a train s[1..T] with a = λ·Σ_t s[t] k^(T-t) / S, where
S = Σ_t k^(T-t). A layer accumulates its whole input with inflation k, then fires greedily with soft
reset, so its train is exact up to one unit: with k = 2 it is the T-bit binary code of the value.
"""

from dataclasses import dataclass
from typing import ClassVar

from spikewright.calibration import SiteObserver, search_k
from spikewright.codes import Code, Radix
from spikewright.graph import Graph
from spikewright.methods.layered import LayeredConfig

__all__ = ["SpikeConverter"]

K_GRID = (1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)
"""Where k is searched. The paper searches k too; its grid is not public, this one is ours."""


@dataclass(frozen=True, kw_only=True)
class SpikeConverter(LayeredConfig):
    """Settings of SpikeConverter.

    Attributes:
        T: Time steps of a train, ≥ 1. The paper uses 16.
        scale: How λ is chosen. The paper minimises a conversion-error function that is not
            public; ours is the mean squared error of decode(encode(a)) on the calibration data.
        per_channel: One λ a channel (default) or one a layer.
        rounding: Add half a unit before firing, so that values are rounded, not floored. Ours.
        input: ``"analog"`` (the image is a constant current) or ``"encoded"`` (it enters as
            spikes of the same code; negative inputs as ON/OFF pairs).
        analog_relays: Module paths, ``"re:…"`` patterns or ``"all"``: relays that stay analog.
        k: Inflation per step, 1 < k ≤ 2; 2 is the binary code. None searches it on a grid by the
            conversion error, one k for the network.
        extra_step: One more firing step of weight 1/k, which the paper offers for precision.
    """

    name: ClassVar[str | None] = "spikeconverter"

    k: float | None = 2.0
    extra_step: bool = False

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        Radix(k=2.0 if self.k is None else self.k, T=self.T, extra_step=self.extra_step)

    def choose_code(self, graph: Graph, observers: dict[str, SiteObserver]) -> Code:
        """Return the radix code with the given k, or the one that the search finds."""
        k = self.k or search_k(
            [o.histogram for o in observers.values()],
            self.T,
            self.extra_step,
            K_GRID,
            self.rounding,
            self.scale,
            per_channel=self.per_channel,
            caps=[graph[n].kwargs.get("cap") for n in observers],
        )
        return Radix(k=k, T=self.T, extra_step=self.extra_step)
