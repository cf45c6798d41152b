# SPDX-License-Identifier: Apache-2.0
"""The converted network: a graph in units of spikes, its populations, its code and its history."""

import copy
import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from spikewright.codes import Code
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.batch import batch_of, element_count
from spikewright.graph.calls import inputs_for
from spikewright.graph.ir import Graph, Inputs, Node, as_inputs
from spikewright.network.schedule import LayeredSchedule, depths, layered_schedule
from spikewright.network.synchronous import SynchronousSchedule
from spikewright.neurons import Firing

__all__ = ["ScheduleKind", "Site", "SpikingNetwork"]


@runtime_checkable
class Source(Protocol):
    """What a network was converted from, so that it can be converted again."""

    @property
    def prepared(self) -> Any:  # noqa: ANN401 - methods.Prepared, of a room above
        """The calibrated model."""

    @property
    def config(self) -> Any:  # noqa: ANN401 - methods.MethodConfig
        """The method's settings."""


ScheduleKind = Literal["layered", "synchronous", "wake-sleep"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A population of neurons, or a read-out.

    Attributes:
        name: Name of its node in the graph.
        signed: Whether every element is an ON/OFF pair, whose spikes carry + and −.
        channel_axis: Axis of the value (batch counted) that runs over channels.
        scale: λ > 0, the original network's value that a full train stands for; ``"channel"``
            or one for all, ``""``.
        threshold: V_th > 0 in the unit of the accumulated input, of the same two forms shaped to
            broadcast with the value. It is 1 after weight normalisation; integer networks have
            integers.
        pre_bias: Charge that a neuron is given before it can fire, in the unit of ``threshold``:
            half a threshold turns flooring into rounding. Neurons of the layered schedule get it
            between accumulating and firing, others start with it (their ``v_init``). Integer
            networks add what their biases lack.
        gamma: Γ ≥ 1, the most spikes of a neuron in one step.
        neuron: Name of its neuron model; that of the network if empty.
        leak: τ in [0, 1], share of the potential that is left after a step, for neurons that leak.
        seed: Where its random numbers start, if it draws any.
        shift: What the method adds to the current on purpose, in the original network's numbers,
            of the same two forms as ``scale``; it is in the graph's biases already.
    """

    name: str
    signed: bool = False
    channel_axis: int = 1
    scale: Tensor
    threshold: Tensor
    pre_bias: Tensor
    gamma: int = 1
    neuron: str = ""
    leak: float = 1.0
    seed: int = 0
    shift: Tensor = field(default_factory=lambda: torch.tensor(0.0))

    def broadcast(self, value: Tensor, ndim: int) -> Tensor:
        """Shape one number a channel, or one for all, to broadcast with the population's value."""
        if value.ndim == 0:
            return value
        size = [1] * ndim
        size[self.channel_axis] = -1
        return value.reshape(size)

    def firing(self) -> Firing:
        """Return the constants that its neurons step with."""
        return Firing(
            threshold=plain(self.threshold),
            v_init=plain(self.pre_bias),
            gamma=self.gamma,
            signed=self.signed,
            leak=self.leak,
            seed=self.seed,
        )


def plain(value: Tensor) -> float | Tensor:
    """Return a tensor of one element as a number (cheaper arithmetic), any other as it is."""
    return float(value) if value.numel() == 1 else value


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingNetwork:
    """A network whose weighted layers exchange unit spikes.

    It is called like the model it was converted from, ``snn(x)``, and returns what the model
    returns, so that a loop written for the model runs it as it is.

    Attributes:
        graph: Operators in units of the sites, biases and the input as totals over ``span``.
        sites: Site name to population, in execution order.
        code: How a number becomes a train.
        neuron: Name of the neuron model.
        gate: Name of the gate that takes maxima of spikes.
        schedule_kind: ``"layered"``, ``"synchronous"`` or ``"wake-sleep"``.
        integer: Whether every weight, bias and threshold is an integer.
        provenance: Method, settings, versions, seed, digest of the statistics, macs and so on.
        source: What is needed to convert again at another code length; not saved to files.
    """

    graph: Graph
    sites: dict[str, Site]
    code: Code
    neuron: str = "inverse-lif"
    gate: str = "streaming-max"
    schedule_kind: ScheduleKind = "layered"
    integer: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)
    source: Source | None = field(default=None, repr=False, compare=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the model
        """Run a batch through the fastest simulator of the network's schedule.

        Args:
            *args: What the original model takes, in any of its forms.
            **kwargs: Likewise, by name.

        Returns:
            The outputs after the last step, nested as the original model nests them, without
            gradients. Several threads may call at once.

        Raises:
            ShapeError: If the arguments are not those that the model was captured with.
        """
        inputs = inputs_for(self.graph, *args, **kwargs)
        given = self.check_input(inputs if len(inputs) > 1 else inputs[0])
        with torch.no_grad():
            return self.graph.results.build(self._simulator(given))

    @property
    def _simulator(self) -> Callable[[Inputs], tuple[Tensor, ...]]:
        """The fastest simulator, compiled once for every thread (a run's state is its own)."""
        own = self._threads
        if not hasattr(own, "simulator"):
            # The room above: what runs networks is found by name, as methods and neurons are.
            own.simulator = import_module("spikewright.simulators").simulator(self)
        found: Callable[[Inputs], tuple[Tensor, ...]] = own.simulator
        return found

    @cached_property
    def _threads(self) -> threading.local:
        return threading.local()

    def eval(self) -> Self:
        """Return the network itself, which is always in evaluation mode."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Return the network itself for ``mode=False``; it cannot be trained.

        Raises:
            ConfigError: For ``mode=True``.
        """
        if mode:
            raise ConfigError(
                "train: expected mode=False, a converted network cannot be trained. Train the "
                "model (spikewright.train), then convert it."
            )
        return self

    def _equality(self) -> str:
        law = self.provenance.get("equality")
        if self.integer:
            return "weights rounded to integers on purpose"
        if law is None:
            return "not checked against the model"
        worst = max(law["difference"], law["original"])
        return (
            f"with exact neurons it computes the model, to {worst:.0e} ({law['inputs']} inputs; "
            f"allowed {law['tolerance']:g})"
        )

    def as_module(self) -> nn.Module:
        """Return the network as an ``nn.Module`` without parameters, for code that insists."""
        return _Module(self)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        neurons = self.neurons()
        return (
            f"SpikingNetwork({self.provenance.get('model', 'network')} by "
            f"{self.provenance.get('method', '?')}, T={self.T}, {self.code.name} code, "
            f"{self.schedule_kind}, {sum(neurons.values()):,} neurons in {len(neurons)} "
            f"populations{', integer' if self.integer else ''})"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "SpikingNetwork":
        """Return a network with tensors of its own; what it was converted from is shared."""
        graph = self.graph.copy()
        graph.params = {n: t.clone() for n, t in graph.params.items()}
        return dataclasses.replace(
            self, graph=graph, sites=dict(self.sites), provenance=copy.deepcopy(self.provenance)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the network's own file format, without what it was converted from."""
        files = import_module("spikewright.network.files")
        return files.from_bytes, (files.to_bytes(self),)

    @property
    def T(self) -> int:
        """Nominal number of time steps of the code."""
        return self.code.T

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the simulation: the original network's; float64 for integers."""
        return torch.float64 if self.integer else self.graph.dtype

    @property
    def awake(self) -> int:
        """Ticks of a run in which the input is on."""
        return self.code.T if self.schedule_kind == "wake-sleep" else self.code.steps

    @property
    def device(self) -> torch.device:
        """Device on which its tensors are."""
        return next(iter(self.graph.params.values())).device

    @property
    def span(self) -> float:
        """Weight of what the graph's biases stand for: a whole train S, or one tick.

        A layered population reads a whole train before it fires; a synchronous one works tick by
        tick, and its graph does not depend on T.
        """
        return self.code.max_value if self.schedule_kind == "layered" else 1.0

    def firing(self, site: str) -> Firing:
        """Return the constants that a population's neurons step with."""
        wake = self.awake if self.schedule_kind == "wake-sleep" else None
        return dataclasses.replace(self.sites[site].firing(), wake=wake)

    def schedule(self) -> LayeredSchedule | SynchronousSchedule:
        """Return when every population works."""
        if self.schedule_kind == "layered":
            return layered_schedule(self.graph, self.code.steps)
        depth = max(depths(self.graph).values())
        return SynchronousSchedule(self.code.steps, depth, self.code.steps - self.awake)

    def neuron_of(self, site: str) -> str:
        """Return the name of a population's neuron model."""
        return self.sites[site].neuron or self.neuron

    def timeline(self, inputs: int = 3, membranes: int = 2) -> str:
        """Draw the pipeline with several inputs in flight as text."""
        return self.schedule().table(inputs, membranes)

    def to(self, device: torch.device | str) -> "SpikingNetwork":
        """Return the network with its tensors on another device."""
        graph = self.graph.copy()
        graph.params = {n: t.to(device) for n, t in graph.params.items()}
        graph.stands_for = {n: t.to(device) for n, t in graph.stands_for.items()}
        sites = {
            n: dataclasses.replace(
                s,
                scale=s.scale.to(device),
                shift=s.shift.to(device),
                threshold=s.threshold.to(device),
                pre_bias=s.pre_bias.to(device),
            )
            for n, s in self.sites.items()
        }
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

    def check_input(self, x: Inputs) -> Inputs:
        """Return the input (or inputs) in the network's type, on its device, maps channels last.

        Convolutions are up to half as slow again with channels first (CPU).

        Raises:
            ShapeError: If its shape is not the one that the network was captured with.
        """
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

    def save(self, path: Any) -> None:  # noqa: ANN401 - str or os.PathLike
        """Write the network to one safetensors file; see :func:`spikewright.network.save`."""
        from spikewright.network.files import save

        save(self, path)

    def to_integer(self, **options: Any) -> "SpikingNetwork":  # noqa: ANN401 - see integer.to_integer
        """Return the network in integer arithmetic; see :func:`spikewright.network.to_integer`."""
        from spikewright.network.integer import to_integer

        return to_integer(self, **options)

    def summary(self) -> str:
        """Return what the network is, in a few lines."""
        schedule, neurons = self.schedule(), self.neurons()
        relays = [n for n in self.graph if n.op == ops.RELAY]
        analog = [n for n in self.graph if n.op == ops.ANALOG_RELAY]
        gates = [n for n in self.graph if ops.kind(n) == "pool"]
        method = self.provenance.get("method", "?")
        lines = [
            f"{self.provenance.get('model', 'network')} converted by {method}"
            + (" in integer arithmetic" if self.integer else ""),
            f"  code        {self.code.name}, "
            + (f"k = {self.code.k:g}, " if self.code.k != 1.0 else "")
            + f"{self.code.steps} steps; {self.schedule_kind} schedule",
            f"  neurons     {sum(neurons.values()):,} {self.neuron} in {len(neurons)} populations"
            f" ({len(relays)} relays), {len(gates)} max-pool gates"
            + (f", {len(analog)} relays left analog" if analog else ""),
            f"  latency     {schedule.latency_ticks} ticks from input to decision",
            f"  throughput  one input every {schedule.ticks_per_input(2)} ticks with two membranes "
            f"a neuron, {schedule.ticks_per_input(1)} with one",
            f"  equality    {self._equality()}",
            *(f"  note        {note}" for note in self.graph.notes),
        ]
        return "\n".join(lines)


class _Module(nn.Module):
    """A spiking network inside an ``nn.Module``."""

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self.network = network
        self.training = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the model
        """Run the network; see :meth:`SpikingNetwork.__call__`."""
        return self.network(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the network where ``.to`` moves a module; its type of numbers stays."""
        self.network = self.network.to(fn(torch.empty(0, device=self.network.device)).device)
        return self
