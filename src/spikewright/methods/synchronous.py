# SPDX-License-Identifier: Apache-2.0
"""What rate-coded methods share: every layer steps at every tick, a value is a mean of spikes."""

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from spikewright.calibration import Percentile, ScaleRule
from spikewright.codes import Code, Rate
from spikewright.errors import ConfigError
from spikewright.graph import Graph, Node, fold_units, ops
from spikewright.graph.activation import function_of
from spikewright.graph.bias import add_bias
from spikewright.methods.base import MethodConfig, Prepared, observer_of, shaped, silent_site
from spikewright.network import Schedule, Site, SpikingNetwork, Synchronous

__all__ = ["ScaledConfig", "SynchronousConfig", "input_scale"]


@dataclass(frozen=True, kw_only=True)
class SynchronousConfig(MethodConfig):
    """Settings of every rate-coded method.

    A site of scale λ sends spikes worth λ each: a ≈ λ·N/T. A method says which neuron it uses and
    how it chooses every λ (by a rule: see :class:`ScaledConfig`); all else is here.

    Attributes:
        T: Time steps, ≥ 1.
        v_init: Initial potential of rectified neurons as a share of θ, in [0, 1). ½ turns flooring
            into rounding.
        input: ``"analog"`` (constant current), ``"encoded"`` (regular spikes of soft-reset
            neurons) or ``"poisson"`` (random spikes of that mean; the same draws in every run).
        pool: How maxima of spikes are taken: ``"lateral-inhibition"`` (exact at every step) or
            ``"accumulated-count"`` (the usual approximation), or ``"spike-max"`` (the OR of each
            step, for networks trained with it).
        analog_relays: Module paths, ``"re:…"`` patterns or ``"all"``: relays that stay analog;
            their current passes through at every tick.
        seed: Where the random numbers of Poisson input start.
    """

    anytime: ClassVar[bool] = True
    starts_at_zero: ClassVar[str | None] = None
    """Why ``v_init`` must stay 0, if it must."""

    T: int = 64
    v_init: float = 0.0
    input: Literal["analog", "encoded", "poisson"] = "analog"
    pool: Literal["lateral-inhibition", "accumulated-count", "spike-max"] = "lateral-inhibition"
    analog_relays: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        Rate(T=self.T)
        if not 0.0 <= self.v_init < 1.0:
            raise ConfigError(
                f"v_init: expected a share of the threshold in [0, 1), got {self.v_init}. "
                "From 1 on a neuron would fire without input."
            )
        if self.v_init and self.starts_at_zero:
            raise ConfigError(
                f"v_init: expected 0, {self.starts_at_zero}, got {self.v_init}. Leave it out."
            )

    def schedule(self) -> Schedule:
        """Return the schedule."""
        return Synchronous()

    def neuron(self) -> str:
        """Return the name of the neuron model."""
        return "if-soft"

    def input_neuron(self) -> str:
        """Return the name of the neuron model that turns the input into spikes."""
        return "poisson" if self.input == "poisson" else "if-soft"

    def leakage(self) -> float:
        """Return τ, the share of the potential that is left after a step; 1 keeps all."""
        return 1.0

    def firing_threshold(self) -> float:
        """Return θ in the unit of λ; 1 makes spikes worth what they cost."""
        return 1.0

    def largest_burst(self) -> int:
        """Return Γ, the most spikes of a neuron in one step."""
        return 1

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return λ of every population, and what is added to its current in every step.

        Args:
            graph: The network with its sites, in its own numbers.
            prepared: What calibration found.

        Returns:
            Site to λ, and site to an added current in the network's own numbers, of the same
            forms ("channels" or ""); sites may be left out of the latter.
        """
        raise NotImplementedError

    def initial(self, node: Node) -> float:
        """Return the initial potential of a population as a share of θ; 0 for signed ones."""
        return 0.0 if node.op == ops.RELAY else self.v_init

    def choose_code(self, graph: Graph) -> Code:
        """Return the code: counts over T steps."""
        return Rate(T=self.T)

    def convert(self, prepared: Prepared) -> SpikingNetwork:
        """Place sites, choose every λ, and fold them into weights.

        Raises:
            UnsupportedModuleError: If the model holds something that the method cannot take.
            CalibrationError: If the statistics lack a site.
        """
        graph = self.placed(prepared)
        self.check_graph(graph)
        scales, shifts = self.choose_scales(graph, prepared)
        code = self.choose_code(graph)
        sites, units = {}, {}
        for node in graph:
            if ops.kind(node) == "site":
                site = self._site(node, code, scales, prepared)
                sites[node.name] = site
                if node.op in ops.SPIKING_OPS:
                    units[node.name] = shaped(site.scale, site.channel_axis, node)
        for name, shift in shifts.items():
            graph = add_bias(graph, name, shaped(shift, sites[name].channel_axis, graph[name]))
            sites[name] = dataclasses.replace(sites[name], shift=shift)
        return self.network(prepared, fold_units(graph, units), sites, self.schedule(), self.pool)

    def check_graph(self, graph: Graph) -> None:
        """Refuse a network that the method cannot take; by default all can be."""

    def _site(self, node: Node, code: Code, scales: dict[str, Tensor], prepared: Prepared) -> Site:
        if node.op not in ops.SPIKING_OPS:
            return silent_site(node, code)
        axis = prepared.channel_axis(node)
        signed = node.op == ops.RELAY or node.name in prepared.signed_inputs
        at_input = node.op == ops.INPUT_SITE
        scale = input_scale(prepared, node) if at_input else scales[node.name]
        return Site(
            name=node.name,
            code=code,
            neuron=self.input_neuron() if at_input else self.neuron(),
            function=function_of(node),
            signed=signed,
            channel_axis=1 if axis is None else axis,
            scale=scale,
            threshold=torch.tensor(1.0 if at_input else self.firing_threshold()),
            pre_bias=torch.tensor(0.0 if at_input else self.initial(node)),
            gamma=1 if at_input else self.largest_burst(),
            leak=1.0 if at_input else self.leakage(),
            seed=self.seed,
        )


def input_scale(prepared: Prepared, node: Node) -> Tensor:
    """Return the largest input seen, which a spike at every step stands for (or 1 if all are 0)."""
    largest = observer_of(prepared, node).histogram.max.max().float()
    return torch.where(largest > 0, largest, torch.ones_like(largest))


@dataclass(frozen=True, kw_only=True)
class ScaledConfig(SynchronousConfig):
    """Settings of rate-coded methods that choose λ by a rule from what calibration has seen.

    Attributes:
        scale: How λ is chosen.
        per_channel: One λ a channel or one a layer (default, as in the papers).
    """

    scale: ScaleRule = field(default_factory=Percentile)
    per_channel: bool = False

    def rounds(self) -> bool:
        """Tell whether neurons round their totals; else they floor them."""
        return self.v_init > 0.0

    def choose_scale(self, graph: Graph, node: Node, prepared: Prepared) -> Tensor:
        """Return λ of a population, "channels" or "".

        The value of a neuron is bounded by Γ·λ. Where the network itself clips at a cap (ReLU6),
        λ is cap/Γ, so that the bound is the cap (ours; the papers' networks have plain ReLU).
        """
        axis, cap, gamma = prepared.channel_axis(node), node.kwargs.get("cap"), self.largest_burst()
        scale = self.scale.scale(
            observer_of(prepared, node).histogram,
            Rate(T=self.T),
            per_channel=self.per_channel and axis is not None,
            rounding=self.rounds(),
            cap=cap,
        )
        return torch.full_like(scale, cap / gamma) if cap is not None and gamma > 1 else scale

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return λ of every population; nothing is added to the currents."""
        spiking = [n for n in graph if n.op in ops.SPIKING_OPS and n.op != ops.INPUT_SITE]
        return {n.name: self.choose_scale(graph, n, prepared) for n in spiking}, {}
