# SPDX-License-Identifier: Apache-2.0
"""Fewer spikes at a price: thresholds of signed codes, and the price for a number of spikes."""

import dataclasses
import math
from collections.abc import Callable, Mapping

from spikewright.calibration import SiteObserver, priced_thresholds
from spikewright.calibration.spike_price import price_of
from spikewright.codes import SignedRadix
from spikewright.errors import ConfigError
from spikewright.graph import Graph, ops
from spikewright.graph.batch import element_count
from spikewright.methods.streams import spikes_per_neuron
from spikewright.network import Site

__all__ = ["mean_spikes", "pooled_populations", "price_for", "with_thresholds"]

_HIGHEST = 10.0
_LOWEST = 1e-6
_NEAR = 0.002
_TRIES = 14


def mean_spikes(
    graph: Graph, sites: Mapping[str, Site], observers: Mapping[str, SiteObserver]
) -> float:
    """Return the spikes of a neuron for one input, the mean of all, by what calibration saw."""
    neurons = {name: element_count(graph[name].shape) for name in observers}
    spikes = sum(
        spikes_per_neuron(sites[name], observer) * neurons[name]
        for name, observer in observers.items()
    )
    return spikes / max(1, sum(neurons.values()))


def price_for(spikes: float, spikes_at: Callable[[float], float]) -> float:
    """Return the price with which a network sends so many spikes a neuron, within 0.2 %.

    Args:
        spikes: Spikes a neuron.
        spikes_at: Price to spikes a neuron.

    Raises:
        ConfigError: If no price does.
    """
    most, least = spikes_at(0.0), spikes_at(_HIGHEST)
    if not least <= spikes <= most:
        raise ConfigError(
            f"spikes: expected {least:.3g} to {most:.3g} a neuron, which is what prices from "
            f"{_HIGHEST:g} to 0 give at this T, got {spikes:g}. Choose within, or another T."
        )
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    best = math.exp(low)
    for _ in range(_TRIES):
        best = math.exp((low + high) / 2.0)
        found = spikes_at(best)
        if abs(found - spikes) <= _NEAR * spikes:
            break
        low, high = (low, math.log(best)) if found < spikes else (math.log(best), high)
    return best


def with_thresholds(
    graph: Graph,
    sites: Mapping[str, Site],
    observers: Mapping[str, SiteObserver],
    share: float,
) -> dict[str, Site]:
    """Give populations with signed trains the thresholds that pay for their spikes.

    Populations with signs keep theirs, and so do those of which a gate takes maxima together.

    Args:
        graph: The network with its sites.
        sites: Site name to population.
        observers: What calibration saw there.
        share: Price of a spike as a share of the mean square of a population's values.
    """
    together = {name for group in pooled_populations(graph) if len(group) > 1 for name in group}
    changed = dict(sites)
    for name, observer in observers.items():
        site = sites[name]
        if not isinstance(site.code, SignedRadix) or site.signed or name in together:
            continue
        histogram = observer.histogram
        scale, half = site.scale.double(), float(site.pre_bias)
        price = price_of(histogram, share)
        code = priced_thresholds(histogram, site.code.T, scale, half, price)
        changed[name] = dataclasses.replace(site, code=code)
    return changed


def pooled_populations(graph: Graph) -> list[set[str]]:
    """Return the populations whose trains meet in one maximum, pool by pool."""
    found = []
    for pool in (n for n in graph if ops.kind(n) == "pool"):
        group, todo = set[str](), list(pool.inputs)
        while todo:
            node = graph[todo.pop()]
            if ops.kind(node) == "site":
                group.add(node.name)
            elif ops.kind(node) != "shape":
                todo.extend(node.inputs)
        found.append(group)
    return found
