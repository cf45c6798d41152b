# SPDX-License-Identifier: Apache-2.0
"""Run calibration data through a graph and watch every site, changing nothing."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.observer import SiteObserver
from spikewright.calibration.statistics import Statistics
from spikewright.errors import CalibrationError, ConfigError
from spikewright.graph import Graph, Node, Program, analog_inputs, ops
from spikewright.graph.activation import activate
from spikewright.graph.batch import Shape, is_plain
from spikewright.graph.calls import read_batch
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.graph.sites import encoded_values

__all__ = ["Collector", "classes_of", "inputs_of", "read_inputs"]


def inputs_of(batch: Any) -> Tensor:  # noqa: ANN401 - whatever a loader yields
    """Return the input tensor of a batch that is a tensor or an (input, target) pair.

    Raises:
        CalibrationError: If it is neither.
    """
    if isinstance(batch, (tuple, list)) and batch and isinstance(batch[0], Tensor):
        return batch[0]
    if isinstance(batch, Tensor):
        return batch
    raise CalibrationError(
        f"data: expected tensors or (input, target) pairs, got {type(batch).__name__}. "
        "Wrap the loader so that it yields the model's input first."
    )


def read_inputs(graph: Graph, batch: Any, where: str) -> tuple[Inputs, Any]:  # noqa: ANN401
    """Return the network's inputs as a loader yields them, and what stands beside them.

    Args:
        graph: The captured network.
        batch: Its inputs, as the model takes them, or a pair of them and a target.
        where: What the batch is, for messages.

    Returns:
        The input (or a tuple of several), and the target, None if there is none.

    Raises:
        CalibrationError: If the batch is of another kind or holds NaN or infinity.
        ShapeError: If a shape is not the captured one.
    """
    found = read_batch(graph, batch)
    if found is None:
        inputs_of(batch)  # says what is wrong, unless the model has several inputs
        raise CalibrationError(
            f"{where}: expected the model's {len(graph.inputs)} input(s) as it takes them, or a "
            "pair of them and a target, got something else. Pass example=(first, second, …) as "
            "you would call the model, and let the loader yield the same."
        )
    advice = "Use the preprocessing that the model was trained with."
    graph.check_input(found[0], where, advice)
    inputs = found[0]
    if not all(bool(x.isfinite().all()) for x in inputs):
        raise CalibrationError(
            f"{where}: expected finite numbers, got NaN or infinity. Clean the data."
        )
    return inputs[0] if len(inputs) == 1 else inputs, found[1]


def _first_axis(shape: Shape | None) -> int | None:
    """Return the axis of an encoded value along which its neurons may have scales of their own."""
    return 1 if shape is not None and len(shape) > 1 and is_plain(shape) else None


def classes_of(target: Any, inputs: int, index: int) -> Tensor:  # noqa: ANN401 - as above
    """Return the class numbers of a batch, one an input.

    Args:
        target: What stands beside the inputs.
        inputs: How many there are.
        index: Number of the batch.

    Raises:
        ConfigError: If it is anything else: one-hot rows, scores, a column.
    """
    try:
        classes = torch.as_tensor(target)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"batch {index}: expected class numbers beside the inputs, got "
            f"{type(target).__name__}. Make the loader yield (input, class)."
        ) from error
    wrong = classes.shape != (inputs,) or classes.is_floating_point() or classes.is_complex()
    if wrong or bool((classes < 0).any()):
        below = "" if wrong else " with numbers below 0"
        raise ConfigError(
            f"batch {index}: expected a whole class number for each input, ({inputs},), got "
            f"{classes.dtype} of shape {tuple(classes.shape)}{below}. Give class numbers, no "
            'one-hot rows; task="outputs" reads no labels.'
        )
    return classes


class Collector:
    """Statistics of every site of a placed graph, batch by batch.

    Args:
        graph: A graph after ``place_sites``.
        channel_axis: Site name to the axis that runs over channels, None for none.
    """

    def __init__(self, graph: Graph, channel_axis: Mapping[str, int | None]) -> None:
        self._graph = graph
        self._boundary = analog_inputs(graph)
        self._encoded = encoded_values(graph)
        self._observers: dict[str, SiteObserver] = {
            n.name: SiteObserver(channel_axis[n.name], n.op == ops.RELAY)
            for n in graph
            if n.op in ops.SPIKING_OPS
        }
        for name, neurons in self._encoded.items():
            self._observers[neurons] = SiteObserver(_first_axis(graph[name].shape), True)
        for name in self._boundary:
            self._observers[name] = SiteObserver(None, True)
        self._watched = tuple(dict.fromkeys((*self._boundary, *self._encoded)))
        self._program = Program(graph, site=self._site, outputs=(*graph.outputs, *self._watched))
        self._samples = 0
        self._signed: set[str] = set()

    @property
    def signed_inputs(self) -> frozenset[str]:
        """Names of the input neurons that have seen a value below zero."""
        return frozenset(self._signed)

    def add(self, batch: Any, index: int) -> tuple[Tensor, ...]:  # noqa: ANN401 - see inputs_of
        """Observe one batch and return the network's outputs, which observing does not change.

        Args:
            batch: A tensor or an (input, target) pair.
            index: Which batch this is, for messages.

        Raises:
            CalibrationError: If the batch is of another kind or holds NaN or infinity.
            ShapeError: If its shape is not the captured one.
        """
        found, _ = read_inputs(self._graph, batch, f"calibration batch {index}")
        dtype = self._graph.dtype
        inputs = [x.to(dtype) if x.is_floating_point() else x for x in as_inputs(found)]
        with torch.no_grad():
            results = self._program(*inputs)
        outputs, watched = results[: len(self._graph.outputs)], results[len(self._graph.outputs) :]
        for name, value in zip(self._watched, watched, strict=True):
            if not value.is_floating_point():
                continue
            if name in self._boundary:
                self._watch(name, value)
            if name in self._encoded:
                neurons = self._encoded[name]
                self._observers[neurons].observe(value)
                if neurons not in self._signed and bool((value < 0).any()):
                    self._signed.add(neurons)
        self._samples += inputs[0].shape[0]
        return outputs

    def statistics(self) -> Statistics:
        """Return what has been seen.

        Raises:
            CalibrationError: If that is nothing.
        """
        if not self._samples:
            raise CalibrationError(
                "calibration: expected at least one batch, got none. An iterator can be read only "
                "once; pass a list or a DataLoader."
            )
        seen = {n: o for n, o in self._observers.items() if not o.is_empty}  # tokens have no range
        return Statistics(seen, self._samples)

    def _site(self, node: Node, x: Tensor, overwrite: bool) -> Tensor:
        x = activate(node, x, overwrite)
        if node.name in self._observers:
            self._watch(node.name, x)
        return x

    def _watch(self, name: str, value: Tensor) -> None:
        try:
            self._observers[name].observe(value)
        except CalibrationError as error:
            raise CalibrationError(f"{self._graph[name].where()}: {error}") from None
