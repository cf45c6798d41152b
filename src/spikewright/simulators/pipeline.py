# SPDX-License-Identifier: Apache-2.0
"""Several inputs in flight: the reference run as hardware would do it, on shared membranes.

Input i enters at tick i·P. Every population owns one or two membranes; an input takes a free one
when it starts to accumulate and gives it back when it has fired, so a schedule that is too tight
is an error here, not a wrong number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph.ir import Inputs
from spikewright.network import LayeredTiming, Phase, SpikingNetwork
from spikewright.simulators.layered import LayeredReference, Membranes

__all__ = ["PipelineRun", "run_pipelined"]


@dataclass(frozen=True)
class PipelineRun:
    """The outputs of a pipelined run and its clock.

    Attributes:
        outputs: One tuple of outputs for each input.
        decided_at: Tick at which each input's read-out was complete.
        total_ticks: Ticks from the first input to the last decision.
        ticks_per_input: Ticks between inputs.
    """

    outputs: tuple[tuple[Tensor, ...], ...]
    decided_at: tuple[int, ...]
    total_ticks: int
    ticks_per_input: int


@dataclass
class _Occupancy:
    """Which input holds which membrane of which population at this tick."""

    membranes: int
    held: dict[str, list[int]] = field(default_factory=dict)

    def take(self, site: str, owner: int) -> None:
        owners = self.held.setdefault(site, [])
        if len(owners) >= self.membranes:
            raise ConfigError(
                f"pipeline: {site} has {self.membranes} membrane(s) and input {owner} arrives "
                "while "
                f"inputs {owners} hold them. Let inputs enter less often, or use two membranes."
            )
        owners.append(owner)

    def give_back(self, site: str, owner: int) -> None:
        self.held[site].remove(owner)


def run_pipelined(
    network: SpikingNetwork,
    inputs: Sequence[Inputs | Mapping[str, Any]],
    *,
    membranes: int = 2,
    ticks_per_input: int | None = None,
) -> PipelineRun:
    """Run a stream of inputs through the network, all layers at work.

    Args:
        network: A converted network with the layered schedule.
        inputs: Batches, each "batch *feature", a tuple of all inputs, or a dictionary of keyword
            arguments; each is one item of the stream.
        membranes: Membranes per neuron, 1 or 2.
        ticks_per_input: Ticks between inputs; the schedule's own by default.

    Returns:
        Outputs, equal to those of one run for each input, and the clock.

    Raises:
        ConfigError: If the schedule is not layered, inputs enter before a membrane is free, or
            ``inputs`` is empty.
        ShapeError: If an input has another shape than the network takes.
    """
    timing = network.timing()
    if not isinstance(timing, LayeredTiming):
        raise ConfigError(
            "pipeline: expected a network with the layered schedule, got one whose layers all work "
            "on one input at every tick. Run its inputs one after the other."
        )
    every = timing.ticks_per_input(membranes) if ticks_per_input is None else ticks_per_input
    if not inputs:
        raise ConfigError("pipeline: expected at least one input, got none.")
    if every < 1:
        raise ConfigError(f"ticks_per_input: expected ≥ 1, got {every}.")
    reference = LayeredReference(network)
    stream = [network.check_input(x) for x in inputs]
    states = [Membranes() for _ in stream]
    runs = [reference.ticks(x, s) for x, s in zip(stream, states, strict=True)]
    occupancy = _Occupancy(membranes)
    changes = _changes(timing, len(stream), every)
    outputs: dict[int, tuple[Tensor, ...]] = {}
    decided: dict[int, int] = {}
    latency = timing.latency_ticks
    with torch.no_grad():
        for tick in range(latency + (len(stream) - 1) * every):
            for site, owner in changes[1].get(tick, []):
                occupancy.give_back(site, owner)
            for site, owner in changes[0].get(tick, []):
                occupancy.take(site, owner)
            for i, run in enumerate(runs):
                if i * every <= tick < i * every + latency:
                    next(run)
                    if tick == i * every + latency - 1:
                        outputs[i] = reference.decide(stream[i], states[i])
                        decided[i] = tick + 1
                        states[i] = Membranes()
    return PipelineRun(
        tuple(outputs[i] for i in range(len(stream))),
        tuple(decided[i] for i in range(len(stream))),
        latency + (len(stream) - 1) * every,
        every,
    )


def _changes(
    timing: LayeredTiming, inputs: int, every: int
) -> tuple[dict[int, list[tuple[str, int]]], dict[int, list[tuple[str, int]]]]:
    """Return, by tick, which membranes are taken and which are given back."""
    take: dict[int, list[tuple[str, int]]] = {}
    back: dict[int, list[tuple[str, int]]] = {}
    for i in range(inputs):
        spans: dict[str, list[Phase]] = {}
        for phase in timing.phases(i * every):
            spans.setdefault(phase.site, []).append(phase)
        for site, phases in spans.items():
            take.setdefault(min(p.start for p in phases), []).append((site, i))
            back.setdefault(max(p.stop for p in phases), []).append((site, i))
    return take, back
