# SPDX-License-Identifier: Apache-2.0
"""One walk over the network that feeds every step."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import is_plain
from spikewright.graph.ir import Graph, Node
from spikewright.graph.sites import flow
from spikewright.network.site import Site
from spikewright.preparation.base import BlockStep, Step
from spikewright.preparation.blocks import blocks, ends
from spikewright.preparation.draft import Draft
from spikewright.preparation.views import BlockView, LayerView, SiteView
from spikewright.preparation.walk import Walk
from spikewright.progress import track

__all__ = ["prepare"]


def prepare(
    graph: Graph,
    sites: Mapping[str, Site],
    inputs: Sequence[Tensor],
    steps: Sequence[Step],
    *,
    progress: bool = False,
) -> Draft:
    """Change a network's weights and scales so that it does more with short trains.

    Args:
        graph: The original network with its sites, in its own numbers; it is not changed.
        sites: Site name to population, of the layered or the wake-sleep schedule.
        inputs: Calibration inputs, "batch *feature" each, in the graph's type; no labels.
        steps: What to do, in this order at every place.
        progress: Whether to show a progress bar.

    Returns:
        The prepared network in the original numbers, and a report.
    """
    draft = Draft(graph, graph.copy(), dict(sites))
    walk = Walk(draft, inputs)
    layers = {n.name for n in _layers(draft.graph)}
    least = [s.layers for s in steps if isinstance(s, BlockStep)]
    parts = blocks(walk, max(least)) if least else [(n,) for n in draft.graph]
    since: list[Node] = []  # operators behind the walk's place
    for part in track(parts, "preparing", show=progress):
        for node in part:
            for step in steps:
                if node.name in layers:
                    step.at_layer(LayerView.of(walk, draft.graph[node.name]))
                elif node.op in ops.SPIKING_OPS:
                    step.at_site(SiteView(walk, draft.graph[node.name]))
        if least:
            since += part
            block = tuple(draft.graph[n.name] for n in since)
            for step in steps:
                if isinstance(step, BlockStep):
                    step.at_block(BlockView(walk, block, ends(walk, block)))
        done = least or part[0].name in layers or part[0].op in ops.SPIKING_OPS
        if done and walk.advance(walk.place(part[-1].name) + 1):
            since = []
    return draft


def _layers(graph: Graph) -> list[Node]:
    """Return the weighted layers between the first neurons and the read-outs."""
    values, spikes, found = flow(graph), set[str](), []
    for node in graph:
        if node.op in ops.SPIKING_OPS or any(i in spikes for i in node.inputs):
            spikes.add(node.name)
        if (
            ops.kind(node) == "weighted"
            and node.op != ops.AFFINE
            and node.inputs[0] in spikes
            and not values[node.name].tail
            and is_plain(node.shape)
        ):
            found.append(node)
    return found
