# SPDX-License-Identifier: Apache-2.0
"""From what a user gives (a tensor, a tuple, a dictionary) to a call of the model, and back."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright.errors import ShapeError, UnsupportedModuleError
from spikewright.graph.ir import Graph

__all__ = ["Call", "call_of", "doubled", "inputs_for", "positional_names", "read_batch"]


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a model.

    Attributes:
        args: Positional arguments; tensors may be nested in them.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return its tensors, in order."""
        leaves = pytree.tree_leaves((self.args, dict(self.kwargs)))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def positional_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the arguments that a model's forward takes by position."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in _parameters(model).values() if p.kind in kinds)


def required_arguments(model: nn.Module) -> int:
    """Return how many arguments a model's forward cannot do without."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = _parameters(model).values()
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def _parameters(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return {}


def call_of(model: nn.Module, given: Any) -> Call:  # noqa: ANN401 - a tensor, tuple or dictionary
    """Return the call that a user's input means.

    A tensor is the one argument; a tuple or list holds the positional arguments; a dictionary
    holds keyword arguments, unless the model takes dictionaries (its arguments have other names).
    """
    if isinstance(given, Tensor):
        return Call((given,))
    if isinstance(given, Mapping):
        known = _parameters(model)
        open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
        if not known or open_ended or all(key in known for key in given):
            return Call((), given)
        return Call((given,))
    if isinstance(given, tuple | list):
        return Call(tuple(given))
    raise UnsupportedModuleError(
        f"example: expected a tensor, a tuple of inputs or a dictionary of keyword arguments, got "
        f"{type(given).__name__}. Pass what the model takes."
    )


def doubled(call: Call, model: nn.Module) -> Call:
    """Return a call for a contiguous batch of two, which is what models are captured with.

    Raises:
        ShapeError: If an input has no batch axis, holds no sample, or holds another number of
            samples than the others.
    """
    found = call.tensors()
    if not found:
        raise ShapeError(
            "example: expected a batch of inputs, got none. Pass a tensor as a data loader would "
            "deliver it."
        )
    for tensor in found:
        if tensor.ndim < 1 or (len(found) == 1 and tensor.ndim < 2) or tensor.shape[0] < 1:
            raise ShapeError(
                f"example: expected a batch of inputs (batch, ...), got shape "
                f"{tuple(tensor.shape)}. Pass a tensor as a data loader would deliver it."
            )
    counts = {int(t.shape[0]) for t in found}
    if len(counts) > 1:
        raise ShapeError(
            f"example: expected as many samples in every input, got {sorted(counts)}. The first "
            "axis of each input is the batch."
        )
    if any(t.is_complex() for t in found):
        raise UnsupportedModuleError(
            f"{type(model).__name__}: expected inputs of real numbers, got complex ones. Give the "
            "model their real and imaginary parts as two channels (torch.view_as_real)."
        )

    def two(leaf: Any) -> Any:  # noqa: ANN401 - any leaf
        if not isinstance(leaf, Tensor):
            return leaf
        both = torch.cat([leaf, leaf])[:2].detach()
        return both.clone(memory_format=torch.contiguous_format)

    return Call(pytree.tree_map(two, call.args), pytree.tree_map(two, dict(call.kwargs)))


def inputs_for(graph: Graph, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
    """Return the graph's inputs from the arguments of a call, as they would be given to the model.

    Raises:
        ShapeError: If they are not those that the model was captured with.
    """
    found = _bound(graph, args, kwargs)
    if found is None:
        raise ShapeError(
            f"input: expected {len(graph.inputs)} tensor(s) as the model was captured with "
            f"({', '.join(graph.names[: len(graph.inputs)]) or 'its arguments'}), got other "
            "arguments. Call the network as you would call the model."
        )
    return found


def _bound(
    graph: Graph, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Tensor, ...] | None:
    direct = graph.arguments.flatten((args, dict(kwargs)))
    if direct is not None:
        return direct
    named = {**dict(zip(graph.names, args, strict=False)), **kwargs}
    if len(named) != len(args) + len(kwargs):
        return None
    for count in range(len(named), -1, -1):  # the same arguments, otherwise given by name
        if not all(name in named for name in graph.names[:count]):
            continue
        positional = tuple(named[name] for name in graph.names[:count])
        rest = {name: value for name, value in named.items() if name not in graph.names[:count]}
        found = graph.arguments.flatten((positional, rest))
        if found is not None:
            return found
    return None


def read_batch(graph: Graph, batch: Any) -> tuple[tuple[Tensor, ...], Any] | None:  # noqa: ANN401
    """Split what a loader yields into the graph's inputs and what stands beside them.

    Taken are the inputs alone, (inputs, target), and for models with several inputs also
    (first, second, …) and (first, second, …, target).

    Returns:
        The inputs and the target (None if there is none), or None if the batch is neither.
    """
    if isinstance(batch, Tensor):
        found = _bound(graph, (batch,), {})
        return None if found is None else (found, None)
    if isinstance(batch, Mapping):
        found = _bound(graph, (), batch) or _bound(graph, (batch,), {})
        return None if found is None else (found, None)
    if not isinstance(batch, tuple | list) or not batch:
        return None
    if len(graph.inputs) > 1:
        for count in (len(batch), len(batch) - 1):
            found = _bound(graph, tuple(batch[:count]), {}) if count > 0 else None
            if found is not None:
                return found, (batch[count] if count < len(batch) else None)
    target = batch[1] if len(batch) > 1 else None
    if isinstance(batch[0], tuple | list) or len(graph.inputs) == 1:
        inner = tuple(batch[0]) if isinstance(batch[0], tuple | list) else (batch[0],)
        found = _bound(graph, inner, {}) or _bound(graph, (batch[0],), {})
        return None if found is None else (found, target)
    if isinstance(batch[0], Mapping):
        found = _bound(graph, (), batch[0]) or _bound(graph, (batch[0],), {})
        return None if found is None else (found, target)
    return None
