# SPDX-License-Identifier: Apache-2.0
"""Run calibration data through a graph and watch every site, changing nothing."""

from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.observer import SiteObserver
from spikewright.calibration.statistics import Statistics
from spikewright.errors import CalibrationError, ConfigError
from spikewright.graph import Graph, Node, Program, analog_inputs, ops
from spikewright.graph.activation import activate

__all__ = ["Collector", "classes_of", "inputs_of"]


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
            "one-hot rows."
        )
    return classes


class Collector:
    """Statistics of every site of a placed graph, batch by batch.

    Args:
        graph: A graph after ``place_sites``.
        channel_axis: Site name to the axis that runs over channels, None for none.
        input_name: Name under which the network's own input is kept.
    """

    def __init__(self, graph: Graph, channel_axis: dict[str, int | None], input_name: str) -> None:
        self._graph, self._input = graph, input_name
        self._boundary = analog_inputs(graph)
        self._observers: dict[str, SiteObserver] = {
            n.name: SiteObserver(channel_axis[n.name], n.op == ops.RELAY)
            for n in graph
            if n.op in ops.SPIKING_OPS
        }
        axis = 1 if len(graph.input_shape) > 1 else None
        self._observers[input_name] = SiteObserver(axis, True)
        for name in self._boundary:
            self._observers[name] = SiteObserver(None, True)
        self._program = Program(graph, site=self._site, outputs=(*graph.outputs, *self._boundary))
        self._samples = 0
        self.input_signed = False

    def add(self, batch: Any, index: int) -> tuple[Tensor, ...]:  # noqa: ANN401 - see inputs_of
        """Observe one batch and return the network's outputs, which observing does not change.

        Args:
            batch: A tensor or an (input, target) pair.
            index: Which batch this is, for messages.

        Raises:
            CalibrationError: If the batch is of another kind or holds NaN or infinity.
            ShapeError: If its shape is not the captured one.
        """
        x = inputs_of(batch)
        self._graph.check_input(
            x,
            f"calibration batch {index}",
            "Use the preprocessing that the model was trained with.",
        )
        x = x.to(self._graph.dtype)
        if not bool(x.isfinite().all()):
            raise CalibrationError(
                f"calibration batch {index}: expected finite numbers, got NaN or infinity. "
                "Clean the data."
            )
        self._observers[self._input].observe(x)
        self.input_signed = self.input_signed or bool((x < 0).any())
        with torch.no_grad():
            results = self._program(x)
        outputs, boundary = results[: len(self._graph.outputs)], results[len(self._graph.outputs) :]
        for name, value in zip(self._boundary, boundary, strict=True):
            self._watch(name, value)
        self._samples += x.shape[0]
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
        return Statistics(self._observers, self._samples)

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
