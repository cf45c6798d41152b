# SPDX-License-Identifier: Apache-2.0
"""Add up what a network answers, input by input and step by step, beside labels and the original.

Class scores are judged by their decisions, everything else by its distance from the original.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikewright.calibration.collect import classes_of
from spikewright.errors import ConfigError
from spikewright.evaluation.output_error import OutputError, exact_sum
from spikewright.evaluation.outputs import Form, Wanted
from spikewright.simulators import difference

__all__ = ["Answers", "Beside", "Decisions", "Differences", "answers_for", "labels_of"]

_AT_ONCE = 1 << 20
"""Elements of an output that are compared at once, which bounds the memory for float64."""

_LARGEST = 1e280
"""Squares from which on a difference counts as infinite, so that no sum of them is."""


@dataclass(frozen=True)
class Beside:
    """What a batch's answers are held against.

    Attributes:
        target: Class numbers, "batch", where the outputs are class scores and classes are known.
        wanted: What the original network returned, if it was run.
        labelled: Whether labels came with the inputs, whatever they are.
    """

    target: Tensor | None = None
    wanted: Wanted | None = None
    labelled: bool = False

    def cut(self, sizes: Sequence[int]) -> list["Beside"]:
        """Cut it as the batch was cut."""
        if len(sizes) == 1:
            return [self]
        alone = [None] * len(sizes)
        targets = alone if self.target is None else torch.split(self.target, list(sizes))
        wanted = alone if self.wanted is None else self.wanted.cut(sizes)
        return [Beside(t, w, self.labelled) for t, w in zip(targets, wanted, strict=True)]


@runtime_checkable
class Answers(Protocol):
    """Sums over inputs of what may be said of one kind of outputs."""

    @property
    def reference(self) -> tuple[int, int]:
        """Right decisions of the original network, and labelled inputs that it was run on."""
        ...

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin some inputs.

        Args:
            size: How many.
            beside: What their answers are held against.

        Returns:
            To be called after each step of the read-out with its number, from 0, and the outputs;
            raises ConfigError if they are not what the original network returned.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """Return the sums, as fields of ``LengthResult``."""
        ...


def answers_for(form: Form, steps: int) -> Answers:
    """Return what adds up the answers of outputs of a form over so many steps."""
    return Decisions(steps) if form.classes else Differences(form, steps)


def labels_of(target: Any, form: Form, inputs: int, index: int) -> Tensor | None:  # noqa: ANN401 - whatever a loader yields
    """Read the classes of a batch; labels beside other outputs than class scores are not read.

    Args:
        target: What stands beside the inputs, None for nothing.
        form: What the outputs are.
        inputs: How many inputs there are.
        index: Number of the batch, for messages.

    Raises:
        ConfigError: If they are no class numbers, or a class is beyond the outputs.
    """
    if target is None or not form.classes:
        return None
    classes = classes_of(target, inputs, index)
    if len(classes) and int(classes.max()) >= form.classes:
        raise ConfigError(
            f"batch {index}: expected class numbers below {form.classes}, the network's outputs, "
            f"got {int(classes.max())}. Check the labels."
        )
    return classes


class Decisions:
    """Decisions from class scores: right ones, and those equal to the original network's."""

    def __init__(self, steps: int) -> None:
        self._correct, self._agree = [0] * steps, [0] * steps
        self._labelled = self._compared = 0
        self.reference = (0, 0)

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin some inputs; see :class:`Answers`."""
        original: Tensor | None = None
        target = beside.target
        self._labelled += size * (target is not None)
        self._compared += size * (beside.wanted is not None)

        def add(step: int, outputs: Sequence[Tensor]) -> None:
            nonlocal original
            if step == 0 and beside.wanted is not None:
                original = _classes(beside.wanted, outputs)
                if target is not None:
                    right, known = self.reference
                    self.reference = right + _equal(original, target), known + size
            decided = outputs[0].argmax(1)
            if target is not None:
                self._correct[step] += _equal(decided, target)
            if original is not None:
                self._agree[step] += _equal(decided, original)

        return add

    def facts(self) -> dict[str, Any]:
        """Return the sums; see :class:`Answers`."""
        return {
            "labelled": self._labelled,
            "correct": tuple(self._correct),
            "compared": self._compared,
            "agree": tuple(self._agree),
        }


def _classes(wanted: Wanted, outputs: Sequence[Tensor]) -> Tensor:
    """Return the original network's decisions."""
    wanted.check(outputs)
    return wanted.values[0].argmax(1)


