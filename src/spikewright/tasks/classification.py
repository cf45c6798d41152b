# SPDX-License-Identifier: Apache-2.0
"""Classification: the class of the largest score, right or wrong, and as the original decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.calibration.collect import classes_of
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.tasks.base import Answers, Beside, Task, refuse
from spikewright.tasks.form import Form, Wanted

__all__ = ["Classification", "Decided", "Decisions"]


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Decides the class with the largest score; figures are top-1 accuracy and agreement."""

    name: ClassVar[str] = "classification"

    def check(self, form: Form) -> None:
        """Refuse outputs that are no class scores; see :class:`Task`."""
        if not form.classes:
            raise refuse(self.name, form, "class scores (batch, classes)")

    def target(self, given: Any, form: Form, inputs: int, index: int) -> Tensor | None:  # noqa: ANN401 - whatever a loader yields
        """Read the classes of a batch.

        Raises:
            ConfigError: If they are no class numbers, or a class is beyond the outputs.
        """
        if given is None:
            return None
        classes = classes_of(given, inputs, index)
        if len(classes) and int(classes.max()) >= form.classes:
            raise ConfigError(
                f"batch {index}: expected class numbers below {form.classes}, the network's "
                f"outputs, got {int(classes.max())}. Check the labels."
            )
        return classes.to(torch.int64)

    def answers(self, network: SpikingNetwork, form: Form) -> Answers:
        """Return an empty account; see :class:`Task`."""
        return Decisions(network.steps)


class Decided:
    """Sums over decisions, however they are made."""

    def __init__(self, steps: int) -> None:
        self._correct, self._agree = [0] * steps, [0] * steps
        self._labelled = self._compared = 0
        self.reference = (0, 0)

    def facts(self) -> dict[str, Any]:
        """Return the sums; see :class:`Answers`."""
        return {
            "labelled": self._labelled,
            "correct": tuple(self._correct),
            "compared": self._compared,
            "agree": tuple(self._agree),
        }


class Decisions(Decided):
    """Decisions from class scores: right ones, and those equal to the original network's."""

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


def _classes(wanted: Wanted, outputs: Sequence[Tensor]) -> Tensor:
    """Return the original network's decisions."""
    wanted.check(outputs)
    return wanted.values[0].argmax(1)


def _equal(decided: Tensor, wanted: Tensor) -> int:
    return int((decided == wanted.to(decided.device)).sum())
