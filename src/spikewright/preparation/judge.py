# SPDX-License-Identifier: Apache-2.0
"""Go several ways, and take the one that calibration inputs which none has used like best."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.graph.ir import Graph
from spikewright.network.site import Site
from spikewright.preparation.base import Step
from spikewright.preparation.draft import Draft
from spikewright.preparation.run import prepare
from spikewright.preparation.walk import Walk

__all__ = ["HELD_OUT", "Judged", "best_way", "lost", "outputs_error", "products"]

HELD_OUT = 8
"""One calibration input of so many judges the ways and is not used by any."""


class Judged(NamedTuple):
    """The best way to prepare a network.

    Attributes:
        draft: The network.
        steps: What was done; nothing, if nothing helps.
        why: Every way's error, in words.
    """

    draft: Draft
    steps: tuple[Step, ...]
    why: str


def best_way(
    graph: Graph,
    sites: Mapping[str, Site],
    inputs: Sequence[Tensor],
    ways: Sequence[tuple[Step, ...]],
    *,
    progress: bool = False,
) -> Judged:
    """Prepare a network in one way or another.

    Each layer judges its own change on inputs held out; this judges the whole, so that no steps
    make a network worse because its layers' errors happen to work together.

    Args:
        graph: The original network with its sites.
        sites: Site name to population, of the layered or the wake-sleep schedule.
        inputs: Calibration inputs, "batch *feature" each; with fewer than two nothing is done.
        ways: Steps to try; none at all is always tried.
        progress: Whether to show progress.
    """
    judges = torch.zeros(len(inputs[0]), dtype=torch.bool)
    judges[::HELD_OUT] = True
    judging, used = [x[judges] for x in inputs], [x[~judges] for x in inputs]
    plain = Draft(graph, graph.copy(), dict(sites))
    drafts: list[tuple[tuple[Step, ...], Draft]] = [((), plain)]
    if len(used[0]):
        drafts += [(way, prepare(graph, sites, used, way, progress=progress)) for way in ways]
    errors = [outputs_error(draft, judging) for _, draft in drafts]
    best = min(range(len(errors)), key=errors.__getitem__)
    told = ", ".join(
        f"{_name(way)} {100 * error**0.5:.3g} %"
        for (way, _), error in zip(drafts, errors, strict=True)
    )
    steps, draft = drafts[best]
    why = f"{_name(steps)}: outputs differ on {len(judging[0])} inputs held out by {told}"
    return Judged(draft, steps, why)


def outputs_error(draft: Draft, inputs: Sequence[Tensor]) -> float:
    """Return how far a network's floating outputs are from the original's, averaged over them.

    ‖found - wanted‖² / ‖wanted‖². Outputs "batch class" are compared up to what no decision depends
    on: a shift of all scores of an input, and one gain g for all, min over g of
    ‖wanted - g·found‖² / ‖wanted‖².
    """
    sums: dict[str, Tensor] = {}
    names = tuple(dict.fromkeys(draft.graph.outputs))
    for known, own in Walk(draft, inputs).pairs(*names):
        for name, wanted, found in zip(names, known, own, strict=True):
            if wanted.is_floating_point() and wanted.numel():
                sums[name] = sums.get(name, torch.zeros(3)) + products(wanted, found)
    return lost(draft.graph, sums)


def lost(graph: Graph, sums: Mapping[str, Tensor]) -> float:
    """Return the mean error of outputs from their :func:`products`, summed over inputs."""
    shares = []
    for name, (wanted, both, found) in ((n, s.tolist()) for n, s in sums.items()):
        if len(graph[name].shape or ()) == 2:
            left = wanted - both * both / max(found, 1e-30)
        else:
            left = wanted - 2.0 * both + found
        shares.append(max(0.0, left) / max(wanted, 1e-30))
    return float(sum(shares)) / max(1, len(shares))


def products(wanted: Tensor, found: Tensor) -> Tensor:
    """Return Σ wanted², Σ wanted·found and Σ found², scores of an input less their mean."""
    one, two = wanted.double(), found.double()
    if one.ndim == 2 and one.shape[1] > 1:
        one, two = one - one.mean(1, keepdim=True), two - two.mean(1, keepdim=True)
    return torch.stack([(one * one).sum(), (one * two).sum(), (two * two).sum()])


def _name(way: tuple[Step, ...]) -> str:
    return " + ".join(str(s.name) for s in way) or "none"
