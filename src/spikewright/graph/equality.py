# SPDX-License-Identifier: Apache-2.0
"""The equality law, first half: a graph that passes have rewritten still computes its model.

Every site is given the original network's own activation, so that a difference shows in the very
stretch of operators in which it arises, and a staircase's rounding at an edge does not spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from spikewright.errors import VerificationError
from spikewright.graph import ops
from spikewright.graph.activation import activate
from spikewright.graph.ir import Graph, Node, Param
from spikewright.graph.program import SiteFunction, visit

__all__ = ["TOLERANCE", "Difference", "check_rewritten", "difference", "operator_of", "reaches"]

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""By how much values may differ, as a share of the largest one at the same place (of the same
channel, where there are channels): what sums in another order and rounded weights make of it."""

_FLOOR = 0.1
"""Share of the tolerance that is granted of the largest value of all channels."""

_ROUNDING = 16.0
"""Rounding errors that are granted of the largest value on the way to a difference of values, which
may cancel to nothing."""

_HALF = 0.05
"""The tolerance towards a model in half precision, which is run in float32."""


@dataclass(frozen=True)
class Difference:
    """How two values differ.

    Attributes:
        relative: Largest difference as a share of the largest value.
        allowed: Largest difference as a share of what is allowed; above 1 the law is broken.
    """

    relative: float = 0.0
    allowed: float = 0.0


def difference(
    found: Tensor,
    wanted: Tensor,
    axis: int | None = None,
    tolerance: float | None = None,
    reach: float = 0.0,
) -> Difference:
    """Compare a value with the one that it must be.

    Args:
        found: Any shape and type.
        wanted: The same.
        axis: Axis that runs over channels, if any.
        tolerance: Instead of that of its type.
        reach: Largest value on the way to it; see :func:`reaches`.

    The same infinity, or no number, in both is no difference.
    """
    if found.shape != wanted.shape:
        return Difference(torch.inf, torch.inf)
    if not wanted.is_floating_point():
        share = float((found != wanted).double().mean()) if wanted.numel() else 0.0
        return Difference(share, share / 1e-3)
    if not wanted.numel():
        return Difference()
    share = TOLERANCE.get(wanted.dtype, _HALF) if tolerance is None else tolerance
    found, finite = found.to(wanted.dtype), wanted.isfinite()
    if not torch.equal(found.isfinite(), finite) or not torch.equal(
        found[~finite].nan_to_num(), wanted[~finite].nan_to_num()
    ):
        return Difference(torch.inf, torch.inf)
    found, wanted = (t.masked_fill(~finite, 0.0) for t in (found, wanted))
    gap, size = (found - wanted).abs(), wanted.abs()
    largest, worst = float(size.max()), float(gap.max())
    rounding = max(_ROUNDING * torch.finfo(wanted.dtype).eps * reach, 1e-30)
    if axis is not None:
        gap, size = (t.movedim(axis, 0).reshape(t.shape[axis], -1).amax(1) for t in (gap, size))
        allowed = share * (size + _FLOOR * largest)
        ratio = float((gap / allowed.clamp_min(rounding)).max())
    else:
        ratio = worst / max(share * largest, rounding)
    return Difference(worst / max(largest, reach, 1e-30), ratio)


def reaches(
    graph: Graph, inputs: Sequence[Tensor], site: SiteFunction | None = None
) -> dict[str, float]:
    """Return the largest of all values that each value is made of, from the last sites on.

    A softmax begins anew as a site does: scores that a mask has put out of reach do not round it.

    Args:
        graph: A graph in its own numbers.
        inputs: Its inputs.
        site: What its sites do.
    """
    found: dict[str, float] = {}

    def reach(name: str) -> float:
        if name in found:
            return found[name]
        return max(map(reach, graph[name].inputs), default=0.0)  # of a value that has parts

    def see(node: Node, value: Tensor) -> None:
        if not value.is_floating_point() or not value.numel():
            return
        bias = [
            graph.params[a.name]
            for a in (node.args if ops.kind(node) == "add" else node.args[2:3])
            if isinstance(a, Param) and graph.params[a.name].numel()
        ]
        own = [float(t.abs().max()) for t in (value, *bias)]
        anew = ops.kind(node) == "site" or node.op == "aten.softmax.int"
        before = [] if anew else [*map(reach, node.inputs)]
        found[node.name] = max(own + before)

    visit(graph, inputs, see, site)
    return found


