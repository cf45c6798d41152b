# SPDX-License-Identifier: Apache-2.0
"""Find quantised activations of any spelling, by what they compute, not by how they are written.

Networks for spiking are trained with a staircase in place of ReLU: with θ the top, L levels and
an offset φ in [0, 1)

    a(x) = θ · clip(⌊L·x/θ + φ⌋ / L, 0, 1)        (signed: from -1 to 1)

QCFS (Bu et al., ICLR 2022) has φ = ½ and a learned θ, CASC (2024) has φ = 0 and θ = 1. A dozen
operators write it, in many orders; together they become one site.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spikewright.functions.staircase import quantised
from spikewright.graph import ops
from spikewright.graph.chains import SNAP, chains, evaluate, rounder
from spikewright.graph.ir import Arg, Graph, Node, Ref

__all__ = ["chain_function", "find_staircases", "rounds", "staircase_of"]

MAX_LEVELS = 4096
"""Finer staircases are left alone; the longest rate code in the papers has as many steps."""

_CLOSE = 1e-6  # what several constants in float32, each rounded by up to 6e-8, can add up to
_FAR = 1e6  # every staircase has reached its top here


PointFunction = Callable[..., Tensor]
"""Points, and as ``snap`` how near to a whole number is one, to values."""


def find_staircases(graph: Graph) -> Graph:
    """Return an equal graph in which every staircase is one ``sw.rectify`` or relay node.

    Wherever a chain of elementwise operators with a rounding in it depends on one earlier value,
    the chain is evaluated in float64 on that value's line. If it is a staircase (0 below, θ above,
    L equal levels of width and height θ/L, the first reached at x = (1 - φ)·θ/L), its last node
    becomes ``sw.rectify`` with keyword arguments ``cap`` θ, ``levels`` L and ``offset`` φ, reading
    the value. Signed staircases, for values between layers without activation, become relays with
    the same arguments. Of all chains with the same end the longest is taken. Straight-through
    estimators, x + (q - x), and custom functions are such chains too.

    Left as they are, so that ``refusals`` names them: quantisers of another form (uneven, with a
    top between levels, with another slope) and those with more than `MAX_LEVELS` levels. Those with
    another bottom are found by `find_shifted_staircases`. A θ per channel is not taken as one site.
    Where the chain divides by θ first and multiplies by it last, the part between is a staircase,
    and both scales stay in the graph.

    θ and φ are right to about 1e-6 (of θ, of a level), which is what float32 constants allow; θ is
    rounded to the network's own type, and φ to 0 or ½ where it is that close. Where the trained
    network rounds ties to even or downwards, inputs exactly on an edge come out one level higher
    here.

    Args:
        graph: A captured and simplified graph; not changed.
    """
    graph = graph.copy()
    order = {name: i for i, name in enumerate(graph.nodes)}
    for name in reversed(tuple(graph.nodes)):
        if name not in graph.nodes:
            continue  # part of a chain that has been replaced
        found = reversed(tuple(chains(graph, name, order, rounds)))
        if any(_replace(graph, name, source, chain) for source, chain in found):
            graph.prune()
    _merge_equal(graph)
    return graph


def _replace(graph: Graph, name: str, source: str, chain: Sequence[Node]) -> bool:
    """Put a site in the place of a chain that is a staircase."""
    found = staircase_of(chain_function(graph, source, chain), graph.dtype)
    if found is None:
        return False
    op = ops.RELAY if found.pop("signed") else ops.RECTIFY
    graph.update(
        dataclasses.replace(graph[name], op=op, args=(Ref(source),), kwargs=found, pick=None)
    )
    return True


def rounds(node: Node) -> bool:
    """Tell whether a rounding is in an operator."""
    return rounder(node) is not None


def _merge_equal(graph: Graph) -> None:
    """Let equal staircases of one value be one site: a chain may have been read half-way too."""
    first: dict[tuple[Arg, ...], str] = {}
    for stale in graph:
        node = graph[stale.name]
        if node.op in (ops.RECTIFY, ops.RELAY) and "levels" in node.kwargs:
            key = (node.op, node.args, *node.kwargs.items())
            if first.setdefault(key, node.name) != node.name:
                graph.redirect(node.name, first[key])
    graph.prune()


def chain_function(graph: Graph, source: str, chain: Sequence[Node]) -> PointFunction:
    """Return what a chain computes, as a function of points."""

    def at(points: Tensor | Sequence[float], snap: float = SNAP) -> Tensor:
        x = torch.as_tensor(points, dtype=torch.float64)
        return evaluate(graph, source, chain, x, snap).to(torch.float64).expand_as(x)

    return at


def staircase_of(at: PointFunction, dtype: torch.dtype) -> dict[str, Arg] | None:
    """Return cap, levels, offset and sign if a function is a staircase, else None.

    Args:
        at: Takes points and, as ``snap``, how near to a whole number is one; returns values.
        dtype: The network's floating type, to which the cap is rounded.
    """
    rough = float(at([_FAR])[0])
    if not 1e-6 < rough < 0.01 * _FAR:
        return None
    cap = float(at([16.0 * rough])[0].to(dtype))
    if not 0.5 * rough < cap < 2.0 * rough:
        return None
    small = 0.5 * cap / MAX_LEVELS
    exact = float(at([16.0 * cap], snap=0.0)[0]) > small
    low, high = -cap, 2.0 * cap
    for _ in range(64):
        middle = 0.5 * (low + high)
        if float(at([middle], snap=0.0 if exact else SNAP)[0]) > small:
            high = middle
        else:
            low = middle
    height = float(at([high + 0.01 * small])[0])
    if not height > small:
        return None
    levels = round(cap / height)
    offset = 1.0 - high * levels / cap
    offset = next((o for o in (0.0, 0.5, 1.0) if abs(offset - o) < _CLOSE), offset)
    if not 0.0 <= offset < 1.0 or not 1 <= levels <= MAX_LEVELS:
        return None
    signed = float(at([-16.0 * cap])[0]) < -0.5 * cap
    points = _points(cap, levels, offset, signed)
    error = (at(points) - quantised(points, cap, levels, offset, signed)).abs()
    if not bool((error <= _CLOSE * cap).all()):
        return None
    return {"cap": cap, "levels": levels, "offset": offset, "signed": signed}


def _points(cap: float, levels: int, offset: float, signed: bool) -> Float[Tensor, " points"]:
    """Return where a staircase is checked: beside every edge, on every level, around, far out."""
    width = cap / levels
    first = 1 - levels if signed else 1
    edges = (torch.arange(first, levels + 1, dtype=torch.float64) - offset) * width
    beside = _CLOSE * (edges.abs() + width)
    far = cap * torch.logspace(-3, 3, 25, dtype=torch.float64)
    around = torch.linspace(-cap, 2.0 * cap, 4999, dtype=torch.float64)
    points = torch.cat([around, -far, far, edges + 0.5 * width])
    level = points / width + offset
    clear = (level - level.round()).abs() > 2.0 * _CLOSE * (level.abs() + 1.0)
    return torch.cat([edges - beside, edges + beside, points[clear]])
