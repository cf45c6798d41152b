# SPDX-License-Identifier: Apache-2.0
"""The two factors of a product: registers that hold one, and the factor in front of these."""

import dataclasses
from collections.abc import Collection

import torch

from spikewright.graph import ops
from spikewright.graph.batch import sizes
from spikewright.graph.ir import Graph, Node, Ref

__all__ = ["factor_in_front", "factors", "give_factors", "takes_gain"]


def factors(graph: Graph, product: Node) -> tuple[str, str]:
    """Return the registers of a product, and the value that streams."""
    left, right = (arg.name for arg in product.args[:2])
    return (left, right) if ops.kind(graph[left]) == "hold" else (right, left)


def factor_in_front(graph: Graph, product: Node) -> Node:
    """Return the factor by which registers take in; :func:`give_factors` puts it there."""
    return graph[graph[factors(graph, product)[0]].inputs[0]]


def give_factors(graph: Graph, only: Collection[str] = ()) -> None:
    """Give products (all, or those named) registers of their own, a factor in front; in place."""
    for stale in graph:
        if ops.kind(stale) == "product" and (not only or stale.name in only):
            held, _ = factors(graph, stale)
            source = graph[held].inputs[0]
            one = torch.ones((), dtype=torch.float64)
            before = graph[source]
            if before.op == ops.SCALE:
                one, source = graph.params[before.params[0]], before.inputs[0]
            own = graph.insert_behind(source, ops.SCALE, "gain", place=held)
            gain = graph.fresh_param(f"{held}/gain", one)
            graph.update(dataclasses.replace(graph[own], args=(Ref(source), gain)))
            register = graph.insert_behind(own, ops.HOLD, "own", place=held)
            graph.redirect(held, register, only=[stale.name])
    if not only:
        graph.prune()


def takes_gain(graph: Graph, product: Node, form: torch.Size) -> bool:
    """Tell whether a factor of a product's value can be one of what its registers hold instead.

    Args:
        graph: The graph.
        product: The product.
        form: Shape of the factor, which broadcasts with the product's value.
    """
    held, _ = factors(graph, product)
    own = sizes(graph[held].shape or ())
    if product.kwargs["by"] == "matmul":
        left, wide = product.args[0].name == held, (1, 1, *form)
        if len(own) < 2 or len(product.shape or ()) < 2:
            return all(n == 1 for n in form)
        if wide[-1 if left else -2] != 1:  # along this axis the held factor is summed up
            return False
    near = own[max(0, len(own) - len(form)) :]
    return len(near) == len(form) and all(
        n in (1, size) for n, size in zip(form, near, strict=True)
    )