def check_rewritten(
    raw: Graph, rewritten: Graph, inputs: Sequence[Tensor], results: Sequence[Tensor]
) -> float:
    """Check that a captured graph and what passes have made of it compute the model.

    Args:
        raw: The graph as it was captured.
        rewritten: What the passes have made of it; its nodes keep their names.
        inputs: A small batch of inputs.
        results: The model's own outputs for them.

    Returns:
        The largest difference found, as a share of the largest value beside it.

    Raises:
        VerificationError: Naming the first operator at which they differ.
    """
    inputs = [x.to(raw.dtype) if x.is_floating_point() else x for x in inputs]
    sites = {n.name for n in rewritten if ops.kind(n) == "site" and n.name in raw.nodes}
    seen: dict[str, Tensor] = {}
    wanted = {*sites, *raw.outputs}
    visit(raw, inputs, lambda n, v: seen.update({n.name: v}) if n.name in wanted else None)
    worst = 0.0
    for name, result in zip(raw.outputs, results, strict=True):
        gap = difference(seen[name], result.to(seen[name].device))
        if gap.allowed > 1.0:
            raise VerificationError(
                f"{raw[name].where()}: expected the captured operators to compute what the model "
                f"returns, got a difference of {gap.relative:.2g} of its largest value. Its "
                "results are not the same when it is run twice (random operators, state that it "
                "keeps), or depend on something else than its input; such a model cannot be "
                "converted."
            )
        worst = max(worst, gap.relative)
    returned = _returned(raw, rewritten)
    found = _compared(rewritten, inputs, seen, sites, returned)
    if any(gap.allowed > 1.0 for _, gap in found):
        found = _compared(rewritten, inputs, seen, sites, returned, reaches(raw, inputs))
    for node, gap in found:
        if gap.allowed > 1.0:
            raise _broken(_first(raw, rewritten, inputs, sites) or node, gap)
        worst = max(worst, gap.relative)
    return worst


def _returned(raw: Graph, rewritten: Graph) -> dict[str, list[str]]:
    """Return, for every node whose value is returned, the captured nodes that it stands for."""
    found: dict[str, list[str]] = {}
    for name, captured in zip(rewritten.outputs, raw.outputs, strict=True):
        found.setdefault(name, []).append(captured)
    return found


def _compared(
    graph: Graph,
    inputs: Sequence[Tensor],
    known: dict[str, Tensor],
    names: set[str],
    returned: Mapping[str, Sequence[str]],
    reach: Mapping[str, float] = MappingProxyType({}),
) -> list[tuple[Node, Difference]]:
    """Run a graph whose sites send the values known; compare those named and those returned."""
    found: list[tuple[Node, Difference]] = []

    def compare(node: Node, value: Tensor, name: str) -> None:
        found.append((node, difference(value, known[name], reach=reach.get(name, 0.0))))

    def see(node: Node, value: Tensor) -> None:
        if node.name in names and ops.kind(node) != "site":
            compare(node, value, node.name)
        for name in returned.get(node.name, ()):
            compare(node, value, name)

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        own = activate(node, value)
        if node.name not in names:
            return own
        wanted = known[node.name]  # of a clip that was merged into this one, its first
        if "levels" in node.kwargs:
            slack = 1e-5 * (value.abs() + float(node.kwargs["cap"]))
            low, high = activate(node, value - slack), activate(node, value + slack)
            own = torch.where((low <= wanted) & (wanted <= high), wanted, own)
        else:
            wanted = activate(node, wanted)
        found.append((node, difference(own, wanted, reach=reach.get(node.name, 0.0))))
        return wanted

    visit(graph, inputs, see, site)
    order = {name: place for place, name in enumerate(graph.nodes)}
    return sorted(found, key=lambda item: order[item[0].name])


def _first(raw: Graph, rewritten: Graph, inputs: Sequence[Tensor], sites: set[str]) -> Node | None:
    """Return the first operator of all whose value differs; pools may have been moved."""
    few = [x[:2] for x in inputs]
    seen: dict[str, Tensor] = {}
    visit(raw, few, lambda n, v: seen.update({n.name: v}))
    names = {n.name for n in rewritten if n.name in seen and ops.kind(n) not in ("pool", "shape")}
    gaps = _compared(
        rewritten, few, seen, names | sites, _returned(raw, rewritten), reaches(raw, few)
    )
    return next((n for n, gap in gaps if gap.allowed > 1.0), None)


def _broken(node: Node, gap: Difference) -> VerificationError:
    return VerificationError(
        f"{node.where()}: expected {operator_of(node)} to compute what it computes in the model "
        f"(within {TOLERANCE[torch.float32]:g}), got a difference of {gap.relative:.2g} of its "
        "largest value. The fault is in the conversion, not in your model; please report it with "
        "the model's code."
    )


def operator_of(node: Node) -> str:
    """Name an operator for a message, with its node where that says more."""
    return f"{ops.describe(node)} ({node.name})"
