# SPDX-License-Identifier: Apache-2.0
"""The wake-sleep schedule (CASC, 2024): synchronous, with ticks at its end without input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spikewright.network.schedules.base import Counting
from spikewright.network.schedules.synchronous import Synchronous
from spikewright.network.site import Site
from spikewright.neurons import Neuron

__all__ = ["WakeSleep"]


@dataclass(frozen=True, kw_only=True)
class WakeSleep(Synchronous):
    """Asleep, input and biases are off, and neurons correct each other until they are at rest.

    Args:
        settles: Whether there are as many ticks asleep as any neuron can need, so that a run ends
            with the first one in which nothing spikes.
    """

    name: ClassVar[str | None] = "wake-sleep"
    counting: ClassVar[Counting] = "rest"

    settles: bool = False

    def awake(self, sites: Mapping[str, Site]) -> int | None:
        """Return T, the steps of the code that are not asleep."""
        return max(s.code.T for s in sites.values())

    def misfit(self, site: Site, neuron: type[Neuron]) -> str:
        """Say what of a population the schedule cannot run; nothing if it can."""
        if not hasattr(site.code, "sleep"):
            return f"the {site.code.name} code, which has no steps asleep"
        return super().misfit(site, neuron)
