# SPDX-License-Identifier: Apache-2.0
"""What is done to an input before it is rounded or encoded: elements moved, factors."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Node
from spikewright.integers.errors import NoForm
from spikewright.integers.layouts import own_shape, sources, where_from

__all__ = ["Front", "moved_front"]


@dataclass(frozen=True)
class Front:
    """A value in front of the network, in floating point.

    Attributes:
        source: Name of the input.
        shape: Shape for one sample.
        index: Where each element comes from in the flattened input; -1 for a zero. None: it is the
            input, element by element.
        gains: What it is multiplied by, one after the other, in float64.
    """

    source: str
    shape: tuple[int, ...]
    index: Tensor | None = None
    gains: tuple[Tensor, ...] = ()

    def scaled(self, gain: Tensor) -> "Front":
        """Return it multiplied once more."""
        return dataclasses.replace(self, gains=(*self.gains, gain))


def moved_front(graph: Graph, node: Node, before: Front) -> Front:
    """Return what a layout operator makes of it.

    Raises:
        NoForm: If several inputs are put together, or factors of elements would have to move.
    """
    names = sources(graph, node)
    if len(names) > 1 or any(gain.numel() > 1 for gain in before.gains):
        raise NoForm("in front of the network; do it to the inputs, outside the model")
    index = where_from(graph, node, names)
    if before.index is not None:
        index = torch.where(index < 0, index, before.index.flatten()[index.clamp(min=0)])
    return dataclasses.replace(before, shape=own_shape(node), index=index)
