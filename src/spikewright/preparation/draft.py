# SPDX-License-Identifier: Apache-2.0
"""A network while it is being prepared."""

from collections import Counter
from dataclasses import dataclass, field

from spikewright.graph.ir import Graph
from spikewright.network.site import Site

__all__ = ["Draft"]


@dataclass
class Draft:
    """A network while it is being prepared, in the original network's numbers.

    Attributes:
        original: The network as it was given, with its sites.
        graph: The same with the weights so far; nodes keep names and order.
        sites: Site name to population; only scales may change.
        report: Step name to how often it changed something, and how often it kept what was there.
    """

    original: Graph
    graph: Graph
    sites: dict[str, Site]
    report: dict[str, Counter[str]] = field(default_factory=dict)

    def note(self, step: str, what: str, count: int = 1) -> None:
        """Count what a step did."""
        self.report.setdefault(step, Counter())[what] += count
