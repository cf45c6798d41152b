# SPDX-License-Identifier: Apache-2.0
"""The layered read-out at every step: what it has decided when part of the last train is in."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from spikewright.graph.ir import Inputs, as_inputs
from spikewright.graph.program import Program
from spikewright.network import SpikingNetwork
from spikewright.simulators.stages import Stages

__all__ = ["LayeredReadOut"]


class LayeredReadOut:
    """The read-outs as a function of how many steps of the last stage have come.

    Those of earlier stages have had their trains by then.

    Args:
        network: A network with the layered schedule.

    Attributes:
        sources: Emitters, analog relays and analog inputs that the read-outs read.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        self._plan = Stages(network, tick=False)
        graph, plan = network.graph, self._plan
        reading = {plan.depth[r] for r in plan.readouts}
        self._last = max(reading)
        stages = [stage for stage in plan.stages if stage.depth in reading]
        self.sources = tuple(dict.fromkeys(s for stage in stages for s in stage.sources))
        whole = plan.constants | set(plan.holds)
        self._codes = {s: network.code_of(s) for s in self.sources if s not in whole}
        self._programs = []
        self._window = plan.stages[self._last - 1].window
        for share in self._window.shares:
            self._programs.append(
                Program(
                    graph,
                    outputs=tuple(graph[r].inputs[0] for r in self._plan.readouts),
                    given=self.sources,
                    params={b: graph.params[b] * share for b in self._plan.biases},
                )
            )

    def __call__(self, x: Inputs, values: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """Yield the network's outputs after each step.

        Args:
            x: The network's input.
            values: Decoded train (or analog total) of each source.
        """
        plan, window = self._plan, self._window
        for t, program in enumerate(self._programs, start=1):
            given = []
            for source, value in zip(self.sources, values, strict=True):
                if source in plan.constants:
                    given.append(value * window.shares[t - 1])
                elif source in self._codes and plan.depth[source] == self._last - 1:
                    code = self._codes[source]
                    seen = max(0, t - window.length + code.steps)  # trains end with the stage
                    given.append(value if seen == code.steps else code.prefix(value, seen))
                else:
                    given.append(value)
            yield plan.tail(*program(*given), *as_inputs(x))
