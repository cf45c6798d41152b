# SPDX-License-Identifier: Apache-2.0
"""Few-spikes populations: fitted once a function, on the potentials of calibration inputs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration import SiteObserver, fit_few_spikes
from spikewright.functions import Function
from spikewright.graph import Graph, Node, ops
from spikewright.graph.activation import activate, function_of
from spikewright.graph.program import Program
from spikewright.methods.base import Prepared
from spikewright.network import Site

__all__ = ["curves_of", "with_few_spikes"]

_INPUTS = 256
_BATCH = 16
_KEPT = 1 << 14  # potentials of one population in a batch


def curves_of(graph: Graph) -> list[Node]:
    """Return the populations of few-spikes neurons."""
    return [n for n in graph if n.op == ops.CURVE]


def with_few_spikes(
    graph: Graph, sites: Mapping[str, Site], prepared: Prepared, T: int
) -> tuple[dict[str, Site], dict[str, SiteObserver], list[dict[str, Any]]]:
    """Return populations with few-spikes ones fitted, what enters these, and how good the fits are.

    All populations of a function share thresholds, resets and weights, as in the paper: those with
    the least error on the potentials of all of them.

    Args:
        graph: The original network with its sites.
        sites: Site name to population.
        prepared: The calibrated model; its inputs are run through ``graph``.
        T: Time steps.

    Raises:
        ConfigError: If T is out of range.
        CalibrationError: If no inputs were kept.
    """
    groups: dict[Function, list[Node]] = {}
    for node in curves_of(graph):
        groups.setdefault(function_of(node), []).append(node)
    if not groups:
        return dict(sites), {}, []
    seen = _potentials(graph, [n for nodes in groups.values() for n in nodes], prepared)
    changed, observers, fits = dict(sites), dict[str, SiteObserver](), list[dict[str, Any]]()
    for function, nodes in groups.items():
        fit = fit_few_spikes(function, T, torch.cat([seen[n.name] for n in nodes]))
        measured = {n: getattr(fit, n) for n in ("low", "high", "error", "worst", "beyond")}
        fits.append({"function": str(function), "populations": len(nodes), **measured})
        scale = torch.tensor(fit.unit * fit.code.max_value, dtype=graph.dtype)
        for node in nodes:
            changed[node.name] = dataclasses.replace(
                sites[node.name],
                code=fit.code,
                neuron="few-spikes",
                function=function,
                signed=False,
                channel_axis=1,
                scale=scale,
                pre_bias=torch.tensor(0.0),
            )
            observers[node.name] = SiteObserver(None, signed=True)
            observers[node.name].observe(seen[node.name])
    return changed, observers, fits


def _potentials(graph: Graph, nodes: list[Node], prepared: Prepared) -> dict[str, Tensor]:
    """Return some of what entered each population, "potential"."""
    inputs = prepared.some_inputs(_INPUTS, 'functions="few-spikes"')
    wanted = tuple(dict.fromkeys(n.inputs[0] for n in nodes))
    program = Program(graph, outputs=wanted, site=activate)
    found: dict[str, list[Tensor]] = {name: [] for name in wanted}
    with torch.no_grad():
        for batch in zip(*(torch.split(x, _BATCH) for x in inputs), strict=True):
            for name, value in zip(wanted, program(*batch), strict=True):
                flat = value.reshape(-1)
                found[name].append(flat[:: len(flat) // _KEPT + 1].clone())
    return {n.name: torch.cat(found[n.inputs[0]]) for n in nodes}
