# SPDX-License-Identifier: Apache-2.0
"""SpikeConverter: inverse-LIF neurons, soft reset, temporal separation (Liu et al., AAAI 2022).

A value a ≥ 0 of scale λ travels as a train s[1..T] with a = λ·Σ_t s[t] k^(T-t) / S, where
S = Σ_t k^(T-t). A layer accumulates its whole input with inflation k, then fires greedily with soft
reset, so its train is exact up to one unit: with k = 2 it is the T-bit binary code of the value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from spikewright.calibration import RULES, MinError, ScaleRule, SiteObserver, search_k
from spikewright.codes import Radix
from spikewright.errors import CalibrationError, ConfigError
from spikewright.graph import Graph, Node, fold_units, ops, place_sites
from spikewright.methods.base import (
    INPUT_STATISTICS,
    MethodConfig,
    Prepared,
    channel_axis,
    versions,
)
from spikewright.network import Site, SpikingNetwork

__all__ = ["SpikeConverter"]

K_GRID = (1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)
"""Where k is searched. The paper searches k too; its grid is not public, this one is ours."""


@dataclass(frozen=True, kw_only=True)
class SpikeConverter(MethodConfig):
    """Settings of SpikeConverter.

    Attributes:
        T: Time steps of a train, ≥ 1. The paper uses 16.
        k: Inflation per step, 1 < k ≤ 2; 2 is the binary code. None searches it on a grid by the
            conversion error, one k for the network.
        scale: How λ is chosen. The paper minimises a conversion-error function that is not
            public; ours is the mean squared error of decode(encode(a)) on the calibration data.
        per_channel: One λ a channel (default) or one a layer.
        rounding: Add half a unit before firing, so that values are rounded, not floored. Ours.
        extra_step: One more firing step of weight 1/k, which the paper offers for precision.
        input: ``"analog"`` (the image is a constant current) or ``"encoded"`` (it enters as
            spikes of the same code; negative inputs as ON/OFF pairs).
        analog_relays: Module paths, ``"re:…"`` patterns or ``"all"``: relays that stay analog.
    """

    name: ClassVar[str | None] = "spikeconverter"

    T: int = 16
    k: float | None = 2.0
    scale: ScaleRule = field(default_factory=MinError)
    per_channel: bool = True
    rounding: bool = True
    extra_step: bool = False
    input: Literal["analog", "encoded"] = "analog"
    analog_relays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every setting."""
        Radix(k=2.0 if self.k is None else self.k, T=self.T, extra_step=self.extra_step)
        if not hasattr(self.scale, "scale"):
            raise ConfigError(
                f"scale: expected MinError(), Percentile(q) or Max(), got {self.scale!r}."
            )
        if self.input not in ("analog", "encoded"):
            raise ConfigError(f"input: expected 'analog' or 'encoded', got {self.input!r}.")
        if isinstance(self.analog_relays, str):
            raise ConfigError(
                "analog_relays: expected a list of module paths, got the text "
                f"{self.analog_relays!r}."
            )
        object.__setattr__(self, "analog_relays", tuple(self.analog_relays))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild settings; a scale rule may be given as its own dictionary."""
        rest = dict(data)
        scale = rest.get("scale")
        if isinstance(scale, Mapping):
            rest["scale"] = RULES[str(scale.get("name", ""))].from_dict(scale)
        if isinstance(rest.get("analog_relays"), list):
            rest["analog_relays"] = tuple(rest["analog_relays"])
        return super().from_dict(rest)

    def convert(self, prepared: Prepared) -> SpikingNetwork:
        """Place sites, choose k and every λ, and fold them into weights.

        Raises:
            UnsupportedModuleError: If the model holds something that cannot be taken.
            CalibrationError: If the statistics lack a site.
        """
        graph = place_sites(
            prepared.graph, encode_input=self.input == "encoded", analog_relays=self.analog_relays
        )
        observers = {n.name: _observer(prepared, n) for n in graph if n.op in ops.SPIKING_OPS}
        k = self.k or self._search_k(graph, observers)
        code = Radix(k=k, T=self.T, extra_step=self.extra_step)
        sites, units = {}, {}
        for node in graph:
            if ops.kind(node) == "site":
                site = self._site(graph, node, observers.get(node.name), code, prepared)
                sites[node.name] = site
                if node.op in ops.SPIKING_OPS:
                    units[node.name] = shaped(site.scale, site.channel_axis, node) / code.max_value
        folded = fold_units(graph, units)
        ranges = {
            n: float(o.histogram.max.max())
            for n, o in prepared.statistics.items()
            if n in folded.nodes and ops.kind(folded[n]) != "site"
        }
        return SpikingNetwork(
            graph=folded,
            sites=sites,
            code=code,
            provenance=self._provenance(prepared, ranges),
            source=(prepared, self),
        )

    def _search_k(self, graph: Graph, observers: dict[str, SiteObserver]) -> float:
        return search_k(
            [o.histogram for o in observers.values()],
            self.T,
            self.extra_step,
            K_GRID,
            self.rounding,
            self.scale,
            per_channel=self.per_channel,
            caps=[graph[n].kwargs.get("cap") for n in observers],
        )

    def _site(
        self,
        graph: Graph,
        node: Node,
        observer: SiteObserver | None,
        code: Radix,
        prepared: Prepared,
    ) -> Site:
        axis = channel_axis(graph, node)
        one, half = torch.tensor(1.0), torch.tensor(0.5 if self.rounding else 0.0)
        if observer is None:  # a read-out or a relay left analog: nothing is encoded
            return Site(
                name=node.name,
                channel_axis=axis or 1,
                scale=one,
                threshold=one.clone(),
                pre_bias=torch.tensor(0.0),
            )
        scale = self.scale.scale(
            observer.histogram,
            code,
            per_channel=self.per_channel and axis is not None,
            rounding=self.rounding,
            cap=node.kwargs.get("cap"),
        )
        signed = node.op == ops.RELAY or (node.op == ops.INPUT_SITE and prepared.input_signed)
        return Site(
            name=node.name,
            signed=signed,
            channel_axis=axis or 1,
            scale=scale,
            threshold=one,
            pre_bias=half,
        )

    def _provenance(self, prepared: Prepared, ranges: dict[str, float]) -> dict[str, Any]:
        return {
            "model": prepared.title,
            "method": self.name,
            "config": self.to_dict(),
            "versions": versions(),
            "calibration_samples": prepared.statistics.samples,
            "statistics_digest": prepared.statistics.digest(),
            "analog_range": ranges,
        }


def _observer(prepared: Prepared, node: Node) -> SiteObserver:
    name = INPUT_STATISTICS if node.op == ops.INPUT_SITE else node.name
    if name not in prepared.statistics:
        raise CalibrationError(
            f"{node.where()}: expected statistics of this site, got none. "
            "They belong to another model or release; calibrate again."
        )
    return prepared.statistics[name]


def shaped(scale: Tensor, axis: int, node: Node) -> Tensor:
    """Return a scale per channel shaped to broadcast with a site's value without its batch."""
    if scale.ndim == 0:
        return scale
    size = [1] * (len(node.shape or ()) - 1)
    size[axis - 1] = -1
    return scale.reshape(size)
