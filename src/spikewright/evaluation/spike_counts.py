# SPDX-License-Identifier: Apache-2.0
"""Spikes and additions as simulators tell of them: whole trains, step by step, or until rest."""

from itertools import accumulate

import torch
from torch import Tensor

from spikewright.codes import Tally
from spikewright.evaluation.fan_out import FanOut
from spikewright.graph import ops
from spikewright.network import SpikingNetwork
from spikewright.simulators import Stages

__all__ = ["SpikeCounts", "counts_for"]


class SpikeCounts:
    """Everything that the sources of a network send, whole trains at a time.

    Args:
        network: A converted network.
        fan_out: How many additions its spikes cause.

    Attributes:
        spikes: Spikes of all populations up to each step; empty where trains are told as a whole.
        additions: Additions up to each step, likewise.
        at_rest: How many inputs were at rest after t steps, at index t; empty where none rests.
    """

    def __init__(self, network: SpikingNetwork, fan_out: FanOut) -> None:
        self.network, self.fan_out = network, fan_out
        plan = Stages(network)
        emitters = [n.name for group in plan.emitters.values() for n in group]
        self._signed = {n for n in emitters if plan.is_signed(n)}
        self._tallies: dict[str, Tally] = {}

    def begin(self, size: int) -> None:
        """Start a run of ``size`` inputs."""

    def end(self) -> None:
        """Finish the run."""

    def add(self, name: str, first: int, sent: Tensor) -> None:
        """Add what a source sent in some steps, "time batch *neuron"; see ``simulators.Count``."""
        if name not in self._tallies:
            alike = self.fan_out.additions_per_spike_of(name)
            self._tallies[name] = self.network.code_of(name).tally(name in self._signed, alike)
        self._tallies[name].add(sent[0])

    def totals(self) -> dict[str, Tensor]:
        """Return the spikes of every neuron, "*neuron" by source."""
        return {name: tally.total() for name, tally in self._tallies.items()}

    @property
    def spikes(self) -> tuple[int, ...]:
        """Spikes up to each step: none, trains are told as a whole."""
        return ()

    @property
    def additions(self) -> tuple[int, ...]:
        """Additions up to each step: none."""
        return ()

    @property
    def at_rest(self) -> tuple[int, ...]:
        """Inputs at rest after t steps: none."""
        return ()


class _BySteps(SpikeCounts):
    """The same, step by step."""

    def __init__(self, network: SpikingNetwork, fan_out: FanOut) -> None:
        super().__init__(network, fan_out)
        self._ways = {n: _flat(w.unsqueeze(0))[0] for n, w in fan_out.additions_per_spike().items()}
        self._counts: dict[str, Tensor] = {}
        self._spikes, self._additions = [0] * network.steps, [0] * network.steps

    def add(self, name: str, first: int, sent: Tensor) -> None:
        """Add what a source sent; see :class:`SpikeCounts`."""
        sent = sent.abs() if name in self._signed and sent.is_floating_point() else sent
        lying = sent.permute(0, 1, 3, 4, 2) if sent.ndim == 5 else sent
        per_step = lying.sum(1, dtype=None if sent.is_floating_point() else torch.int64)
        total = per_step[0] if len(per_step) == 1 else per_step.sum(0, dtype=torch.float64)
        total = (total.permute(2, 0, 1) if sent.ndim == 5 else total).double()
        before = self._counts.get(name)
        self._counts[name] = total if before is None else before.add_(total)
        per_step = per_step.reshape(len(per_step), -1)
        for i, additions in enumerate(self._added(name, per_step)):
            self._additions[first - 1 + i] += round(additions)
        if ops.kind(self.network.graph[name]) != "pool":  # what gates pass on are others' spikes
            for i, spikes in enumerate(per_step.sum(1, dtype=torch.float64).tolist()):
                self._spikes[first - 1 + i] += round(spikes)

    def _added(self, name: str, per_step: Tensor) -> list[float]:
        """Return the additions that a source causes in some steps, "time neuron"."""
        ways = self._ways.get(name)
        return [] if ways is None else (per_step.double() @ ways).tolist()

    def totals(self) -> dict[str, Tensor]:
        """Return the spikes of every neuron; see :class:`SpikeCounts`."""
        return self._counts

    @property
    def spikes(self) -> tuple[int, ...]:
        """Spikes of all populations up to each step."""
        return tuple(accumulate(self._spikes))

    @property
    def additions(self) -> tuple[int, ...]:
        """Additions up to each step."""
        return tuple(accumulate(self._additions))


class _UntilRest(_BySteps):
    """The same for networks that come to rest; spikes of either sign count, and when they ended."""

    def __init__(self, network: SpikingNetwork, fan_out: FanOut) -> None:
        super().__init__(network, fan_out)
        self._signed = set(network.graph.nodes)  # any neuron may take spikes back
        self._last = torch.zeros(0, dtype=torch.int64)  # step of each input's last spike
        self._at_rest = [0] * (network.steps + 1)

    def begin(self, size: int) -> None:
        """Start a run of ``size`` inputs, none of which has spiked."""
        self._last = torch.zeros(size, dtype=torch.int64, device=self.network.device)

    def end(self) -> None:
        """Note when each input of the run came to rest."""
        for step in self._last.tolist():
            self._at_rest[step] += 1

    def add(self, name: str, first: int, sent: Tensor) -> None:
        """Add what a source sent; see :class:`SpikeCounts`."""
        super().add(name, first, sent)
        if ops.kind(self.network.graph[name]) != "pool":
            fired = (sent != 0).reshape(*sent.shape[:2], -1).any(2)
            steps = torch.arange(first, first + len(fired), device=fired.device)
            torch.maximum(self._last, (fired * steps[:, None]).amax(0), out=self._last)

    @property
    def at_rest(self) -> tuple[int, ...]:
        """How many inputs were at rest after t steps, at index t."""
        return tuple(self._at_rest)


_KINDS = {"trains": SpikeCounts, "steps": _BySteps, "rest": _UntilRest}


def counts_for(network: SpikingNetwork) -> SpikeCounts:
    """Return an empty count of a network's spikes, as its schedule's simulators tell of them."""
    return _KINDS[network.schedule.counting](network, FanOut(network))


def _flat(x: Tensor) -> Tensor:
    """Return "some *neuron" as "some neuron", maps with channels last, which is how they lie."""
    return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).reshape(len(x), -1)
