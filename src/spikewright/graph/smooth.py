# SPDX-License-Identifier: Apache-2.0
"""Smooth activations by what they compute: ``x * sigmoid(x)`` is SiLU, whatever its spelling.

Many of them hold the product of a value with a function of itself. Written out, it would look like
a product of two values; it is a function of one number, and becomes the operator of that name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from spikewright.graph.build import Rewrite, shape_of
from spikewright.graph.chains import chains, evaluate
from spikewright.graph.ir import Graph, Node, Ref
from spikewright.graph.program import resolve_operator

__all__ = ["KNOWN", "find_smooth"]

KNOWN: Sequence[tuple[str, Mapping[str, Any], float]] = (
    ("aten.gelu.default", {"approximate": "tanh"}, 1.0),
    ("aten.gelu.default", {}, 1.0),
    ("aten.silu.default", {}, 1.0),
    ("aten.silu.default", {}, 1.702),  # OpenAI's quick GELU
    ("aten.mish.default", {}, 1.0),
    ("aten.hardswish.default", {}, 1.0),
)
"""Operator f, its keyword arguments, and a factor: the activation is f(factor · x) / factor."""

_CLOSE = 2e-6  # constants are rounded to float32; both forms of GELU differ by 5e-4


def find_smooth(graph: Graph) -> None:
    """Write activations that multiply a value by a function of itself under their names, in place.

    Args:
        graph: A graph in which activations of straight lines have been found.
    """
    if not any(_multiplies(node) for node in graph):
        return
    order = {n: i for i, n in enumerate(graph.nodes)}
    for name in reversed(tuple(graph.nodes)):
        if name not in graph.nodes:
            continue
        for source, chain in reversed(tuple(chains(graph, name, order, _multiplies))):
            if _replace(graph, name, source, chain):
                graph.prune()
                order = {n: i for i, n in enumerate(graph.nodes)}
                break


def _multiplies(node: Node) -> bool:
    return node.op == "aten.mul.Tensor" and all(isinstance(a, Ref) for a in node.args[:2])


def _replace(graph: Graph, name: str, source: str, chain: Sequence[Node]) -> bool:
    """Put a known activation in the place of a chain; return whether it is one."""
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    found = evaluate(graph, source, chain, x, 0.0)
    for op, kwargs, gain in KNOWN:
        wanted = resolve_operator(op)(gain * x, **kwargs) / gain
        if found.shape == x.shape and bool(
            ((found - wanted).abs() <= _CLOSE * (1 + x.abs())).all()
        ):
            w = Rewrite(graph, graph[name], {})
            y = w.scale(graph[source], gain)
            y = w.call(op, y, shape=shape_of(graph[name]), **kwargs)
            return w.finish(w.scale(y, 1 / gain))
    return False
