# SPDX-License-Identifier: Apache-2.0
"""How far a network's outputs move when one population alone sends trains of a given length."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.activation import activate
from spikewright.graph.ir import Graph, Node
from spikewright.network.site import Site
from spikewright.preparation.draft import Draft
from spikewright.preparation.judge import products, shares
from spikewright.preparation.trains import sent
from spikewright.preparation.walk import Walk
from spikewright.progress import track

__all__ = ["sensitivity"]


def sensitivity(
    graph: Graph,
    by_length: Mapping[int, Mapping[str, Site]],
    inputs: Sequence[Tensor],
    *,
    progress: bool = False,
) -> dict[str, dict[int, float]]:
    """Return the error of the outputs for every population and T, all others being exact.

    Args:
        graph: The original network with its sites, in its own numbers.
        by_length: T to the populations with codes and scales for it.
        inputs: Calibration inputs, "batch *feature" each, in the graph's type; no labels.
        progress: Whether to show a progress bar.

    Returns:
        Population to T to the error, as the sum over inputs that :func:`output_errors` tells.
    """
    names = [n.name for n in graph if n.op in ops.SPIKING_OPS]
    outputs = tuple(dict.fromkeys(graph.outputs))
    walk = Walk(Draft(graph, graph, dict(next(iter(by_length.values())))), inputs)
    wanted = [known for known, _ in walk.pairs(*outputs)]
    found: dict[str, dict[int, float]] = {}
    for name in track(names, "sensitivity", show=progress):
        walk.advance(walk.place(name))
        found[name] = {
            T: _error(walk, outputs, wanted, sites[name]) for T, sites in by_length.items()
        }
    return found


def _error(
    walk: Walk, outputs: tuple[str, ...], wanted: list[tuple[Tensor, ...]], site: Site
) -> float:
    graph = walk.draft.graph

    def send(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        return sent(site, value) if node.name == site.name else activate(node, value)

    run, rows = walk.program(graph, outputs, send), dict[str, list[Tensor]]()
    with torch.no_grad():
        for (known, _), exact in zip(walk.held(), wanted, strict=True):
            for name, one, two in zip(outputs, exact, run(*known), strict=True):
                rows.setdefault(name, []).extend(products(graph[name], one, two))
    return float(shares(graph, rows).sum())
