# SPDX-License-Identifier: Apache-2.0
"""A trained network with weights normalised channel by channel: the top of all activations is 1.

The paper's activation has the top 1 and no other. A trained network gets there by dividing what
each channel sends by its own top and multiplying the weights that read it: the network computes the
same, and its levels are as fine as each channel needs.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration import MinError, ScaleRule
from spikewright.codes import Rate
from spikewright.graph import (
    Graph,
    Node,
    channel_axes,
    find_activations,
    fold_batch_norm,
    fold_units,
    normalise,
    ops,
    place_sites,
    simplify,
)
from spikewright.graph.ir import Param
from spikewright.training.correct import correct_means
from spikewright.training.half_steps import add_half_steps
from spikewright.training.network import TrainableNetwork
from spikewright.training.observe import observe
from spikewright.training.settings import ActivationSettings

__all__ = ["named", "normalised"]

_KINDS = (ops.RECTIFY, ops.RELAY)


def normalised(
    captured: Graph,
    settings: ActivationSettings,
    calibration: Iterable[Any] | Tensor | None,
    scale: ScaleRule | None,
) -> TrainableNetwork:
    """Build a network of a captured one, with batch norms folded and a top for every channel.

    A channel's top is chosen by ``scale`` from what calibration sees there. The levels shift the
    means of all values behind them; half a level and then what is left of that, layer by layer,
    goes into the biases in front (:func:`correct_means`). Where two populations are added, their
    channels must be worth the same, so they keep the tops of a whole layer.

    Args:
        captured: The model as it was captured; not changed.
        settings: What takes the place of its activations.
        calibration: Inputs; None if a state will be loaded that says all the same.
        scale: How tops are chosen; `MinError` by default.

    Returns:
        The network. Its parameters are ``MODULE.weight`` and ``MODULE.bias`` of every weighted
        layer; a layer that is used twice is two.
    """
    graph = find_activations(fold_batch_norm(normalise(simplify(captured))))
    placed = place_sites(graph)
    axes = channel_axes(placed)
    nodes = [n for n in placed if n.op in _KINDS]
    if calibration is None:
        tops = {n.name: _some(n, i, axes[n.name]) for i, n in enumerate(nodes)}
        whole = dict.fromkeys(tops, 1.0)
    else:
        kept = [calibration] if isinstance(calibration, Tensor) else list(calibration)
        tops, whole = _tops(placed, nodes, axes, kept, settings, scale)
    folded, units = _folded(placed, nodes, axes, tops)
    sites = {n.name: settings.site(n, 1.0 if n.name in units else whole[n.name]) for n in nodes}
    for site in sites.values():
        site.to(graph.dtype)
    folded = named(folded)
    state = dict(folded.params)
    network = TrainableNetwork(folded, sites, state, dict.fromkeys(state, True), settings.to_dict())
    if calibration is not None:
        if settings.activation == "casc":
            add_half_steps(folded, network)
        correct_means(placed, folded, network, units, axes, kept)
    return network


def _tops(
    graph: Graph,
    nodes: list[Node],
    axes: dict[str, int | None],
    calibration: list[Any],
    settings: ActivationSettings,
    scale: ScaleRule | None,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Choose the tops of every site: one a channel, and one for all."""
    statistics = observe(graph, calibration, axes)
    rule = MinError() if scale is None else scale

    def chosen(node: Node, per_channel: bool) -> Tensor:
        return rule.scale(
            statistics[node.name].histogram,
            Rate(T=settings.levels),
            per_channel=per_channel,
            rounding=True,
            cap=node.kwargs.get("cap"),
        )

    tops = {n.name: chosen(n, axes[n.name] is not None) for n in nodes}
    return tops, {n.name: float(chosen(n, False)) for n in nodes}


def _some(node: Node, number: int, axis: int | None) -> Tensor:
    """Return tops of the right shape, no two sites' alike, whose values do not matter."""
    size = () if axis is None else ((node.shape or ())[axis],)
    return torch.full(size, 1.0 + number / 1024)  # type: ignore[arg-type]


def _folded(
    placed: Graph, nodes: list[Node], axes: dict[str, int | None], tops: dict[str, Tensor]
) -> tuple[Graph, dict[str, Tensor]]:
    """Return the graph in units of the tops, and the unit of every site that has one.

    Units that no weights can take up would be factors on wires, which no spikes carry: those sites
    go without.
    """
    units = {n.name: _shaped(tops[n.name], axes[n.name], n).to(placed.dtype) for n in nodes}
    while True:
        folded = fold_units(placed, units)
        left = {n.name for n in folded if n.op == ops.SCALE and n.name not in placed.nodes}
        if not left:
            return folded, units
        around = {s for name in left for s in _sites_around(folded, name)}
        units = {name: unit for name, unit in units.items() if name not in around}


def _sites_around(graph: Graph, name: str) -> set[str]:
    """Return the sites whose spikes a value is made of, and those it enters, without weights."""
    found: set[str] = set()
    users = graph.users()

    def collect(node: Node, ahead: bool) -> None:
        if node.op in _KINDS:
            found.add(node.name)
        elif ops.kind(node) != "weighted":
            for other in users[node.name] if ahead else [graph[i] for i in node.inputs]:
                collect(other, ahead)

    collect(graph[name], ahead=True)
    collect(graph[name], ahead=False)
    return found


def _shaped(top: Tensor, axis: int | None, node: Node) -> Tensor:
    if top.ndim == 0 or axis is None:
        return top
    size = [1] * len(node.shape or ())
    size[axis] = -1
    return top.reshape(size[1:] if axis > 0 else size)


def named(graph: Graph) -> Graph:
    """Return the graph with tensors that are named after the module that reads them."""
    graph = graph.copy()
    names: dict[str, str] = {}
    for stale in graph:
        node, spec = graph[stale.name], ops.weighted(stale)
        for index, arg in enumerate(node.args):
            if isinstance(arg, Param) and arg.name not in names:
                last = "bias" if spec is not None and index == spec.bias else "weight"
                base = f"{node.module}.{last}" if node.module else last
                number = sum(n == base or n.startswith(f"{base}_") for n in names.values())
                names[arg.name] = f"{base}_{number + 1}" if number else base
        graph.update(
            dataclasses.replace(
                node,
                args=tuple(Param(names[a.name]) if isinstance(a, Param) else a for a in node.args),
            )
        )
    graph.params = {names[n]: t for n, t in graph.params.items() if n in names}
    return graph
