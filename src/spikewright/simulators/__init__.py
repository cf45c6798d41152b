# SPDX-License-Identifier: Apache-2.0
"""Simulators that must agree, by schedule: the tick-by-tick definition and a faster way to it.

A schedule says which it has. Layered networks have ``collapsed`` (one pass on decoded trains),
synchronous ones ``timefold`` (time folded into the batch); both have ``reference``. Wake-sleep
networks are synchronous ones that end with ticks without input.
"""

from spikewright.codes.lookup import named
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.simulators.base import Count as Count
from spikewright.simulators.base import Probe as Probe
from spikewright.simulators.base import Simulator as Simulator
from spikewright.simulators.collapsed import Collapsed as Collapsed
from spikewright.simulators.layered import LayeredReference as LayeredReference
from spikewright.simulators.outputs import class_scores as class_scores
from spikewright.simulators.outputs import decided as decided
from spikewright.simulators.outputs import difference as difference
from spikewright.simulators.pipeline import PipelineRun as PipelineRun
from spikewright.simulators.pipeline import run_pipelined as run_pipelined
from spikewright.simulators.stages import Stages as Stages
from spikewright.simulators.steady_state import Settlement as Settlement
from spikewright.simulators.steady_state import settle as settle
from spikewright.simulators.synchronous import SynchronousReference as SynchronousReference
from spikewright.simulators.timefold import Timefold as Timefold
from spikewright.simulators.verify import Verification as Verification
from spikewright.simulators.verify import verify as verify


def simulator(network: SpikingNetwork, name: str | None = None) -> Simulator:
    """Compile a network for one of its simulators.

    Args:
        network: A converted network.
        name: Which one; the fastest of its schedule by default.

    Raises:
        ConfigError: If the network's schedule has no such simulator.
    """
    found = (named(where) for where in network.schedule.simulators)
    known = {cls.name: cls for cls in found}
    chosen = next(iter(known)) if name is None else name
    if chosen not in known:
        raise ConfigError(
            f"simulator: expected {' or '.join(map(repr, known))} for a network with the "
            f"{network.schedule.name} schedule, got {name!r}. Leave it out for the fastest."
        )
    made: Simulator = known[chosen](network)
    return made
