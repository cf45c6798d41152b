# SPDX-License-Identifier: Apache-2.0
"""From any model to one that can be trained for conversion: its activations become staircases."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.calibration import MinError, ScaleRule
from spikewright.codes import Rate
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph import (
    Graph,
    Node,
    capture,
    find_activations,
    fold_batch_norm,
    ops,
    place_sites,
    simplify,
)
from spikewright.graph.ir import Ref
from spikewright.graph.normalise import normalise_factors
from spikewright.training.half_steps import add_half_steps
from spikewright.training.network import BATCH_NORM, TrainableNetwork
from spikewright.training.normalised import normalised
from spikewright.training.observe import observe
from spikewright.training.parameters import with_parameters
from spikewright.training.settings import Activation, ActivationSettings
from spikewright.training.stbp import TimeFolded

__all__ = ["build", "conversion_ready"]


def conversion_ready(
    model: nn.Module,
    example: Tensor,
    activation: Activation = "casc",
    levels: int = 8,
    *,
    calibration: Iterable[Any] | Tensor | None = None,
    scale: ScaleRule | None = None,
    relays: bool = True,
    per_channel: bool = False,
) -> TrainableNetwork:
    """Build a trainable copy of a model whose activations are those that spikes can carry.

    Args:
        model: Any model that :func:`spikewright.convert` takes; it is not changed.
        example: One input batch, "batch *feature"; its values do not matter.
        activation: See :class:`ActivationSettings`.
        levels: Levels above zero.
        calibration: Tensors or (input, target) pairs, or one tensor: a few hundred inputs that say
            where the tops θ are, for a model that is trained already. Without them θ is what the
            activation itself says (6 for ReLU6), else 1, for training from scratch.
        scale: How θ follows from the values seen. Default: least squared error with these levels
            (`MinError`). For ``"casc"`` half a level goes into the biases in front, so that it
            starts as rounding; see :func:`add_half_steps`.
        relays: Whether signed values between weighted layers get levels, too.
        per_channel: See :class:`ActivationSettings`; needs ``calibration``. For a network that is
            trained already: it starts much nearer to the original.

    Returns:
        A new network in training mode.

    Raises:
        ConfigError: If a setting is out of range.
        UnsupportedModuleError: If the model cannot be taken; everything is listed.
        CalibrationError: If the calibration data are empty, of another kind, or not finite.
        ShapeError: If their shape does not fit.
    """
    settings = ActivationSettings(
        activation=activation, levels=levels, relays=relays, per_channel=per_channel
    )
    if per_channel and calibration is None:
        raise ConfigError(
            "per_channel: expected calibration inputs that say where the tops are, got none. "
            "Name some, or leave it out for training from scratch."
        )
    return build(model, example, settings, calibration=calibration, scale=scale)


def build(
    model: nn.Module,
    example: Tensor,
    settings: ActivationSettings,
    *,
    calibration: Iterable[Any] | Tensor | None = None,
    scale: ScaleRule | None = None,
) -> TrainableNetwork:
    """Do what :func:`conversion_ready` does, from settings."""
    captured = capture(model, example)
    if settings.per_channel:
        return normalised(captured, settings, calibration, scale)
    graph = normalise_factors(simplify(captured))
    state = dict(model.state_dict(keep_vars=True))
    trainable = {
        n: p.requires_grad for n, p in model.named_parameters(remove_duplicate=False) if n in state
    }
    nodes: list[Node] = []
    if settings.activation != "relu":
        graph = find_activations(graph)
        if settings.quantised and settings.relays:
            graph = _with_relays(graph)
        kinds = (ops.RECTIFY, ops.RELAY) if settings.quantised else (ops.RECTIFY,)
        nodes = [n for n in graph if n.op in kinds]
        if not nodes:
            raise UnsupportedModuleError(
                "model: expected at least one activation that can spike (ReLU, ReLU6, clamp …), "
                "got none."
            )
    caps = {n.name: _own_cap(n) for n in nodes}
    if calibration is not None and nodes and settings.activation != "stbp":
        caps = _calibrated(graph, nodes, calibration, settings, scale)
    sites = {n.name: settings.site(n, caps[n.name]) for n in nodes}
    dtype = next((t.dtype for t in state.values() if t.is_floating_point()), torch.float32)
    for site in sites.values():
        site.to(dtype)
    graph = with_parameters(captured, graph, {n for n, asks in trainable.items() if asks})
    made = TimeFolded if settings.activation == "stbp" else TrainableNetwork
    network = made(graph, sites, state, trainable, settings.to_dict())
    if calibration is not None and settings.activation == "casc":
        add_half_steps(graph, network)
    return network


def _own_cap(node: Node) -> float:
    """Return the top that the activation itself has, else 1."""
    cap = node.kwargs.get("cap")
    return 1.0 if cap is None else float(cap)


def _calibrated(
    graph: Graph,
    nodes: list[Node],
    calibration: Iterable[Any] | Tensor,
    settings: ActivationSettings,
    scale: ScaleRule | None,
) -> dict[str, float]:
    """Choose every site's top from the values seen there."""
    statistics = observe(graph, calibration)
    rule = MinError() if scale is None else scale
    caps = {}
    for node in nodes:
        chosen = rule.scale(
            statistics[node.name].histogram,
            Rate(T=settings.levels),
            per_channel=False,
            rounding=settings.rounding or node.op == ops.RELAY,
            cap=node.kwargs.get("cap"),
        )
        caps[node.name] = float(chosen)
    return caps


def _with_relays(graph: Graph) -> Graph:
    """Put a relay wherever conversion would: behind the batch norm that would be folded there."""
    graph = graph.copy()
    folded = place_sites(fold_batch_norm(graph))
    users = graph.users()
    for relay in folded:
        if relay.op != ops.RELAY or relay.name in graph.nodes:
            continue
        target = relay.args[0].name
        while target not in graph.nodes:  # a pool of a part of a concatenation
            target = folded[target].inputs[0]
        readers = users[target]
        if ops.weighted(graph[target]) and len(readers) == 1 and readers[0].op == BATCH_NORM:
            target = readers[0].name
        node = dataclasses.replace(relay, args=(Ref(target),), shape=graph[target].shape)
        graph.redirect(target, node.name)
        graph.insert([node], after=target)
    return graph
