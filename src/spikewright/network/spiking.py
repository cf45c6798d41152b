# SPDX-License-Identifier: Apache-2.0
"""The converted network as its users hold it: called like the model, saved, rounded, described."""

import copy
import dataclasses
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikewright.codes import Code
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.calls import inputs_for
from spikewright.graph.function_work import function_work
from spikewright.graph.ir import Graph, Inputs
from spikewright.graph.tail import tail_macs
from spikewright.network import files, integer
from spikewright.network.base import Network
from spikewright.network.schedules.base import Timing
from spikewright.text import counted

__all__ = ["SpikingNetwork", "load"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingNetwork(Network):
    """A network whose weighted layers exchange unit spikes; :class:`Network` has its attributes.

    It is called like the model it was converted from, ``snn(x)``, and returns what the model
    returns, so that a loop written for the model runs it as it is.
    """

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
        before = " before its weights were prepared" if self.prepared_by else ""
        return (
            f"with exact neurons it computes the model{before}, to {worst:.0e} "
            f"({law['inputs']} inputs; allowed {law['tolerance']:g})"
        )

    def _arithmetic(self) -> list[str]:
        """Return the line that tells with what numbers an integer network is simulated."""
        if not self.integer:
            return []
        said = getattr(self._simulator, "arithmetic", "float64, exact whole numbers")
        return [f"  arithmetic  {said}"]

    def _prepared(self) -> list[str]:
        """Return the lines that tell how weights were changed, if they were."""
        history = self.provenance.get("preparation", {})
        if not self.prepared_by and not history:
            return []
        line = f"  prepared    {', '.join(self.prepared_by) or 'no'}"
        if history.get("inputs"):
            line += f", on {history['inputs']} calibration inputs without labels"
        return [line, *(f"              {text}" for text in history.get("said", []))]

    def as_module(self) -> nn.Module:
        """Return the network as an ``nn.Module`` without parameters, for code that insists."""
        return _Module(self)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        neurons = self.neurons()
        return (
            f"SpikingNetwork({self.provenance.get('model', 'network')} by "
            f"{self.provenance.get('method', '?')}, T={self.T}, {self.code_name} code, "
            f"{self.schedule.name}, {sum(neurons.values()):,} neurons in {len(neurons)} "
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
        return _from_bytes, (files.to_bytes(self),)

    def save(self, path: Any) -> None:  # noqa: ANN401 - str or os.PathLike
        """Write the network to one safetensors file; see :func:`spikewright.network.save`."""
        files.save(self, path)

    def to_integer(self, **options: Any) -> Self:  # noqa: ANN401 - see integer.to_integer
        """Return the network in integer arithmetic; see :func:`spikewright.network.to_integer`."""
        return integer.to_integer(self, **options)

    def summary(self) -> str:
        """Return what the network is, in a few lines."""
        timing, neurons = self.timing(), self.neurons()
        relays = [n for n in self.graph if n.op == ops.RELAY]
        analog = [n for n in self.graph if n.op == ops.ANALOG_RELAY]
        gates = [n for n in self.graph if ops.kind(n) == "pool"]
        method = self.provenance.get("method", "?")
        codes = "; ".join(map(_code_text, self.codes))
        lines = [
            f"{self.provenance.get('model', 'network')} converted by {method}"
            + (" in integer arithmetic" if self.integer else ""),
            f"  code        {codes}; {self.schedule.name} schedule",
            f"  neurons     {sum(neurons.values()):,} {self.neuron_name} in "
            f"{len(neurons)} populations ({len(relays)} relays), {len(gates)} max-pool gates"
            + (f", {len(analog)} relays left analog" if analog else ""),
            *_speed(timing, settles=getattr(self.schedule, "settles", False)),
            *_functions(self.graph),
            *_few_spikes(self),
            *_products(self.graph),
            *_behind(self.graph),
            f"  equality    {self._equality()}",
            *self._arithmetic(),
            *self._prepared(),
            *(f"  note        {note}" for note in self.graph.notes),
        ]
        return "\n".join(lines)


def _speed(timing: Timing, *, settles: bool) -> list[str]:
    """Return the lines that tell how long an input takes and how soon the next one follows."""
    if settles:
        return [
            f"  latency     {timing.latency_ticks} ticks from input to decision at most, a bound: "
            "an input is decided when all neurons are at rest",
            "  throughput  the next input can enter then",
        ]
    return [
        f"  latency     {timing.latency_ticks} ticks from input to decision",
        f"  throughput  one input every {timing.ticks_per_input(2)} ticks with two membranes "
        f"a neuron, {timing.ticks_per_input(1)} with one",
    ]


def _functions(graph: Graph) -> list[str]:
    """Return the line that tells which functions are computed in front of neurons, if any are."""
    used: dict[str, int] = {}
    for work in function_work(graph).values():
        if work.kind == "function":
            name = ops.describe(work.node)
            used[name] = used.get(name, 0) + 1
    said = ", ".join(name if n == 1 else f"{n} {name}" for name, n in used.items())
    return [f"  functions   {said}, in function units"] if used else []


def _few_spikes(network: SpikingNetwork) -> list[str]:
    """Return a line for every function that few-spikes neurons compute: how near, and where."""
    fits = network.provenance.get("few_spikes", ())
    return [
        f"  few spikes  {fit['function']} in {counted(fit['populations'], 'population')}: "
        f"from {fit['low']:.3g} to {fit['high']:.3g} within {fit['worst']:.2g}, {fit['error']:.2g} "
        f"in the mean square; beyond it stays what it is there, within {fit['beyond']:.2g}"
        for fit in fits
    ]


def _products(graph: Graph) -> list[str]:
    """Return the line that tells how many products hold which factor, if there are any."""
    products = [n for n in graph if ops.kind(n) == "product"]
    if not products:
        return []
    left = sum(ops.kind(graph[n.args[0].name]) == "hold" for n in products)
    held = [f"{n} {which}" for n, which in ((left, "left"), (len(products) - left, "right")) if n]
    what = counted(len(products), "product")
    return [f"  products    {what} of two values; held in registers: {', '.join(held)} factor"]


def _behind(graph: Graph) -> list[str]:
    """Return the line that tells of weighted layers behind the read-outs, if there are any."""
    left = tail_macs(graph)
    if not left:
        return []
    layers = counted(len(left), "layer")
    return [f"  analog      {layers} behind the read-outs, {sum(left.values()):,} multiply-adds"]


def load(path: str | os.PathLike[str]) -> SpikingNetwork:
    """Read a network that :func:`spikewright.network.save` wrote.

    Args:
        path: The file.

    Returns:
        A network that gives the same spikes.

    Raises:
        FileFormatError: If the file is missing, damaged, truncated, or something else, or what it
            describes is no spiking network that can be run.
    """
    return files.read(path, SpikingNetwork)


def _from_bytes(data: bytes) -> SpikingNetwork:
    return files.from_bytes(data, SpikingNetwork)


def _code_text(code: Code) -> str:
    ratio = f"k = {code.k:g}, " if code.k not in (0.0, 1.0) else ""
    return f"{code.name}, {ratio}{code.steps} steps"


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
