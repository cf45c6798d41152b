# SPDX-License-Identifier: Apache-2.0
"""Find out where every value of a captured graph holds the batch, by watching single samples.

The graph is run on two samples, once with each of them made of NaN: whatever becomes NaN depends
on that sample. This sees through every operator alike, reshapes that merge the batch with other
axes included, and it shows where samples are mixed, which no spiking network can do.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from spikewright.errors import UnsupportedModuleError
from spikewright.graph.batch import Merged, Size, batch_axis, sizes
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import visit

__all__ = ["locate_batch"]


def locate_batch(graph: Graph, example: Sequence[Tensor]) -> None:
    """Write into every shape where the batch is; in place.

    Args:
        graph: A captured graph whose shapes say how large each axis grows with the batch.
        example: The inputs it was captured with, two samples each.

    Raises:
        UnsupportedModuleError: If samples are mixed, exchanged or left out somewhere, or the
            batch is on two axes of a value.
    """
    growing = {n.name for n in graph if n.shape is not None and batch_axis(n.shape) is not None}
    for name in growing:
        if sum(not isinstance(s, int) for s in graph[name].shape or ()) > 1:
            raise _mixed(graph[name], "the batch on two axes of one value")
    depends: list[dict[str, Tensor]] = []
    for sample in range(2):
        found: dict[str, Tensor] = {}

        def watch(node: Node, value: Tensor, found: dict[str, Tensor] = found) -> None:
            if not value.is_floating_point() or not bool((nan := value.isnan()).any()):
                return
            axis = batch_axis(node.shape)
            if axis is None:
                raise _mixed(node, "a value without the batch that depends on a sample")
            found[node.name] = nan.movedim(axis.axis, 0).reshape(nan.shape[axis.axis], -1).any(1)

        visit(graph, tuple(_spoilt(x, sample, graph.dtype) for x in example), watch)
        depends.append(found)
    for name in growing:
        node = graph[name]
        shape = _ordered(node, *(d.get(name) for d in depends))
        graph.update(dataclasses.replace(node, shape=shape))


def _spoilt(x: Tensor, sample: int, dtype: torch.dtype) -> Tensor:
    if not x.is_floating_point():
        return x
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(x.shape, generator=generator, dtype=dtype).to(x.device)
    noise[sample] = torch.nan
    return noise


def _ordered(node: Node, first: Tensor | None, second: Tensor | None) -> tuple[Size, ...]:
    """Return a shape in which the batch stands between the right numbers of elements."""
    shape = node.shape or ()
    at = batch_axis(shape)
    if at is None:
        return shape
    length, others = sizes(shape, 2)[at.axis], at.outer * at.inner
    none = torch.zeros(length, dtype=torch.bool)
    depends = [none if d is None else d.cpu() for d in (first, second)]
    if bool((depends[0] & depends[1]).any()):
        raise _mixed(node, "values that depend on several samples")
    place = torch.arange(length)
    for inner in sorted((n for n in range(1, others + 1) if others % n == 0), reverse=True):
        owner = place // inner % 2
        if not bool((depends[0] & (owner != 0)).any() or (depends[1] & (owner != 1)).any()):
            size = None if others == 1 else Merged(others // inner, inner)
            return (*shape[: at.axis], size, *shape[at.axis + 1 :])
    raise _mixed(node, "samples in another order than they came in")


def _mixed(node: Node, what: str) -> UnsupportedModuleError:
    if "batch_norm" in node.op:
        return UnsupportedModuleError(
            f"{node.where()}: expected batch norm with running statistics, got one without. "
            "Train it with track_running_stats=True."
        )
    return UnsupportedModuleError(
        f"{node.where()}: expected an operator that treats every sample of a batch by itself, got "
        f"{node.op.split('.')[1]}, which makes {what}. Take it out of the model: what a network "
        "decides about an input must not depend on the others."
    )
