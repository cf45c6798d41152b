# SPDX-License-Identifier: Apache-2.0
"""What every simulator offers, so that measuring does not ask which one it is."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from spikewright.graph.ir import Inputs
from spikewright.network import SpikingNetwork

__all__ = ["Count", "Probe", "Simulator"]

Count = Callable[[str, int, Tensor], None]
"""Called with a source's name, the first of the steps 1..T that are reported, and what was sent
in them, "time batch *neuron", samples first wherever the network has them: spikes (signed ones
with their sign) or a code's events. Layered simulators tell of whole trains at their last step:
time is one, and the value is the decoded one, in units, which must not be changed."""

Probe = Callable[[str, Tensor, Tensor], None]
"""Called once a run with a population's name, all that entered it, and all that it sent (decoded),
both summed over the run in its own units, shaped as in the network. Synchronous simulators call it
for gates too, with the maximum of what entered; layered gates are exact."""


@runtime_checkable
class Simulator(Protocol):
    """A compiled network that holds no state of a run.

    Attributes:
        name: Public name.
        network: What it runs.
    """

    name: ClassVar[str]
    network: SpikingNetwork

    def __call__(self, x: Inputs) -> tuple[Tensor, ...]:
        """Run a batch from fresh state and return the outputs after the last step."""
        ...

    def split(self, x: Inputs) -> tuple[Inputs, ...]:
        """Cut a batch into the parts that run best."""
        ...

    def over_time(
        self, x: Inputs, count: Count | None = None, probe: Probe | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Run a batch from fresh state.

        Args:
            x: Input (or inputs) in the network's type and on its device, "batch *feature".
            count: Told what every source sends.
            probe: Told what enters and leaves.

        Yields:
            The outputs after each step 1..T of the read-out.
        """
        ...
