# SPDX-License-Identifier: Apache-2.0
"""One spelling for each thing that can be said in many: what `spikewright.graph.ops` does not know.

Networks are written in far more operators than the passes behind need to know. Here every operator
that is linear, affine, layout, an activation or a maximum under another name becomes one of the
few in the support table, with the same function.
"""

from collections.abc import Mapping

from torch import Tensor

from spikewright.graph import affine, layout, linear, maxima, piecewise, products, scatter
from spikewright.graph.build import Rewrite, Rule
from spikewright.graph.chains import is_pointwise, is_uniform
from spikewright.graph.constants import constants
from spikewright.graph.ir import Graph, Param
from spikewright.graph.shifted import find_shifted_staircases
from spikewright.graph.smooth import find_smooth
from spikewright.graph.staircase import find_staircases

__all__ = ["SPELLINGS", "normalise", "normalise_factors"]

_LINEAR: Mapping[str, Rule] = {**linear.RULES, **affine.RULES, **layout.RULES, **scatter.RULES}
_MOVES = frozenset(
    rule for name, rule in layout.RULES.items() if name.split(".")[1] not in ("cumsum", "diff")
)
"""Rules that take whole numbers as they take any; others would make floating numbers of them."""


SPELLINGS: Mapping[str, Mapping[str, Rule]] = {
    "a weighted layer, where one factor is a constant": linear.RULES,
    "factors, additions and zero padding, where the other operand is a constant": affine.RULES,
    "layout and sums": layout.RULES,
    "layout, where the places are constants": scatter.RULES,
    "rectifiers and clips, as every continuous function of straight lines": piecewise.RULES,
    "maxima over axes; minima are those of the negative": maxima.RULES,
    "products of two values: `matmul`, and `mul` with broadcasting": products.RULES,
}
"""What operators are written as, and the rules by which."""


def normalise(graph: Graph) -> Graph:
    """Return an equal graph in the operators of the support table, as far as it can be said so.

    Args:
        graph: A captured and simplified graph; not changed.
    """
    graph = graph.copy()
    _use_constants(graph)
    _rewrite(graph, _LINEAR)
    graph = find_staircases(graph)
    find_shifted_staircases(graph)
    piecewise.find_piecewise(graph)
    _rewrite(graph, piecewise.RULES)
    _rewrite(graph, maxima.RULES)
    find_smooth(graph)
    _rewrite(graph, products.RULES)
    graph.prune()
    return graph


def normalise_factors(graph: Graph) -> Graph:
    """Return an equal graph in which products and sums with constants are in the support table.

    For networks that are trained on: everything else stays as it is written.

    Args:
        graph: A captured and simplified graph; not changed.
    """
    graph = graph.copy()
    _rewrite(graph, affine.RULES)
    graph.prune()
    return graph


def _rewrite(graph: Graph, rules: Mapping[str, Rule]) -> None:
    held: dict[str, Tensor] = constants(graph)
    for stale in graph:
        node = graph[stale.name]
        rule = rules.get(node.op)
        if node.name in graph.whole and rule not in _MOVES:
            continue
        if rule is not None and node.shape is not None and node.name not in held:
            rule(Rewrite(graph, node, held))


def _use_constants(graph: Graph) -> None:
    """Let elementwise operators read values that are the same for every sample as constants."""
    held = constants(graph)
    for stale in graph:
        node = graph[stale.name]
        if node.name in held or not is_pointwise(node):
            continue
        if not any(graph[i].shape == node.shape and i not in held for i in node.inputs):
            continue  # the constant is the larger: it says how large the result is
        given: dict[str, Param] = {}
        for name in dict.fromkeys(node.inputs):
            if name in held:
                value = held[name]
                small = value.reshape(-1)[0] if is_uniform(value) else value
                given[name] = graph.fresh_param(f"{name}.value", small.clone())
        if given:
            graph.update(node.with_args(lambda r, g=given: g.get(r.name, r)))  # type: ignore[misc]
