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
from torch import Tensor

from spikewright.codes.lookup import named
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork
from spikewright.network.twin import AgainstOriginal
from spikewright.simulators.agreement import SiteCheck
from spikewright.simulators.outputs import decided, difference
from spikewright.text import counted, table

__all__ = ["SiteCheck", "Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """The outcome of :func:`verify`.

    Attributes:
        integer: Whether equality was required bit for bit.
        samples: Inputs used.
        sites: One check for each population and gate.
        decisions_differ: Inputs for which the two simulators, run freely, decide differently; None
            where the outputs are no class scores.
        spikes_differ: Trains that differ in the free runs.
        output_gap: Largest difference of a floating output in the free runs, infinite where one of
            two values is no number; None if there is no such output.
        fast: Name of the simulator that is compared with the reference.
        elements_differ: Elements of integer and boolean outputs that differ in the free runs; None
            if there is no such output.
        original: What the equality law says; None if nobody asked.
    """

    integer: bool
    samples: int
    sites: tuple[SiteCheck, ...]
    decisions_differ: int | None
    spikes_differ: int
    output_gap: float | None
    fast: str = "collapsed"
    elements_differ: int | None = None
    original: AgainstOriginal | None = None

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
        """Whether the simulators agree, and the original network with exact neurons.

        Bit for bit in integers, else apart from near-ties.
        """
        if self.original is not None and self.original.agrees is False:
            return False
        exact = not (self.spikes_differ or self.output_gap or self.elements_differ)
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
            self._freely(),
            *(() if self.original is None else (self.original.line(),)),
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

    def _freely(self) -> str:
        """Say what differs where each simulator goes its own way."""
        differ = [f"{self.spikes_differ:,} trains"]
        if self.decisions_differ is not None:
            differ.append(f"{self.decisions_differ} decisions")
        if self.elements_differ is not None:
            differ.append(f"{self.elements_differ:,} elements of integer outputs")
        text = f"run freely: {' and '.join(differ)} differ"
        gap = self.output_gap
        return text if gap is None else f"{text}, outputs by at most {gap:.3g}"


def verify(
    network: SpikingNetwork, x: Inputs, original: AgainstOriginal | None = None
) -> Verification:
    """Compare the simulators site by site on the same trains, and run freely.

    Args:
        network: A converted network.
        x: A few inputs, "batch *feature".
        original: What the equality law says of the same inputs, to be told with the rest.

    Returns:
        What was found; see :attr:`Verification.agrees`.

    Raises:
        ShapeError: If the input has another shape than the network takes.
    """
    x = network.check_input(x)
    fast, check = named(network.schedule.simulators[0]).name, named(network.schedule.check)
    with torch.no_grad():
        checks, run = check(network, x)
    pairs = list(zip(run.outputs, run.ticked, strict=True))
    gaps = [_largest(difference(a, b).abs()) for a, b in pairs if a.is_floating_point()]
    unequal = [int((a != b).sum()) for a, b in pairs if not a.is_floating_point()]
    fast_class, slow_class = (
        decided(network.samples_first(o), len(as_inputs(x)[0])) for o in (run.outputs, run.ticked)
    )
    return Verification(
        integer=network.integer,
        samples=as_inputs(x)[0].shape[0],
        sites=tuple(checks),
        decisions_differ=None
        if fast_class is None or slow_class is None
        else int((fast_class != slow_class).sum()),
        spikes_differ=run.spikes_differ,
        output_gap=max(gaps, default=None),
        fast=fast,
        elements_differ=sum(unequal) if unequal else None,
        original=original,
    )


def _largest(gap: Tensor) -> float:
    """Return the largest of absolute differences; what is no number is infinitely far."""
    return float(gap.nan_to_num(nan=torch.inf, posinf=torch.inf).max()) if gap.numel() else 0.0
