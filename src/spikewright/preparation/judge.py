# SPDX-License-Identifier: Apache-2.0
"""Go several ways, and take the one that calibration inputs which none has used like best."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.graph.batch import batch_axis, element_count
from spikewright.graph.ir import Graph, Node
from spikewright.graph.ops import weighted
from spikewright.network.site import Site
from spikewright.preparation.base import Step
from spikewright.preparation.draft import Draft
from spikewright.preparation.run import prepare
from spikewright.preparation.walk import Walk

__all__ = ["Judged", "best_way", "held_out", "output_errors", "products", "shares"]

MOST_WORK = 1.5e12
"""Multiply-adds of tuning beyond which a way is left out where there are others: minutes."""


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


def held_out(samples: int) -> Tensor:
    """Return which calibration inputs judge the ways and are used by none, "sample".

    Every eighth, and of few inputs every fourth, up to 16.
    """
    count = max(samples // 8, min(samples // 4, 16), min(samples, 1))
    found = torch.zeros(samples, dtype=torch.bool)
    found[[i * samples // count for i in range(count)]] = True
    return found


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
    make a network worse because its layers' errors happen to work together. A way is taken if the
    errors of the inputs that judge fall by more than the standard error of this fall.

    Args:
        graph: The original network with its sites.
        sites: Site name to population, of the layered or the wake-sleep schedule.
        inputs: Calibration inputs, "batch *feature" each; with fewer than two nothing is done.
        ways: Steps to try; none at all is always tried. Of several, those are left out whose
            tuning takes more than ``MOST_WORK``.
        progress: Whether to show progress.
    """
    judges = held_out(len(inputs[0]))
    judging, used = [x[judges] for x in inputs], [x[~judges] for x in inputs]
    drafts: list[tuple[tuple[Step, ...], Draft]] = [((), Draft(graph, graph.copy(), dict(sites)))]
    work = [sum(s.passes for s in way) * _multiply_adds(graph) for way in ways]
    if len(used[0]):
        drafts += [
            (way, prepare(graph, sites, used, way, progress=progress))
            for way, needed in zip(ways, work, strict=True)
            if needed <= MOST_WORK or len(ways) == 1
        ]
    errors = [output_errors(draft, judging) for _, draft in drafts]
    best = min(range(len(errors)), key=lambda i: float(errors[i].sum()))
    if not _falls(errors[0], errors[best]):
        best = 0
    told = ", ".join(
        f"{_name(way)} {100 * float(error.sum()) ** 0.5:.3g} %"
        for (way, _), error in zip(drafts, errors, strict=True)
    )
    steps, draft = drafts[best]
    why = f"{_name(steps)}: outputs differ on {len(judging[0])} inputs held out by {told}"
    tried = [way for way, _ in drafts]
    for way, needed in zip(ways, work, strict=True):
        if way not in tried and len(used[0]):
            why += f"; {_name(way)} left out, {needed:.1e} multiply-adds"
    return Judged(draft, steps, why)


def _falls(before: Tensor, after: Tensor) -> bool:
    """Tell whether errors fall by more than the standard error of the fall, "input" each."""
    fall = before - after
    spread = float(fall.std()) if len(fall) > 1 else 0.0
    return bool(float(fall.sum()) > spread * len(fall) ** 0.5)


def _multiply_adds(graph: Graph) -> float:
    """Return the multiply-adds of one input's run through the layers."""
    total = 0.0
    for node in graph:
        spec = weighted(node)
        if spec is not None and node.shape is not None:
            weights = graph.params[node.args[1].name].numel()
            total += element_count(node.shape) * weights / int(node.shape[spec.channel_axis] or 1)  # type: ignore[arg-type]
    return total


def output_errors(draft: Draft, inputs: Sequence[Tensor]) -> Tensor:
    """Return how far a network's floating outputs are from the original's, averaged over them.

    ‖found - wanted‖² of every input as a share of Σ ‖wanted‖² over inputs, "input". Outputs
    "batch class" are compared up to what no decision depends on: a shift of all scores of an input,
    and one gain g for all inputs, that of the least Σ ‖wanted - g·found‖².
    """
    rows: dict[str, list[Tensor]] = {}
    names = tuple(dict.fromkeys(draft.graph.outputs))
    for known, own in Walk(draft, inputs).pairs(*names):
        for name, wanted, found in zip(names, known, own, strict=True):
            rows.setdefault(name, []).extend(products(draft.graph[name], wanted, found))
    return shares(draft.graph, rows)


def shares(graph: Graph, rows: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """Return the mean error of outputs from all their :func:`products`, "input"."""
    found = []
    for name, each in rows.items():
        if not each:
            continue
        wanted, both, own = torch.stack([*each]).unbind(1)
        scores = len(graph[name].shape or ()) == 2
        gain = both.sum() / own.sum().clamp_min(1e-30) if scores else wanted.new_ones(())
        left = (wanted - 2.0 * gain * both + gain.square() * own).clamp_min(0.0)
        found.append(left / wanted.sum().clamp_min(1e-30))
    return torch.stack(found).mean(0) if found else torch.zeros(1)


def products(node: Node, wanted: Tensor, found: Tensor) -> Iterable[Tensor]:
    """Return ‖wanted‖², wanted·found and ‖found‖² of every input, "input 3".

    Scores of an input are taken less their mean. Whole numbers and constants have none.

    Args:
        node: The output.
        wanted: Its value in the original network.
        found: That in the quantised one.
    """
    batch = batch_axis(node.shape)
    if batch is None or not wanted.is_floating_point() or not wanted.numel():
        return ()
    one, two = (batch.first(v.double()) for v in (wanted, found))
    one, two = one.reshape(len(one), -1), two.reshape(len(two), -1)
    if wanted.ndim == 2 and one.shape[1] > 1:
        one, two = one - one.mean(1, keepdim=True), two - two.mean(1, keepdim=True)
    return torch.stack([(one * one).sum(1), (one * two).sum(1), (two * two).sum(1)], 1)


def _name(way: tuple[Step, ...]) -> str:
    return " + ".join(str(s.name) for s in way) or "none"
