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

__all__ = ["HELD_OUT", "Judged", "best_way", "outputs_error"]

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
        sites: Site name to population, of the layered schedule.
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
    """Return Σ‖found - wanted‖² / Σ‖wanted‖², averaged over the network's floating outputs."""
    wanted: dict[str, float] = {}
    gaps: dict[str, float] = {}
    names = tuple(dict.fromkeys(draft.graph.outputs))
    for known, own in Walk(draft, inputs).pairs(*names):
        for name, one, two in zip(names, known, own, strict=True):
            if one.is_floating_point():
                wanted[name] = wanted.get(name, 0.0) + float(one.double().square().sum())
                gaps[name] = gaps.get(name, 0.0) + float((two - one).double().square().sum())
    shares = [gaps[n] / max(wanted[n], 1e-30) for n in gaps]
    return sum(shares) / max(1, len(shares))


def _name(way: tuple[Step, ...]) -> str:
    return " + ".join(str(s.name) for s in way) or "none"
