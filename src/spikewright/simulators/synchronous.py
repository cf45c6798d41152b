# SPDX-License-Identifier: Apache-2.0
"""The definition of a synchronous run: a plain loop over ticks through the whole network.

Populations keep a membrane, gates two registers; nothing grows with the number of steps.
"""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.ir import Inputs, Node
from spikewright.network import SpikingNetwork
from spikewright.simulators.base import Count, Probe
from spikewright.simulators.micro_batches import join, split_for_cache
from spikewright.simulators.run_state import RunState, Watched, add_
from spikewright.simulators.tick_plan import BASE, Total

__all__ = ["SynchronousReference"]


PART_ELEMENTS = 1_000_000
"""Elements of an average population and part of a batch at which a tick ran fastest on CPUs."""


class SynchronousReference(Watched):
    """A compiled network, run tick by tick; holds no state of a run.

    Args:
        network: A network with the synchronous schedule.
    """

    name: ClassVar[str] = "reference"

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__(network, self._site)

    def __call__(self, x: Inputs) -> tuple[Tensor, ...]:
        """Run a batch from fresh state and return the outputs after the last step."""
        found = []
        for part in self.split(x):
            total = Total(self.plan, part)
            for currents in self._ticks(part, None, None):
                if currents is not None:
                    total.add(currents)
            found.append(total.outputs())
        return join(self.network, found)

    def split(self, x: Inputs) -> tuple[Inputs, ...]:
        """Cut a batch into the parts that run best."""
        return split_for_cache(self.network, x, PART_ELEMENTS)

    def over_time(
        self, x: Inputs, count: Count | None = None, probe: Probe | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield the outputs after each step; see :class:`Simulator`."""
        total, outputs = Total(self.plan, x), tuple[Tensor, ...]()
        for currents in self._ticks(x, count, probe):
            if currents is not None:
                total.add(currents)
                outputs = total.outputs()
            yield outputs

    def _ticks(
        self, x: Inputs, count: Count | None, probe: Probe | None
    ) -> Iterator[tuple[Tensor, ...] | None]:
        """Run tick by tick, yielding the read-outs' currents; None once all is at rest."""
        run, constants = RunState(), self.plan.once(x)
        for t in range(1, self.plan.steps + 1):
            if run.at_rest:
                yield None
                continue
            run.t, run.at_rest = t, t > self.plan.awake
            self._watch(run, count, probe)
            yield self.plan.run(constants, asleep=t > self.plan.awake)
        self._watch(RunState())
        self._tell(run, probe)

    def _site(self, node: Node, x: Tensor, overwrite: bool) -> Tensor:
        """Step one population or gate."""
        if node.op in (ops.READOUT, ops.ANALOG_RELAY):
            return x
        name, run = node.name, self._run
        if ops.kind(node) == "pool":
            out, run.gates[name] = self.plan.gate(run.gates.get(name), x, self._pool[name], BASE)
        else:
            neuron, firing = self.plan.neuron[name], self.plan.firing[name]
            if name not in run.neurons:
                run.neurons[name] = neuron.begin(x, firing)
            if self._probe is not None:
                add_(run.entered, name, x)
            # The current's own memory, still in the cache, takes the spikes.
            spikes = x if overwrite else torch.empty_like(x)
            out = neuron.step_(run.neurons[name], x, firing, spikes)
            run.at_rest = run.at_rest and not bool(out.any())
        if self._count is not None:
            self._count(name, run.t, self.plan.batch[name].first(out).unsqueeze(0))
        if self._probe is not None:
            if ops.kind(node) == "pool":
                add_(run.entered, name, x)
            add_(run.sent, name, out)
        return out
