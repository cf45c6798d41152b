# SPDX-License-Identifier: Apache-2.0
"""The equality law, second half: a network whose neurons send exact values computes the original.

Its **twin** is the converted graph with neurons that send what the original activation gives,
unquantised and unclipped. Every weight, bias, factor, average and wire is the spiking network's
own, so a unit that was carried wrongly, a bias that was lost or a shortcut that was scaled twice
shows here, and nothing else does.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import VerificationError
from spikewright.graph import ops
from spikewright.graph.activation import activate
from spikewright.graph.equality import (
    TOLERANCE,
    Difference,
    check_rewritten,
    difference,
    operator_of,
    reaches,
)
from spikewright.graph.ir import Graph, Inputs, Node, as_inputs
from spikewright.graph.program import Program, visit
from spikewright.network.base import Network

__all__ = [
    "AgainstOriginal",
    "Equality",
    "check_equality",
    "compare_original",
    "twin_outputs",
    "units_of",
]


@dataclass(frozen=True)
class Equality:
    """What the equality law found.

    Attributes:
        inputs: Inputs it was checked on.
        difference: Largest difference at any site or output, as a share of the largest value
            there.
        tolerance: What is allowed (of each channel's largest value).
    """

    inputs: int
    difference: float
    tolerance: float


def units_of(network: Network) -> dict[str, Tensor]:
    """Return what one unit at every population stands for in the original network."""
    found = {}
    for node in network.spiking_nodes():
        site = network.sites[node.name]
        unit = site.scale / network.full(node.name)
        found[node.name] = site.broadcast(unit, len(node.shape or ()))
    return found


def check_equality(network: Network, original: Graph, x: Inputs) -> Equality:
    """Check that a converted network's twin computes the original network.

    Both are given the same values at all sites, those of the original. What a method adds to
    currents on purpose (``Site.shift``) is taken off.

    Args:
        network: A converted network in floating point.
        original: The original network with the same sites, in its own numbers.
        x: A small batch of inputs.

    Raises:
        VerificationError: Naming the first operator at which they differ.
    """
    values = tuple(
        v.to(network.device, network.dtype) if v.is_floating_point() else v for v in as_inputs(x)
    )
    wanted: dict[str, tuple[Tensor, Tensor]] = {}

    def original_site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        wanted[node.name] = value, activate(node, value)
        return wanted[node.name][1]

    worst = Difference()
    broken: list[tuple[str, Tensor, Tensor, int | None]] = []
    units = units_of(network)

    def compare(name: str, found: Tensor, wanted: Tensor, axis: int | None = None) -> None:
        nonlocal worst
        gap = difference(found, wanted, axis)
        if gap.allowed > 1.0:
            broken.append((name, found.clone(), wanted, axis))
        else:
            worst = max(worst, gap, key=lambda g: g.relative)

    def twin_site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        before, sent = wanted[node.name]
        compare(node.name, _drive(network, node, value, units), before, _axis(network, node))
        compare(node.name, network.sites[node.name].function(before), sent)
        return sent / units[node.name] if node.name in units else sent

    params = {n: t.to(network.device) for n, t in original.params.items()}
    with torch.no_grad():
        results = Program(original, site=original_site, params=params)(*values)
        found = Program(network.graph, site=twin_site)(*values)
    for name, own, result in zip(network.graph.outputs, found, results, strict=True):
        compare(name, own, result)
    tolerance = TOLERANCE[network.dtype]
    if broken:  # values that cancel are measured by what they are made of
        moved = dataclasses.replace(original, params=params)
        largest = reaches(moved, values, lambda n, v, _: activate(n, v))
        for name, own, result, axis in broken:
            node = original[name]
            source = node.inputs[0] if ops.kind(node) == "site" else name
            gap = difference(own, result, axis, reach=largest.get(source, 0.0))
            if gap.allowed > 1.0:
                raise _error(network, original, values, name, gap, tolerance)
            worst = max(worst, gap, key=lambda g: g.relative)
    return Equality(int(values[0].shape[0]), worst.relative, tolerance)


@dataclass(frozen=True)
class AgainstOriginal:
    """How a network's twin stands to the original network.

    Attributes:
        agrees: Whether the equality law holds.
        difference: ‖twin − original‖ / ‖original‖ over all floating outputs, each run by itself;
            None where there are none.
        said: Why it was not checked, where the law is broken, or of which network it holds; empty
            otherwise.
    """

    agrees: bool | None
    difference: float | None = None
    said: str = ""

    def line(self) -> str:
        """Return it in one line."""
        if self.agrees is None:
            return f"against the original: not checked, {self.said}"
        gap = (
            "" if self.difference is None else f"; outputs differ by {self.difference:.1e} of them"
        )
        if self.agrees:
            said = f" {self.said}" if self.said else ""
            return f"against the original: equal with exact neurons{said}{gap}"
        return f"against the original: NOT EQUAL: {self.said}"


def compare_original(
    network: Network, captured: Graph, placed: Graph, x: Inputs
) -> AgainstOriginal:
    """Check the whole law on some inputs: from what was captured to the network's twin.

    Args:
        network: A converted network in floating point.
        captured: The original model as it was captured.
        placed: What passes have made of it, with the network's sites.
        x: Inputs.
    """
    values = as_inputs(x)
    results: dict[str, Tensor] = {}
    wanted = set(captured.outputs)
    keep = [v.to("cpu", captured.dtype) if v.is_floating_point() else v.cpu() for v in values]
    visit(captured, keep, lambda n, v: results.update({n.name: v}) if n.name in wanted else None)
    ordered = [results[name] for name in captured.outputs]
    twin = twin_outputs(network, network.check_input(x))
    gap = size = 0.0
    for own, result in zip(twin, ordered, strict=True):
        if result.is_floating_point():
            gap += float((own.cpu().double() - result.double()).square().sum())
            size += float(result.double().square().sum())
    relative = (gap / size) ** 0.5 if size else None
    try:
        check_rewritten(captured, placed, keep, ordered)
        check_equality(network, placed, x)
    except VerificationError as error:
        return AgainstOriginal(False, relative, str(error))
    return AgainstOriginal(True, relative)


def twin_outputs(network: Network, x: Inputs) -> tuple[Tensor, ...]:
    """Return what the network would compute if its neurons sent exact values.

    Args:
        network: A converted network in floating point.
        x: Inputs in its type and on its device.
    """
    units = units_of(network)

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        if node.name not in units:
            return value
        drive = _drive(network, node, value, units)
        return network.sites[node.name].function(drive) / units[node.name]

    with torch.no_grad():
        outputs: tuple[Tensor, ...] = Program(network.graph, site=site)(*as_inputs(x))
    return outputs


def _drive(network: Network, node: Node, value: Tensor, units: dict[str, Tensor]) -> Tensor:
    """Return what enters a site in the original numbers, without what its method adds."""
    if node.name not in units:
        return value
    site = network.sites[node.name]
    drive = value * units[node.name]
    if bool(site.shift.any()):
        drive = drive - site.broadcast(site.shift, value.ndim)
    return drive


def _axis(network: Network, node: Node) -> int | None:
    site = network.sites[node.name]
    return site.channel_axis if site.scale.numel() > 1 else None


def _error(
    network: Network,
    original: Graph,
    x: tuple[Tensor, ...],
    site: str,
    worst: Difference,
    tolerance: float,
) -> VerificationError:
    node = _first(network, original, tuple(v[:4] for v in x)) or network.graph[site]
    return VerificationError(
        f"{node.where()}: expected {operator_of(node)} to compute what it computes in the original "
        f"network (within {tolerance:g} of a channel's largest value), got a difference of "
        f"{worst.relative:.2g}, seen at {site}. The fault is in the conversion, not in your model; "
        "please report it with the model's code."
    )


def _first(network: Network, original: Graph, x: tuple[Tensor, ...]) -> Node | None:
    """Return the first operator whose value is not the original one in its unit."""
    graph, units = network.graph, units_of(network)
    seen: dict[str, Tensor] = {}
    visit(original, x, lambda n, v: seen.update({n.name: v}), lambda n, v, _: activate(n, v))
    shifted = {
        original[n].inputs[0]: n
        for n, s in network.sites.items()
        if n in original.nodes and bool(s.shift.any())
    }
    first: list[Node] = []

    def see(node: Node, value: Tensor) -> Tensor | None:
        if ops.kind(node) == "site" and node.name in seen:
            return seen[node.name] / units.get(node.name, 1.0)
        if first or node.name not in seen or not value.is_floating_point():
            return None
        own = value * graph.stands_for.get(node.name, 1.0)
        options = [seen[node.name]]
        if node.name in shifted:
            site = network.sites[shifted[node.name]]
            options.append(seen[node.name] + site.broadcast(site.shift, value.ndim))
        if all(difference(own, wanted, _channel(node)).allowed > 1.0 for wanted in options):
            first.append(node)
        return None

    visit(graph, x, see, lambda n, v, _: v)
    return first[0] if first else None


def _channel(node: Node) -> int | None:
    spec = ops.weighted(node)
    return None if spec is None else spec.channel_axis % len(node.shape or (1,))
