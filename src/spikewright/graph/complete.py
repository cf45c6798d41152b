# SPDX-License-Identifier: Apache-2.0
"""What of a network needs whole trains: functions of complete values, products of two values."""

from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node

__all__ = ["complete_values", "needs_whole_trains"]


def complete_values(graph: Graph) -> set[str]:
    """Return the values that are complete: read-outs, and what is made of them before neurons.

    Args:
        graph: A graph with its sites.
    """
    complete: set[str] = set()
    for node in graph:
        reads = any(i in complete for i in node.inputs)
        if node.op == ops.READOUT or (reads and ops.kind(node) != "site"):
            complete.add(node.name)
    return complete


def needs_whole_trains(graph: Graph, *, products: bool = True) -> list[Node]:
    """Return the operators that populations can do only when all of their input has come.

    They are products of two values, and what function units compute between read-outs and the
    neurons that they load.

    Args:
        graph: A graph with its sites.
        products: Whether products are told as well.
    """
    complete = complete_values(graph)
    loaded = [n for n in graph if ops.kind(n) == "site" and set(n.inputs) & complete]
    units = graph.ancestors(i for n in loaded for i in n.inputs) & complete
    found = [n for n in graph if n.name in units or (products and ops.kind(n) == "product")]
    named = [n for n in found if ops.kind(n) in ("analog", "product")]
    return named or [n for n in found if ops.kind(n) not in ("site", "shape")] or loaded
