# SPDX-License-Identifier: Apache-2.0
"""Proof on the user's own network that the simulators compute the same spikes.

Both simulators are given the same trains at every site, so that a disagreement is found where it
arises. In integers none is allowed. In float the two sum in different orders, and may disagree
only where a potential lies within rounding error of a boundary between two trains; those near-ties
are listed, anything else is a failure.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.simulators.agreement import SiteCheck
from spikewright.simulators.check_layered import check_layered
from spikewright.simulators.check_synchronous import check_synchronous
from spikewright.text import counted, table

__all__ = ["SiteCheck", "Verification", "verify"]

_CHECKS = {
    "layered": ("collapsed", check_layered),
    "synchronous": ("timefold", check_synchronous),
    "wake-sleep": ("timefold", check_synchronous),
}


@dataclass(frozen=True)
class Verification:
    """The outcome of :func:`verify`.

    Attributes:
        integer: Whether equality was required bit for bit.
        samples: Inputs used.
        sites: One check for each population and gate.
        decisions_differ: Inputs for which the two simulators, run freely, decide differently.
        spikes_differ: Trains that differ in the free runs.
        output_gap: Largest difference of an output in the free runs.
        fast: Name of the simulator that is compared with the reference.
    """

    integer: bool
    samples: int
    sites: tuple[SiteCheck, ...]
    decisions_differ: int
    spikes_differ: int
    output_gap: float
    fast: str = "collapsed"

    @property
    def mismatches(self) -> int:
        """Trains that differ without excuse."""
        return sum(s.mismatches for s in self.sites)

    @property
    def near_ties(self) -> int:
        """Trains that differ at near-ties."""
        return sum(s.near_ties for s in self.sites)

    @property
    def agrees(self) -> bool:
        """Whether the simulators agree: bit for bit in integers, else apart from near-ties."""
        exact = self.spikes_differ == 0 and self.output_gap == 0.0
        return self.mismatches == 0 and (exact or not self.integer)

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data."""
        return {
            "agrees": self.agrees,
            "near_ties": self.near_ties,
            "mismatches": self.mismatches,
            **asdict(self),
        }

    def table(self, width: int = 80) -> str:
        """Return a verdict and every site at which anything differed."""
        values = sum(s.values for s in self.sites)
        kind = "integer: bit for bit" if self.integer else "float: apart from near-ties"
        lines = [
            f"reference and {self.fast} {'agree' if self.agrees else 'DISAGREE'} ({kind})",
            f"{counted(values, 'train')} at {counted(len(self.sites), 'site')}, "
            f"{counted(self.samples, 'input')}: "
            f"{counted(self.mismatches, 'mismatch', 'mismatches')}, "
            f"{counted(self.near_ties, 'near-tie')}",
            f"run freely: {self.spikes_differ:,} trains and {self.decisions_differ} decisions "
            "differ, "
            f"outputs by at most {self.output_gap:.3g}",
        ]
        odd = [s for s in self.sites if s.near_ties or s.mismatches]
        if odd:
            rows = [
                [
                    s.site,
                    f"{s.values:,}",
                    str(s.near_ties),
                    str(s.mismatches),
                    f"{s.distance:.1e}",
                    f"{s.tolerance:.1e}",
                ]
                for s in odd
            ]
            head = ["site", "trains", "near-ties", "mismatches", "distance", "allowed"]
            lines += ["", table(head, rows, width=width)]
        return "\n".join(lines)


def verify(network: SpikingNetwork, x: Inputs) -> Verification:
    """Compare the simulators site by site on the same trains, and run freely.

    Args:
        network: A converted network.
        x: A few inputs, "batch *feature".

    Returns:
        What was found; see :attr:`Verification.agrees`.

    Raises:
        ShapeError: If the input has another shape than the network takes.
    """
    x = network.check_input(x)
    fast, check = _CHECKS[network.schedule_kind]
    with torch.no_grad():
        checks, run = check(network, x)
    gap = max(float((a - b).abs().max()) for a, b in zip(run.outputs, run.ticked, strict=True))
    decided = [out[0].flatten(1).argmax(1) for out in (run.outputs, run.ticked)]
    return Verification(
        integer=network.integer,
        samples=as_inputs(x)[0].shape[0],
        sites=tuple(checks),
        decisions_differ=int((decided[0] != decided[1]).sum()),
        spikes_differ=run.spikes_differ,
        output_gap=gap,
        fast=fast,
    )
