# SPDX-License-Identifier: Apache-2.0
"""SpikeConverter: inverse-LIF neurons, soft reset, temporal separation (Liu et al., AAAI 2022).

A value a ≥ 0 of scale λ travels as a train s[1..T] with a = λ·Σ_t s[t] k^(T-t) / S, where
S = Σ_t k^(T-t). A layer accumulates its whole input with inflation k, then fires greedily with soft
reset, so its train is exact up to one unit: with k = 2 it is the T-bit binary code of the value.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from spikewright.calibration import MinError, SiteObserver, search_k
from spikewright.codes import Code, Radix, SignedRadix
from spikewright.errors import ConfigError
from spikewright.graph import Graph, ops
from spikewright.methods.base import Prepared, observer_of
from spikewright.methods.layered import LayeredConfig
from spikewright.methods.mixed_lengths import Budget, lengths_around, lengths_within
from spikewright.methods.pricing import mean_spikes, price_for, with_thresholds
from spikewright.network import Site, SpikingNetwork
from spikewright.preparation import sensitivity

__all__ = ["SpikeConverter"]

K_GRID = (1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)
"""Where k is searched. The paper searches k too; its grid is not public, this one is ours."""

_SAMPLES = 48
"""Calibration inputs on which the outputs are watched for ``mixed``."""


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
        functions: How functions of one potential are computed, by function units or by few-spikes
            neurons; see :class:`LayeredConfig`.
        code: ``"radix"`` (the paper's), or ``"signed-radix"``: spikes of both signs from two
            thresholds, the same values with fewer spikes; k is 2. Ours.
        spike_price: What a spike costs, as a share of the mean square of its population's values:
            scales, and the thresholds of the signed code, are chosen for squared error and price
            together. 0 counts errors only. Ours.
        spikes: Spikes a neuron for an input to come out with, by the calibration statistics; the
            price that does it is searched. None takes ``spike_price`` as it is.
        mixed: ``"none"`` (all populations have T steps), or what populations with T of their own
            may cost together, no more than with T for all: ``"steps"`` (their mean), ``"spikes"``
            or ``"ticks"`` to the decision. Which take more or fewer follows from how far the
            outputs move when one of them alone has so many. Ours.
    """

    name: ClassVar[str | None] = "spikeconverter"

    k: float | None = 2.0
    extra_step: bool = False
    code: Literal["radix", "signed-radix"] = "radix"
    spike_price: float = 0.0
    spikes: float | None = None
    mixed: Budget = "none"

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        if self.code == "signed-radix":
            SignedRadix(T=self.T)
            if self.k != 2.0 or self.extra_step:
                raise ConfigError(
                    f"code: expected k = 2 and no extra step with 'signed-radix', got k = {self.k}"
                    f"{', extra_step' if self.extra_step else ''}. Leave them out."
                )
        else:
            Radix(k=2.0 if self.k is None else self.k, T=self.T, extra_step=self.extra_step)
        if self.mixed != "none":
            dataclasses.replace(self, T=lengths_around(self.T)[-1], mixed="none")
        if not 0.0 <= self.spike_price < math.inf:
            raise ConfigError(
                f"spike_price: expected a number of 0 or more, got {self.spike_price!r}. Typical "
                "prices are 0.001 to 0.1."
            )
        if self.spikes is not None and not (self.spikes > 0.0 and self.spike_price == 0.0):
            raise ConfigError(
                f"spikes: expected a number above 0 and no spike_price, got {self.spikes!r} and "
                f"spike_price={self.spike_price!r}. Give one of them."
            )
        if self.spikes is not None and self.mixed != "none":
            raise ConfigError(
                f"spikes: expected one T for all populations, got mixed={self.mixed!r}, which has "
                "a budget already. Give one of them, or a spike_price."
            )
        if self.functions == "few-spikes" and (self.mixed != "none" or self.spikes is not None):
            raise ConfigError(
                "functions: expected one T for all populations and no number of spikes with "
                f"'few-spikes', got mixed={self.mixed!r} and spikes={self.spikes!r}. Leave both "
                "out."
            )
        if (self.spike_price or self.spikes) and not isinstance(self.scale, MinError):
            raise ConfigError(
                "spike_price: expected scales by minimum error, which weighs spikes against it, "
                f"got {self.scale}. Leave scale out."
            )

    def convert(self, prepared: Prepared) -> SpikingNetwork:
        """Convert; see :class:`LayeredConfig`. With ``spikes``, search the price first.

        Raises:
            ConfigError: If no price gives so few spikes, or as many.
        """
        if self.spikes is None:
            return super().convert(prepared)
        graph = self.placed(prepared)
        observers = {n.name: observer_of(prepared, n) for n in graph if n.op in ops.SPIKING_OPS}

        def spikes(price: float) -> float:
            priced = dataclasses.replace(self, spikes=None, spike_price=price)
            return mean_spikes(graph, priced.choose_sites(graph, observers, prepared), observers)

        price = price_for(self.spikes, spikes)
        return dataclasses.replace(self, spikes=None, spike_price=price).convert(prepared)

    def choose_code(self, graph: Graph, observers: dict[str, SiteObserver]) -> Code:
        """Return the radix code with the given k, or the one that the search finds."""
        if self.code == "signed-radix":
            return SignedRadix(T=self.T)
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

    def choose_sites(
        self, graph: Graph, observers: dict[str, SiteObserver], prepared: Prepared
    ) -> dict[str, Site]:
        """Return every site; with a price, scales and thresholds that save spikes.

        With ``mixed``, each comes from the choice for a T of its own.
        """
        if self.mixed != "none":
            by_length = {
                t: dataclasses.replace(self, T=t, mixed="none").choose_sites(
                    graph, observers, prepared
                )
                for t in lengths_around(self.T)
            }
            inputs = prepared.some_inputs(_SAMPLES, "mixed")
            errors = sensitivity(graph, by_length, inputs)
            lengths = lengths_within(self.mixed, self.T, graph, by_length, observers, errors)
            shortest = min(lengths.values())  # read-outs take in as long as what enters them
            return {n: by_length[lengths.get(n, shortest)][n] for n in by_length[self.T]}
        if not self.spike_price:
            return super().choose_sites(graph, observers, prepared)
        rule = dataclasses.replace(self.scale, price=self.spike_price)  # type: ignore[call-arg]
        free = dataclasses.replace(self, scale=rule, spike_price=0.0)
        sites = free.choose_sites(graph, observers, prepared)
        return with_thresholds(graph, sites, observers, self.spike_price)

    def neuron(self, code: Code, *, signed: bool) -> str:
        """Return the name of the neuron model of a population."""
        if isinstance(code, SignedRadix) and not signed:
            return "two-thresholds"
        return super().neuron(code, signed=signed)
