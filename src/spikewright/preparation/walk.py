# SPDX-License-Identifier: Apache-2.0
"""Run the original and the quantised network side by side, layer by layer, in bounded memory.

Values that later layers read are held for all calibration inputs as long as they fit; where they
do not, the walk stays where it is and computes again from there, batch by batch.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from spikewright.graph.activation import activate
from spikewright.graph.batch import element_count
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import Program, SiteFunction
from spikewright.preparation.draft import Draft
from spikewright.preparation.trains import sent

__all__ = ["Walk"]

HELD_BYTES = 1 << 30
"""Memory for the values held, of both networks."""

BATCH_ELEMENTS = 6_000_000
"""Elements of the largest value in a batch."""

BATCH = 64
"""Inputs in a batch at most; even, so that halves of the data are those of every batch."""


class Walk:
    """Two runs of all calibration inputs that stand at the same place of a network.

    Args:
        draft: The network; its weights and scales may change behind the place.
        inputs: Calibration inputs, "batch *feature" each, in the graph's type.
    """

    def __init__(self, draft: Draft, inputs: Sequence[Tensor]) -> None:
        self.draft = draft
        self.samples = len(inputs[0])
        self._place = {n.name: i for i, n in enumerate(draft.graph)}
        self._readers = {name: [u.name for u in us] for name, us in draft.graph.users().items()}
        largest = max(element_count(n.shape) for n in draft.graph)
        size = max(2, min(BATCH, BATCH_ELEMENTS // largest) // 2 * 2)
        self.names: tuple[str, ...] = draft.graph.inputs
        parts = list(zip(*(torch.split(x, size) for x in inputs), strict=True))
        self._known: list[tuple[Tensor, ...]] = parts
        self._own: list[tuple[Tensor, ...]] = list(parts)

    def place(self, name: str) -> int:
        """Return where a node stands in the order of execution."""
        return self._place[name]

    def pairs(self, *wanted: str) -> Iterator[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
        """Yield, batch by batch, values of the original and of the quantised network.

        Args:
            *wanted: Names of nodes at or behind the place.
        """
        known = self.program(self.draft.original, wanted, self.activate)
        own = self.program(self.draft.graph, wanted, self.send)
        for one, two in zip(self._known, self._own, strict=True):
            with torch.no_grad():  # not around the yield, where others would compute without
                both = known(*one), own(*two)
            yield both

    def held(self) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
        """Return the values at the place, of the original and of the quantised network."""
        return list(zip(self._known, self._own, strict=True))

    def program(
        self,
        graph: Graph,
        wanted: Sequence[str],
        site: SiteFunction,
        given: Sequence[str] | None = None,
    ) -> Program:
        """Return the plan from the place, or from given values, to some others."""
        return Program(graph, outputs=wanted, given=given or self.names, site=site)

    def live(self, place: int) -> tuple[str, ...]:
        """Return the values that are known at a place and read behind it."""
        return tuple(
            name
            for name, at in self._place.items()
            if at < place and any(self._place[r] >= place for r in self._readers[name])
        )

    def advance(self, place: int) -> bool:
        """Go on to a place if what is live there fits into memory; tell whether it did."""
        names, graph = self.live(place), self.draft.graph
        elements = sum(element_count(graph[n].shape) for n in names if graph[n].shape is not None)
        if 2 * elements * self.samples * graph.dtype.itemsize > HELD_BYTES:
            return False
        known = self.program(self.draft.original, names, self.activate)
        own = self.program(graph, names, self.send)
        with torch.no_grad():
            for index, (one, two) in enumerate(zip(self._known, self._own, strict=True)):
                self._known[index], self._own[index] = known(*one), own(*two)
        self.names = names
        return True

    @staticmethod
    def activate(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        """Return what a site of the original network sends."""
        return activate(node, value)

    def send(self, node: Node, value: Tensor, overwrite: bool) -> Tensor:
        """Return what a population sends, decoded."""
        site = self.draft.sites[node.name]
        return sent(site, value) if site.neuron else value
