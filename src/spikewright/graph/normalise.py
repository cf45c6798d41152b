# SPDX-License-Identifier: Apache-2.0
"""One spelling for each thing that can be said in many: what `spikewright.graph.ops` does not know.

Networks are written in far more operators than the passes behind need to know. Here every operator
that is linear, affine, layout, an activation or a maximum under another name becomes one of the
few in the support table, with the same function.
"""

from spikewright.graph.constants import constants
from spikewright.graph.ir import Graph
from spikewright.graph.linear import products_to_layers

__all__ = ["normalise"]


def normalise(graph: Graph) -> Graph:
    """Return an equal graph in the operators of the support table, as far as it can be said so.

    Args:
        graph: A captured and simplified graph; not changed.
    """
    graph = graph.copy()
    held = constants(graph)
    products_to_layers(graph, held)
    graph.prune()
    return graph
