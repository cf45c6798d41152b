# SPDX-License-Identifier: Apache-2.0
"""Different T for different populations, within what one T for all of them would cost."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from spikewright.calibration import SiteObserver
from spikewright.graph import Graph
from spikewright.graph.batch import element_count
from spikewright.methods.pricing import pooled_populations
from spikewright.methods.streams import spikes_per_neuron
from spikewright.network import Layered, Site
from spikewright.network.schedules.layered import depths

__all__ = ["Budget", "best_lengths", "lengths_around", "lengths_within"]

Budget = Literal["none", "steps", "spikes", "ticks"]

_BELOW, _ABOVE = 2, 3
_HALVINGS = 50

_Choice = dict[frozenset[str], int]
_Table = Mapping[frozenset[str], Mapping[int, float]]


def lengths_around(T: int) -> range:
    """Return the T that populations may have where T for all is the budget."""
    return range(max(1, T - _BELOW), T + _ABOVE + 1)


def lengths_within(
    budget: Budget,
    T: int,
    graph: Graph,
    by_length: Mapping[int, Mapping[str, Site]],
    observers: Mapping[str, SiteObserver],
    errors: Mapping[str, Mapping[int, float]],
) -> dict[str, int]:
    """Choose T of every population so that the sum of their errors is small.

    Args:
        budget: What may not be more than with T for all: ``"steps"`` (the mean T of populations),
            ``"spikes"`` (by calibration statistics) or ``"ticks"`` (to the decision).
        T: The T whose cost is the budget.
        graph: The network with its sites.
        by_length: T to the populations with codes and scales for it, the budget's T included.
        observers: What calibration saw.
        errors: Population to T to the error of the outputs that it causes alone.

    Returns:
        Population to T. Populations that meet in one maximum have the same.
    """
    groups = _groups(graph, observers, by_depth=budget == "ticks")
    table = {g: {t: sum(errors[n][t] for n in g) for t in by_length} for g in groups}
    costs = {g: dict.fromkeys(by_length, 0.0) for g in groups}
    for group in groups:
        for t, sites in by_length.items():
            for name in group:
                if budget == "spikes":
                    rate = spikes_per_neuron(sites[name], observers[name])
                    costs[group][t] += rate * element_count(graph[name].shape)
                else:
                    costs[group][t] += t

    def total(choice: _Choice) -> float:
        if budget != "ticks":
            return sum(costs[g][t] for g, t in choice.items())
        lengths = {n: t for g, t in choice.items() for n in g}
        sites = {n: by_length[lengths.get(n, 0) or T][n] for n in by_length[T]}
        silent = min(lengths.values(), default=T)  # read-outs last as long as what enters them
        sites |= {n: by_length[silent][n] for n in sites if n not in lengths}
        return float(Layered().timing(graph, sites).latency_ticks)

    uniform = dict.fromkeys(groups, T)
    chosen = best_lengths(table, costs, total, total(uniform))
    chosen = min(uniform, chosen, key=lambda c: sum(table[g][t] for g, t in c.items()))
    return {name: t for group, t in chosen.items() for name in group}


def best_lengths(
    errors: _Table, costs: _Table, total: Callable[[_Choice], float], most: float
) -> _Choice:
    """Choose a T for each group: a price on costs, then what is left of the budget.

    With a price μ the best choice is that of least error + μ·cost, group by group. The least μ that
    keeps the budget is found by halving; then, as long as anything fits, the group is given a step
    more that loses most error for its cost.

    Args:
        errors: Group to T to error.
        costs: Group to T to cost, for the price.
        total: What a choice costs.
        most: What it may cost; all groups at their least T must cost no more.
    """

    def priced(price: float) -> _Choice:
        return {g: min(of, key=lambda t: of[t] + price * costs[g][t]) for g, of in errors.items()}

    low, high = math.log(1e-15), math.log(1e6)
    best = {g: min(of) for g, of in errors.items()}
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        choice = priced(math.exp(middle))
        if total(choice) <= most:
            best, high = choice, middle
        else:
            low = middle
    while True:
        steps = sorted(_raised(best, errors, costs), key=lambda s: -s[0])
        for _, group, t in steps:
            choice = {**best, group: t}
            if total(choice) <= most:
                best = choice
                break
        else:
            return best


def _raised(
    best: _Choice, errors: _Table, costs: _Table
) -> Iterable[tuple[float, frozenset[str], int]]:
    """Yield the steps that lose error: error lost for their cost, group and T."""
    for group, now in best.items():
        for t, error in errors[group].items():
            gain = errors[group][now] - error
            if t > now and gain > 0.0:
                cost = costs[group][t] - costs[group][now]
                yield gain / max(cost, 1e-12), group, t


def _groups(graph: Graph, names: Iterable[str], *, by_depth: bool) -> list[frozenset[str]]:
    """Return populations that have one T: under one maximum, and of one depth if asked."""
    groups = [{name} for name in names]
    ties = pooled_populations(graph)
    if by_depth:
        depth = depths(graph)
        ties += [{n for g in groups for n in g if depth[n] == d} for d in set(depth.values())]
    for tie in ties:
        met = [g for g in groups if g & tie]
        groups = [g for g in groups if not g & tie]
        if met:
            groups.append(set().union(*met))
    return [frozenset(g) for g in groups]
