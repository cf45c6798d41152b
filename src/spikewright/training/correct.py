# SPDX-License-Identifier: Apache-2.0
"""Bring the means of a quantised network back to those of its original, layer by layer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.calibration.collect import inputs_of
from spikewright.graph import Graph, Node, Program
from spikewright.graph.activation import activate
from spikewright.training.half_steps import bias_in_front
from spikewright.training.network import TrainableNetwork

__all__ = ["SAMPLES", "correct_means"]

SAMPLES = 32
"""Inputs that are looked at."""
_ROUNDS = 3
"""Times that a mean is corrected: flooring makes the response to a correction uneven."""


def correct_means(
    placed: Graph,
    graph: Graph,
    network: TrainableNetwork,
    units: Mapping[str, Tensor],
    axes: Mapping[str, int | None],
    calibration: Iterable[Any],
) -> None:
    """Add to biases what brings each channel's mean back, front to back.

    At site l with the original's value a (in units of l) and what arrives there in the quantised
    network, y, of each channel b_l = Σ_rounds mean(a) - mean(f(y + b_l)), with f the activation.
    The correction is that of SNN Calibration (Y. Li et al., ICML 2021), applied to levels. Where no
    bias leads to a site alone, nothing is corrected.

    Args:
        placed: The original with sites, in its own numbers.
        graph: The network's graph.
        network: Changed in place.
        units: What a site's 1 is worth in the original's numbers, where it is not 1.
        axes: Site to its channel axis.
        calibration: Batches of inputs.
    """
    x = _some(calibration).to(placed.dtype)
    wanted: dict[str, Tensor] = {}

    def watch(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        value = activate(node, value)
        if network.site_of(node.name) is not None:
            wanted[node.name] = _mean(value / units.get(node.name, 1.0), axes[node.name])
        return value

    users = graph.users()
    hooks = []
    for node in graph:
        site = network.site_of(node.name)
        if site is not None:
            bias = bias_in_front(graph, graph[node.inputs[0]], users, network)
            if bias is not None:
                hook = _correcting(bias, wanted, node.name, axes[node.name])
                hooks.append(site.register_forward_pre_hook(hook))
    with torch.no_grad():
        Program(placed, site=watch)(x)
        network(x)
    for handle in hooks:
        handle.remove()


def _correcting(
    bias: Tensor, wanted: Mapping[str, Tensor], name: str, axis: int | None
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """Return a hook that corrects one site's bias by what it sees enter, and passes that on."""

    def correct(site: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        y, mean = args[0], wanted[name]
        if mean.numel() not in (1, bias.numel()):
            return args
        shift = torch.zeros_like(mean)
        for _ in range(_ROUNDS):
            shift += mean - _mean(site.forward(y + _along(shift, axis, y)), axis)
        bias.add_(shift)
        return (y + _along(shift, axis, y),)

    return correct


def _some(calibration: Iterable[Any]) -> Tensor:
    found: list[Tensor] = []
    for batch in calibration:
        found.append(inputs_of(batch))
        if sum(map(len, found)) >= SAMPLES:
            break
    return torch.cat(found)[:SAMPLES]


def _mean(value: Tensor, axis: int | None) -> Tensor:
    return value.mean() if axis is None else value.movedim(axis, 0).flatten(1).mean(1)


def _along(shift: Tensor, axis: int | None, like: Tensor) -> Tensor:
    if axis is None:
        return shift
    return shift.view([-1 if i == axis else 1 for i in range(like.ndim)])
