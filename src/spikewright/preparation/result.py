# SPDX-License-Identifier: Apache-2.0
"""From a prepared draft to a spiking network, with its history."""

import dataclasses
from typing import TypeVar

from torch import Tensor

from spikewright.graph.ir import Graph
from spikewright.graph.units import fold_units
from spikewright.network.base import Network
from spikewright.network.site import Site
from spikewright.preparation.judge import Judged

__all__ = ["with_draft"]

N = TypeVar("N", bound=Network)


def with_draft(network: N, judged: Judged, inputs: int) -> N:
    """Return a network with the weights and scales of the way that was taken.

    Args:
        network: As it was converted without preparation.
        judged: What preparation has made of its original.
        inputs: Calibration inputs that it looked at.
    """
    draft = judged.draft
    names = tuple(str(s.name) for s in judged.steps)
    said = [judged.why]
    for name, counts in draft.report.items():
        said.append(f"{name}: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    history = {
        "steps": [s.to_dict() for s in judged.steps],
        "inputs": inputs,
        "report": {name: dict(counts) for name, counts in draft.report.items()},
        "said": said,
    }
    network = dataclasses.replace(
        network, provenance={**network.provenance, "preparation": history}
    )
    if not judged.steps:
        return network
    units = {n: _unit(network, draft.graph, s) for n, s in draft.sites.items() if s.neuron}
    return dataclasses.replace(
        network,
        graph=fold_units(draft.graph, units),
        sites=draft.sites,
        prepared_by=names,
    )


def _unit(network: Network, graph: Graph, site: Site) -> Tensor:
    """Return what a unit on a wire stands for, shaped to broadcast with the population's value."""
    ndim = len(graph[site.name].shape or ())
    unit = site.broadcast(site.scale, ndim) / network.full(site.name)
    return unit[0] if unit.ndim == ndim and ndim and site.channel_axis > 0 else unit
