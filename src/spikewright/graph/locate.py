# SPDX-License-Identifier: Apache-2.0
"""Find out where every value of a captured graph holds the batch, by watching single samples.

The graph is run on two samples, and twice again with each of them spoilt: made of NaN, or, where
the input is whole numbers or truth values, of other ones. Whatever becomes NaN, or anything else
than it was, depends on that sample. This sees through every operator alike, reshapes that merge
the batch with other axes included, and it shows where samples are mixed, which no spiking network
can do. Behind every operator the sample's elements are spoilt again, so that one that swallows NaN
(``where``, comparisons) hides nothing from those behind it; but not whole numbers, which may be
indices.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import UnsupportedModuleError
from spikewright.graph.batch import BatchAxis, Merged, Shape, batch_axis, sizes
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import resolve_operator, run_node

__all__ = ["locate_batch"]

SAMPLES = 2
ROUNDING = 1e-4


def locate_batch(graph: Graph, example: Sequence[Tensor]) -> None:
    """Write into every shape where the batch is; in place.

    Args:
        graph: A captured graph whose shapes say how large each axis grows with the batch.
        example: The inputs it was captured with, two samples each.

    Raises:
        UnsupportedModuleError: If samples are mixed, exchanged or left out somewhere, or the
            batch is on two axes of a value.
    """
    for node in graph:
        if sum(not isinstance(s, int) for s in node.shape or ()) > 1:
            raise _mixed(node, "the batch on two axes of one value")
    given = {n: _noise(x, graph.dtype) for n, x in zip(graph.inputs, example, strict=True)}
    last = {name: node.name for node in graph for name in node.inputs}
    envs: list[dict[str, Any]] = [{} for _ in range(1 + SAMPLES)]
    with torch.no_grad():
        for node in graph:
            if node.name in given:
                values: list[Any] = _given(given[node.name])
            else:
                values = [_run(graph, node, env) for env in envs]
            if isinstance(values[0], Tensor):
                shape = _located(graph, node, values) if node.inputs else node.shape or ()
                graph.update(dataclasses.replace(node, shape=shape))
                if _is_known(node, shape, values):
                    values = _spoilt(values, shape)
            for env, value in zip(envs, values, strict=True):
                env[node.name] = value
                for name in node.inputs:
                    if last[name] == node.name:
                        env.pop(name, None)


def _run(graph: Graph, node: Node, env: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors
    """Run one operator; those that draw random numbers draw the same ones every time."""
    if torch.Tag.nondeterministic_seeded not in getattr(resolve_operator(node.op), "tags", ()):
        return run_node(graph, node, env)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return run_node(graph, node, env)


def _noise(x: Tensor, dtype: torch.dtype) -> Tensor:
    if not x.is_floating_point():
        return x
    generator = torch.Generator().manual_seed(0)
    return torch.randn(x.shape, generator=generator, dtype=dtype).to(x.device)


def _given(x: Tensor) -> list[Tensor]:
    """Return an input as it is, and with each sample of whole numbers in turn made of others."""
    if x.is_floating_point() or x.dtype == torch.bool:
        return [x] * (1 + SAMPLES)  # spoilt as every other value
    owner = torch.arange(x.shape[0]).reshape(-1, *(1 for _ in x.shape[1:])).to(x.device)
    return [x, *(torch.where(owner == s, _others(x), x) for s in range(SAMPLES))]


def _others(x: Tensor) -> Tensor:
    """Return another number for each one, from among those that an index may be here."""
    low, high = (int(v) for v in x.aminmax())
    if low == high:
        return torch.full_like(x, 0 if low else 1)
    turned = low + high - x
    return torch.where(turned == x, low, turned)


def _is_known(node: Node, shape: Shape, values: Sequence[Tensor]) -> bool:
    """Tell whether it was seen where the batch is, or there is only one way."""
    at = batch_axis(shape)
    alone = at is not None and at.outer * at.inner == 1
    return alone or any(bool(_changed(node, values[0], v).any()) for v in values[1:])


def _spoilt(values: Sequence[Tensor], shape: Shape) -> list[Tensor]:
    """Return a value as it is, and with the elements of each sample in turn NaN (or not true)."""
    clean, at = values[0], batch_axis(shape)
    if at is None or not (clean.is_floating_point() or clean.dtype == torch.bool):
        return list(values)
    owner = _owner(at, clean.shape[at.axis]).to(clean.device)
    owner = owner.reshape(-1, *(1 for _ in shape[at.axis + 1 :]))
    if clean.dtype == torch.bool:
        return [clean, *(clean ^ (owner == s) for s in range(SAMPLES))]
    return [clean, *(clean.masked_fill(owner == s, torch.nan) for s in range(SAMPLES))]


def _owner(at: BatchAxis, length: int) -> Tensor:
    """Return the sample that each place along the batch's axis belongs to."""
    return torch.arange(length) // at.inner % SAMPLES


def _located(graph: Graph, node: Node, values: Sequence[Tensor]) -> Shape:
    """Return a value's shape, the batch standing between the right numbers of elements."""
    shape = node.shape or ()
    at = batch_axis(shape)
    changed = [_changed(node, values[0], value) for value in values[1:]]
    if at is None:
        if any(bool(c.any()) for c in changed):
            raise _mixed(node, "a value without the batch that depends on a sample")
        return shape
    places = [c.movedim(at.axis, 0).reshape(c.shape[at.axis], -1).any(1).cpu() for c in changed]
    if bool((places[0] & places[1]).any()):
        raise _mixed(node, "values that depend on several samples")
    for found in _candidates(graph, node, at):
        owner = _owner(found, len(places[0]))
        if not any(bool((p & (owner != sample)).any()) for sample, p in enumerate(places)):
            alone = found.outer * found.inner == 1
            size = None if alone else Merged(found.outer, found.inner)
            return (*shape[: at.axis], size, *shape[at.axis + 1 :])
    raise _mixed(node, "samples in another order than they came in")


def _changed(node: Node, clean: Tensor, spoilt: Tensor) -> Tensor:
    """Return where a value depends on the sample that was made NaN."""
    if not clean.is_floating_point():
        return clean != spoilt
    lost = spoilt.isnan() & ~clean.isnan()
    size = clean.nan_to_num(0.0, 0.0, 0.0).abs().amax() if clean.numel() else 0.0
    moved = (clean - spoilt).abs() > ROUNDING * size  # sums in another order are no dependence
    return lost | moved


def _candidates(graph: Graph, node: Node, at: BatchAxis) -> Iterator[BatchAxis]:
    """Yield where the batch may be on its axis: as in what the node reads first."""
    others = at.outer * at.inner
    for name in node.inputs:
        shape = graph[name].shape
        before = batch_axis(shape)
        if (
            before is not None
            and before.axis == at.axis
            and (sizes(shape or ()) == sizes(node.shape or ()))
        ):
            yield before
    for inner in range(others, 0, -1):
        if others % inner == 0:
            yield BatchAxis(at.axis, others // inner, inner)


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
