# SPDX-License-Identifier: Apache-2.0
"""What methods with the layered schedule share: accumulate a whole train, then fire one."""

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from spikewright.calibration import MinError, ScaleRule, SiteObserver
from spikewright.calibration.few_spikes import FIT_STEPS
from spikewright.codes import Code
from spikewright.errors import ConfigError
from spikewright.graph import Graph, Node, fold_units, ops, place_curves
from spikewright.graph.activation import function_of
from spikewright.methods.base import MethodConfig, Prepared, observer_of, shaped, silent_site
from spikewright.methods.few_spikes import with_few_spikes
from spikewright.methods.streams import choose_streams
from spikewright.network import Layered, Site, SpikingNetwork
from spikewright.preparation import Preparation, Step, preparation_of, ways_of

__all__ = ["LayeredConfig"]


@dataclass(frozen=True, kw_only=True)
class LayeredConfig(MethodConfig):
    """Settings of every method with the layered schedule.

    Attributes:
        T: Time steps of a train, ≥ 1.
        scale: How λ is chosen.
        per_channel: One λ a channel or one a layer.
        rounding: Add half a unit before firing, so that values are rounded, not floored.
        input: ``"analog"`` (the image is a constant current) or ``"encoded"`` (it enters as
            spikes of the same code; negative inputs as ON/OFF pairs).
        analog_relays: Module paths, ``"re:…"`` patterns or ``"all"``: relays that stay analog.
        prepare: What is done to weights and scales for short trains, without labels: steps or
            their names in order, ``"none"`` (default) or ``"auto"``, which chooses by T.
        functions: How GELU, SiLU, sigmoid and other functions of one potential are computed: by
            function units in front of the neurons (``"unit"``), or by the spikes of few-spikes
            neurons with thresholds, resets and weights fitted to the function on calibration
            inputs (``"few-spikes"``, T from 2 to 16; Stöckl and Maass, 2021). Functions of a
            group have units in either case.
    """

    whole_trains: ClassVar[bool] = True

    T: int = 16
    scale: ScaleRule = field(default_factory=MinError)
    per_channel: bool = True
    rounding: bool = True
    input: Literal["analog", "encoded"] = "analog"
    analog_relays: tuple[str, ...] = ()
    prepare: Preparation = "none"
    functions: Literal["unit", "few-spikes"] = "unit"

    def __post_init__(self) -> None:
        """Check every setting; make steps of their names."""
        super().__post_init__()
        object.__setattr__(self, "prepare", preparation_of(self.prepare))
        if self.functions == "few-spikes" and self.prepare != preparation_of("none"):
            raise ConfigError(
                "functions: expected prepare=\"none\" with 'few-spikes', whose neurons are fitted "
                f"to their function as it is, got {self.prepare!r}. Leave one of them out."
            )
        if self.functions == "few-spikes" and self.T not in FIT_STEPS:
            raise ConfigError(
                f"functions: expected T from {FIT_STEPS[0]} to {FIT_STEPS[-1]} with 'few-spikes', "
                f"got {self.T}. Choose T within."
            )

    def ways(self) -> tuple[tuple[Step, ...], ...]:
        """Return the steps that ``prepare`` names, or those that ``"auto"`` chooses from."""
        return ways_of(self.prepare, self.T)

    def placed(self, prepared: Prepared) -> Graph:
        """Return the original network with its sites; see :meth:`MethodConfig.placed`."""
        graph = super().placed(prepared)
        return place_curves(graph) if self.functions == "few-spikes" else graph

    def choose_code(self, graph: Graph, observers: dict[str, SiteObserver]) -> Code:
        """Return the network's code; the statistics may be asked."""
        raise NotImplementedError

    def convert(self, prepared: Prepared) -> SpikingNetwork:
        """Place sites, choose code, every λ and what products hold, and fold λ into weights.

        Raises:
            UnsupportedModuleError: If the model holds something that cannot be taken.
            CalibrationError: If the statistics lack a site.
        """
        graph = self.placed(prepared)
        observers = {n.name: observer_of(prepared, n) for n in graph if n.op in ops.SPIKING_OPS}
        sites = self.choose_sites(graph, observers, prepared)
        sites, entering, fits = with_few_spikes(graph, sites, prepared, self.T)
        units = {
            name: shaped(site.scale, site.channel_axis, graph[name]) / site.code.max_value
            for name, site in sites.items()
            if name in observers
        }
        graph, streams = choose_streams(graph, sites, units, observers | entering)
        network = self.network(prepared, fold_units(graph, units), sites, Layered())
        chosen = [dataclasses.asdict(stream) for stream in streams]
        more = {n: v for n, v in (("products", chosen), ("few_spikes", fits)) if v}
        return dataclasses.replace(network, provenance={**network.provenance, **more})

    def choose_sites(
        self, graph: Graph, observers: dict[str, SiteObserver], prepared: Prepared
    ) -> dict[str, Site]:
        """Return every site with its code and its scales; by default all have one code."""
        code = self.choose_code(graph, observers)
        return {
            node.name: self._site(node, observers.get(node.name), code, prepared)
            for node in graph
            if ops.kind(node) == "site"
        }

    def neuron(self, code: Code, *, signed: bool) -> str:
        """Return the name of the neuron model of a population."""
        return "inverse-lif" if code.greedy else "encoder"

    def _site(
        self,
        node: Node,
        observer: SiteObserver | None,
        code: Code,
        prepared: Prepared,
    ) -> Site:
        if observer is None:
            return silent_site(node, code)
        axis = observer.channel_axis
        scale = _level_scale(node, code, prepared.graph.dtype)
        if scale is None:
            scale = self.scale.scale(
                observer.histogram,
                code,
                per_channel=self.per_channel and axis is not None,
                rounding=self.rounding,
                cap=node.kwargs.get("cap"),
            )
        signed = node.op == ops.RELAY or node.name in prepared.signed_inputs
        return Site(
            name=node.name,
            code=code,
            neuron=self.neuron(code, signed=signed),
            function=function_of(node),
            signed=signed,
            channel_axis=1 if axis is None else axis,
            scale=scale,
            threshold=torch.tensor(1.0),
            pre_bias=torch.tensor(0.5 if self.rounding else 0.0),
        )


def _level_scale(node: Node, code: Code, dtype: torch.dtype) -> Tensor | None:
    """Return the λ with which a site fires the levels it was trained with, if it can.

    A unit is then the height of a level, so no level is rounded; the site's function clips at the
    top. None for codes that cannot write L levels of one height: k between 1 and 2, or S < L.
    """
    levels = node.kwargs.get("levels")
    if levels is None or code.k not in (1.0, 2.0) or code.max_value < levels:
        return None
    return torch.tensor(float(node.kwargs["cap"]) / levels * code.max_value, dtype=dtype)
