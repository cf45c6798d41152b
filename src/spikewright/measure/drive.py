# SPDX-License-Identifier: Apache-2.0
"""The numbers of a converted network's wires, and what its method adds to currents on purpose."""

from collections.abc import Mapping

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import Graph, Node, Program, ops
from spikewright.graph.batch import sizes
from spikewright.graph.units import move_map
from spikewright.network import SpikingNetwork
from spikewright.simulators.stages import pool_operator

__all__ = ["added_charge", "full_scale"]

_TOLERANCE = 1e-3
"""Share of the largest drive by which folded weights may differ from the original ones (float32
sums in another order differ by about 1e-6 of it)."""

_NOTHING = 1e-5
"""Share of λ below which a difference of biases is rounding; a shift θ/(2T) is larger."""


def full_scale(network: SpikingNetwork, name: str) -> Tensor:
    """Return what a full train on a wire stands for in the original network's numbers.

    At a population it is λ; operators that move elements move it along, and a factor on the wire
    divides it.

    Args:
        network: A network on the CPU.
        name: A population, or a max-pool gate behind one.

    Returns:
        Broadcastable with the wire's value without its batch axis.
    """
    graph, node = network.graph, network.graph[name]
    if ops.kind(node) == "site":
        site = network.sites[name]
        return _shaped(site.scale, site.channel_axis, node)
    if node.op == ops.SCALE:
        gain: Tensor = graph.params[node.args[1].name]
        return full_scale(network, node.inputs[0]) / gain
    mover = graph[node.args[0].name] if node.op == "operator.getitem" else node
    known = {i: full_scale(network, i) for i in mover.inputs if graph[i].shape is not None}
    moved = move_map(graph, node, known)
    if moved is None:
        raise RuntimeError(f"{name}: windows hold values of different scales")
    return moved


def _shaped(scale: Tensor, axis: int, node: Node) -> Tensor:
    if scale.ndim == 0:
        return scale
    size = [1] * (len(node.shape or ()) - 1)
    size[axis - 1] = -1
    return scale.reshape(size)


def added_charge(
    network: SpikingNetwork, reference: Graph, scale: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Find what a method adds to currents besides what the original weights and biases give.

    Shifts and bias corrections are folded into biases, so the drives of both networks, given the
    same values at all sites, differ by a constant. That it is one is checked with two draws of
    values: where the difference changes, the weights are another model's.

    Args:
        network: A converted network in floating point, on the CPU.
        reference: The original network with the same sites, on the CPU.
        scale: λ of every population, broadcastable with its value.

    Returns:
        Site to what is added to its drive over a run, in the original network's numbers,
        "1 *neuron"; sites to which nothing is added are left out.

    Raises:
        ConfigError: If the weights differ.
    """
    generator = torch.Generator().manual_seed(0)
    differences: list[dict[str, Tensor]] = []
    drives: list[dict[str, Tensor]] = []
    for _ in range(2):
        shapes = network.graph.input_shapes
        x = tuple(torch.rand(sizes(shape, 2), generator=generator) for shape in shapes)
        wanted = _drives(reference, x, scale, None, generator)
        sent = {n: v[1] for n, v in wanted.items()}
        found = _drives(network.graph, x, {n: s / network.span for n, s in scale.items()}, sent)
        drives.append({n: z for n, (z, _) in wanted.items()})
        differences.append(
            {
                n: found[n][0] / network.sites[n].threshold * (scale[n] / network.span) - z
                for n, (z, _) in wanted.items()
            }
        )
    return {
        name: constant
        for name in differences[0]
        if (constant := _constant(name, differences, drives, scale[name])) is not None
    }


def _drives(
    graph: Graph,
    x: tuple[Tensor, ...],
    unit: Mapping[str, Tensor],
    sent: Mapping[str, Tensor] | None,
    generator: torch.Generator | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what enters every population, and what it sends in the original numbers.

    Args:
        graph: The graph, in numbers that ``unit`` turns into the original ones.
        x: Inputs.
        unit: What a unit at a population stands for; not used where values are drawn.
        sent: What populations send, in the original numbers; random shares of ``unit`` if None.
        generator: Where random numbers come from.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        if ops.kind(node) == "pool":
            return pool_operator(graph, node)(value)
        if node.op not in ops.SPIKING_OPS:
            return value
        known = None if sent is None else sent[node.name]
        if known is None:
            known = torch.rand(value.shape, generator=generator) * unit[node.name]
            out = known
        else:
            out = known / unit[node.name]
        found[node.name] = value.clone(), known
        return out

    with torch.no_grad():
        Program(graph, site=site, pools=True)(*x)
    return found


def _constant(
    name: str,
    differences: list[dict[str, Tensor]],
    drives: list[dict[str, Tensor]],
    scale: Tensor,
) -> Tensor | None:
    """Return the constant by which drives differ, None if it is nothing."""
    first, second = (d[name] for d in differences)
    largest = max(float(d[name].abs().max()) for d in drives)
    if float((first - second).abs().max()) > _TOLERANCE * max(largest, float(scale.max())):
        raise ConfigError(
            f"reference: expected the weights that the network was converted from, got others at "
            f"{name}. Load the original model's weights."
        )
    constant = 0.5 * (first[:1] + second[:1])
    noise = _NOTHING * max(largest, float(scale.max()))
    return constant if float(constant.abs().max()) > noise else None