def _equal(decided: Tensor, wanted: Tensor) -> int:
    return int((decided == wanted.to(decided.device)).sum())


class Differences:
    """How far outputs that are no class scores are from the original network's."""

    def __init__(self, form: Form, steps: int) -> None:
        self._form, self._steps = form, steps
        self._errors: list[_Sums] = []
        self._unused_labels = 0
        self.reference = (0, 0)

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin some inputs; see :class:`Answers`."""
        self._unused_labels += size * beside.labelled
        wanted = beside.wanted

        def add(step: int, outputs: Sequence[Tensor]) -> None:
            if wanted is None:
                return
            if step == 0:
                self._begin(wanted, outputs)
            for sums, value, original in zip(self._errors, outputs, wanted.values, strict=True):
                sums.add(step, value, original.to(value.device))

        return add

    def _begin(self, wanted: Wanted, outputs: Sequence[Tensor]) -> None:
        wanted.check(outputs)
        if not self._errors:
            self._errors = [
                _Sums(name, value.is_floating_point() and original.is_floating_point(), self._steps)
                for name, value, original in zip(wanted.names, outputs, wanted.values, strict=True)
            ]

    def facts(self) -> dict[str, Any]:
        """Return the sums; see :class:`Answers`."""
        return {
            "labelled": 0,
            "correct": (0,) * self._steps,
            "compared": 0,
            "agree": (0,) * self._steps,
            "outputs": self._form.text,
            "unused_labels": self._unused_labels,
            "errors": tuple(sums.result() for sums in self._errors),
        }


class _Sums:
    """What has been added up for one output so far."""

    def __init__(self, name: str, floating: bool, steps: int) -> None:
        self._name, self._floating = name, floating
        self._elements = 0
        self._norm: tuple[float, ...] = ()
        self._squared: list[tuple[float, ...]] = [()] * steps
        self._odd, self._equal = [0] * steps, [0] * steps

    def add(self, step: int, value: Tensor, wanted: Tensor) -> None:
        """Compare an output after a step; a row of it is an input's where inputs come first."""
        if not self._floating:
            self._equal[step] += int((value == wanted).sum())
            self._elements += value.numel() * (step == 0)
            return
        rows = max(1, len(value)) if value.ndim else 1
        ours, theirs = value.reshape(rows, -1), wanted.reshape(rows, -1)
        most = max(1, _AT_ONCE // max(1, ours.shape[1]))
        for a, b in zip(torch.split(ours, most), torch.split(theirs, most), strict=True):
            error = difference(a, b).square()
            odd = ~(error < _LARGEST)
            self._odd[step] += int(odd.sum())
            self._squared[step] = _more(self._squared[step], error.masked_fill(odd, 0.0))
            if step == 0:
                square = b.double().square()
                self._elements += b.numel()
                self._norm = _more(self._norm, square.masked_fill(~(square < _LARGEST), 0.0))

    def result(self) -> OutputError:
        """Return the sums."""
        floating = self._floating
        return OutputError(
            name=self._name,
            elements=self._elements,
            norm=self._norm,
            squared=tuple(self._squared) if floating else (),
            odd=tuple(self._odd) if floating else (),
            equal=() if floating else tuple(self._equal),
        )


def _more(total: tuple[float, ...], squares: Tensor) -> tuple[float, ...]:
    """Add the sum of each row to a sum, exactly."""
    return exact_sum([*total, *squares.sum(1, dtype=torch.float64).tolist()])
