# SPDX-License-Identifier: Apache-2.0
"""One spelling for each thing that can be said in many: what `spikewright.graph.ops` does not know.

Networks are written in far more operators than the passes behind need to know. Here every operator
that is linear, affine, layout, an activation or a maximum under another name becomes one of the
few in the support table, with the same function.
"""

from collections.abc import Mapping

from torch import Tensor

from spikewright.graph import affine, layout, linear, maxima, scatter
from spikewright.graph.build import Rewrite, Rule
from spikewright.graph.constants import constants
from spikewright.graph.ir import Graph

__all__ = ["normalise"]

_LINEAR: Mapping[str, Rule] = {**linear.RULES, **affine.RULES, **layout.RULES, **scatter.RULES}


def normalise(graph: Graph) -> Graph:
    """Return an equal graph in the operators of the support table, as far as it can be said so.

    Args:
        graph: A captured and simplified graph; not changed.
    """
    graph = graph.copy()
    _rewrite(graph, _LINEAR)
    _rewrite(graph, maxima.RULES)
    graph.prune()
    return graph


def _rewrite(graph: Graph, rules: Mapping[str, Rule]) -> None:
    held: dict[str, Tensor] = constants(graph)
    for stale in graph:
        node = graph[stale.name]
        rule = rules.get(node.op)
        if rule is not None and node.shape is not None and node.name not in held:
            rule(Rewrite(graph, node, held))
