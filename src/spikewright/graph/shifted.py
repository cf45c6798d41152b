# SPDX-License-Identifier: Apache-2.0
"""Staircases that do not start at zero: the levels of a quantiser with a zero point.

clip(round(x/s), -z, n - z)·s has n levels above its lowest value b = -z·s; so b is taken from
the value, the staircase from 0 is a site as any other, and b is added behind it.
"""

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.activation import activation_range, between_layers
from spikewright.graph.build import Rewrite
from spikewright.graph.chains import SNAP, chains
from spikewright.graph.ir import Graph
from spikewright.graph.staircase import PointFunction, chain_function, rounds, staircase_of

__all__ = ["find_shifted_staircases"]

_FAR = -1e6


def find_shifted_staircases(graph: Graph) -> None:
    """Write staircases with another lowest value than 0 as sites between two additions, in place.

    In front of the first weighted layer and behind the last one they can stay analog, and do,
    unless a clip in them becomes neurons anyway.

    Args:
        graph: A graph after `find_staircases`.
    """
    order = {n: i for i, n in enumerate(graph.nodes)}
    for name in reversed(tuple(graph.nodes)):
        found = tuple(chains(graph, name, order, rounds))
        inside = bool(found) and between_layers(graph, name)
        for source, chain in reversed(found):
            if not (inside or any(activation_range(graph, n) for n in chain)):
                continue
            at = chain_function(graph, source, chain)
            bottom = float(at([_FAR])[0].to(graph.dtype))
            levels = staircase_of(_lifted(at, bottom), graph.dtype) if bottom != 0 else None
            if levels is not None and not levels.pop("signed"):
                w = Rewrite(graph, graph[name], {})
                y = w.shift(graph[source], -bottom)
                site = w.call(ops.RECTIFY, y, shape=graph[name].shape or (), **levels)
                w.finish(w.shift(site, bottom))
                order = {n: i for i, n in enumerate(graph.nodes)}
                break
    graph.prune()


def _lifted(at: PointFunction, bottom: float) -> PointFunction:
    def moved(points: Tensor | list[float], snap: float = SNAP) -> Tensor:
        return at(torch.as_tensor(points, dtype=torch.float64) + bottom, snap) - bottom

    return moved
