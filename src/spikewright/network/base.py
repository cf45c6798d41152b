# SPDX-License-Identifier: Apache-2.0
"""The converted network as data: a graph in units of spikes, its populations, its schedule."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.batch import batch_of, element_count
from spikewright.graph.calls import inputs_for
from spikewright.graph.ir import Graph, Inputs, Node, as_inputs
from spikewright.network.schedules import Layered, Schedule
from spikewright.network.schedules.base import Timing
from spikewright.network.schedules.layered import code_of
from spikewright.network.site import Site
from spikewright.neurons import Firing

__all__ = ["Network", "Source"]


@runtime_checkable
class Source(Protocol):
    """What a network was converted from, so that it can be converted again."""

    @property
    def prepared(self) -> Any:  # noqa: ANN401 - methods.Prepared, of a room above
        """The calibrated model."""

    @property
    def config(self) -> Any:  # noqa: ANN401 - methods.MethodConfig
        """The method's settings."""

    @property
    def changed(self) -> Any:  # noqa: ANN401 - graph.Graph | None
        """The model with its sites and the weights that preparation has given it, if it did."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Weighted layers that exchange unit spikes; everything that can be asked of them.

    Attributes:
        graph: Operators in units of the sites; biases as the schedule wants them: totals over a
            train, or those of one tick.
        sites: Site name to population, in execution order.
        schedule: When populations take in and fire.
        gate: Name of the gate that takes maxima of spikes.
        integer: Whether every weight, bias and threshold is an integer.
        input: How the input enters: ``"analog"``, ``"encoded"`` or ``"poisson"``.
        analog_relays: Which relays were left analog: paths, patterns or ``"all"``.
        analog_range: Name of an analog value to the largest one that calibration saw.
        prepared_by: Steps that have changed weights and scales on purpose; the original network's
            weights are then other ones.
        provenance: Method, settings, versions, seed, digest of the statistics, macs and so on:
            history, from which nothing is computed.
        source: What is needed to convert again at another code length; not saved to files.
    """

    graph: Graph
    sites: dict[str, Site]
    schedule: Schedule = field(default_factory=Layered)
    gate: str = "streaming-max"
    integer: bool = False
    input: str = "analog"
    analog_relays: tuple[str, ...] = ()
    analog_range: dict[str, float] = field(default_factory=dict)
    prepared_by: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    source: Source | None = field(default=None, repr=False, compare=False)

    @property
    def codes(self) -> tuple[Code, ...]:
        """The codes of its populations, each once; the read-outs' where nothing fires."""
        firing = [self.sites[n.name].code for n in self.spiking_nodes()]
        return tuple(dict.fromkeys(firing or (s.code for s in self.sites.values())))

    @property
    def code(self) -> Code:
        """The code that all populations have in common.

        Raises:
            ConfigError: If they differ; then each population says its own.
        """
        if len(self.codes) > 1:
            raise ConfigError(
                f"code: expected one for all populations, got {self.code_name}. Ask the "
                "populations: network.sites[name].code."
            )
        return self.codes[0]

    @property
    def code_name(self) -> str:
        """Names of the codes, ``"radix"`` or ``"radix + rate"``."""
        return " + ".join(dict.fromkeys(code.name for code in self.codes))

    @property
    def k(self) -> float:
        """Ratio of successive step weights; the largest where populations differ, 1 if none has."""
        return max([code.k for code in self.codes if code.k], default=1.0)

    @property
    def T(self) -> int:
        """Nominal number of time steps; those of the longest code where populations differ."""
        return max(code.T for code in self.codes)

    @property
    def steps(self) -> int:
        """Steps after which it can be read out: those of its last stage, or of the run."""
        return self.schedule.steps(self.graph, self.sites)

    @property
    def awake(self) -> int:
        """Steps of a run in which the input is on."""
        awake = self.schedule.awake(self.sites)
        return self.steps if awake is None else awake

    @property
    def neuron_name(self) -> str:
        """Names of the neuron models of what it computes, the input's own left out."""
        inner = [self.sites[n.name] for n in self.spiking_nodes() if n.op != ops.INPUT_SITE]
        every = inner or [self.sites[n.name] for n in self.spiking_nodes()]
        return " + ".join(dict.fromkeys(s.neuron for s in every)) or "no"

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the simulation: the original network's; float64 for integers."""
        return torch.float64 if self.integer else self.graph.dtype

    @property
    def device(self) -> torch.device:
        """Device on which its tensors are."""
        return next(iter(self.graph.params.values())).device

    def code_of(self, source: str) -> Code:
        """Return the code of a population's spikes, or of those that a gate passes on."""
        return code_of(self.graph, self.sites, source)

    def full(self, site: str) -> float:
        """Return how many units of a population its λ stands for: S of a train, or one spike."""
        return self.schedule.full(self.sites[site])

    def spans(self) -> dict[str, float]:
        """Return, for each population, the weight of what biases in front of it stand for.

        A layered population takes in a whole train before it fires; a synchronous one works tick
        by tick, and its graph does not depend on T.
        """
        return self.schedule.spans(self.graph, self.sites)

    def firing(self, site: str) -> Firing:
        """Return the constants that a population's neurons step with."""
        return self.sites[site].firing(self.schedule.awake(self.sites))

    def timing(self) -> Timing:
        """Return when every population works."""
        return self.schedule.timing(self.graph, self.sites)

    def timeline(self, inputs: int = 3, membranes: int = 2) -> str:
        """Draw the pipeline with several inputs in flight as text."""
        return self.timing().table(inputs, membranes)

    def to(self, device: torch.device | str) -> Self:
        """Return the network with its tensors on another device."""
        graph = self.graph.copy()
        graph.params = {n: t.to(device) for n, t in graph.params.items()}
        graph.stands_for = {n: t.to(device) for n, t in graph.stands_for.items()}
        sites = {n: s.to(device) for n, s in self.sites.items()}
        return dataclasses.replace(self, graph=graph, sites=sites)

    def spiking_nodes(self) -> list[Node]:
        """Return the nodes of populations that fire, in execution order."""
        return [n for n in self.graph if n.op in ops.SPIKING_OPS]

    def neurons(self) -> dict[str, int]:
        """Return the neurons of each firing population; an ON/OFF pair counts as two."""
        return {
            n.name: element_count(n.shape) * (2 if self.sites[n.name].signed else 1)
            for n in self.spiking_nodes()
        }

    def check_input(self, x: Inputs | Mapping[str, Any]) -> Inputs:
        """Return the input (or inputs) in the network's type, on its device, maps channels last.

        Convolutions are up to half as slow again with channels first (CPU).

        Args:
            x: The input, a tuple of all inputs, or a dictionary of keyword arguments.

        Raises:
            ShapeError: If its shape is not the one that the network was captured with.
        """
        if isinstance(x, Mapping):
            named = inputs_for(self.graph, **x)
            x = named if len(named) > 1 else named[0]
        advice = "Resize the input, or convert again with an example of this size."
        self.graph.check_input(x, "input", advice)
        found = tuple(self._as_own(value) for value in as_inputs(x))
        return found[0] if isinstance(x, Tensor) else found

    def _as_own(self, x: Tensor) -> Tensor:
        x = x.to(self.device, self.dtype) if x.is_floating_point() else x.to(self.device)
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def samples_first(self, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return outputs with their samples on the first axis, wherever the network has them."""
        at = [batch_of(self.graph[name].shape) for name in self.graph.outputs]
        return tuple(a.first(value) for a, value in zip(at, outputs, strict=True))
