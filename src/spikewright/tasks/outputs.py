# SPDX-License-Identifier: Apache-2.0
"""Outputs whose meaning nobody has told: how far each of them is from the original network's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.network import SpikingNetwork
from spikewright.simulators import difference
from spikewright.tasks.base import Answers, Beside, Task, no_decisions
from spikewright.tasks.form import Form, Wanted
from spikewright.tasks.output_error import OutputError, exact_sum

__all__ = ["Differences", "Outputs"]

_AT_ONCE = 1 << 20
"""Elements of an output that are compared at once, which bounds the memory for float64."""

_LARGEST = 1e280
"""Squares from which on a difference counts as infinite, so that no sum of them is."""


@dataclass(frozen=True, kw_only=True)
class Outputs(Task):
    """Decides nothing: the figures are relative error and signal-to-noise ratio of every output.

    For regression, maps, embeddings, and every network whose task we do not know. Labels are not
    read. Integer and boolean outputs have the share of equal elements.
    """

    name: ClassVar[str] = "outputs"

    def target(self, given: Any, form: Form, inputs: int, index: int) -> None:  # noqa: ANN401 - whatever a loader yields
        """Read nothing."""

    def answers(self, network: SpikingNetwork, form: Form) -> Answers:
        """Return an empty account; see :class:`Task`."""
        return Differences(form, network.steps)


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
            **no_decisions(self._steps),
            "outputs": self._form.text,
            "task": Outputs.name,
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
