# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation: mean IoU of the classes of pixels, and beside the original's own."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.detection import Confusion, confusion
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.tasks.base import Answers, Beside, Task, no_decisions, refuse
from spikewright.tasks.form import Form, Wanted
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.scene import Scene
from spikewright.tasks.series import Series

__all__ = ["Pixels", "Segmentation"]


@dataclass(frozen=True, kw_only=True)
class Segmentation(Task):
    """Decides the class with the largest score at every pixel.

    Scores that are coarser than the labels are first resized to them (bilinear, without aligned
    corners, as torchvision's models do). A network with several outputs is judged by its first one.

    Args:
        classes: How many classes there are.
        ignore: Label of pixels that are not judged.

    Raises:
        ConfigError: If there are fewer than two classes.
    """

    name: ClassVar[str] = "segmentation"

    classes: int
    ignore: int = 255

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ConfigError(
                f"segmentation.classes: expected at least 2, got {self.classes}. Count the "
                "background, too."
            )

    def target(self, given: Any, form: Form, inputs: int, index: int) -> Tensor | None:  # noqa: ANN401 - whatever a loader yields
        """Read the classes of pixels, "batch height width".

        Raises:
            ConfigError: If they are something else.
        """
        if given is None:
            return None
        labels = given.squeeze(1) if isinstance(given, Tensor) and given.ndim == 4 else given
        if (
            not isinstance(labels, Tensor)
            or labels.ndim != 3
            or len(labels) != inputs
            or labels.is_floating_point()
        ):
            got = (
                f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given)
            )
            raise ConfigError(
                f"batch {index}: expected class numbers of pixels ({inputs}, height, width), got "
                f"{got}. Give label maps of whole numbers."
            )
        return labels

    def answers(self, network: SpikingNetwork, form: Form) -> Answers:
        """Return an empty account; see :class:`Task`."""
        return _Counted(self, network.steps, form)


class _Counted:
    """Pixels of one class taken for another, after every step."""

    reference = (0, 0)

    def __init__(self, task: Segmentation, steps: int, form: Form) -> None:
        self._task, self._form = task, form
        none = Confusion(torch.zeros(task.classes, task.classes, dtype=torch.int64))
        self._right, self._same, self._ann = [none] * steps, [none] * steps, none

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin some images; see :class:`Answers`."""
        target, original = beside.target, None

        def add(step: int, outputs: Sequence[Tensor]) -> None:
            nonlocal original
            scores = self._scores(outputs)
            if step == 0 and beside.wanted is not None:
                original = self._original(beside.wanted, outputs, target)
            decided = _decided(scores, target)
            if target is not None:
                self._right[step] += self._confused(decided, target)
            if original is not None:
                self._same[step] += self._confused(decided, original)

        return add

    def _original(self, wanted: Wanted, outputs: Sequence[Tensor], target: Tensor | None) -> Tensor:
        """Return what the original network decides, and count it."""
        wanted.check(outputs)
        original = _decided(self._scores(wanted.values), target)
        if target is not None:
            self._ann += self._confused(original, target)
        return original

    def _scores(self, outputs: Sequence[Tensor]) -> Tensor:
        scores = outputs[0]
        if scores.ndim != 4 or scores.shape[1] != self._task.classes:
            expected = f"scores (batch, {self._task.classes}, height, width)"
            raise refuse(self._task.name, self._form, expected)
        return scores

    def _confused(self, decided: Tensor, target: Tensor) -> Confusion:
        return confusion(decided.cpu(), target.cpu(), self._task.classes, self._task.ignore)

    def facts(self) -> dict[str, Any]:
        """Return the counts; see :class:`Answers`."""
        return {
            **no_decisions(len(self._right)),
            "outputs": "scores of pixels",
            "task": self._task.name,
            "tally": Pixels(tuple(self._right), tuple(self._same), self._ann),
        }


def _decided(scores: Tensor, target: Tensor | None) -> Tensor:
    if target is not None and scores.shape[2:] != target.shape[1:]:
        size = (target.shape[1], target.shape[2])
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    return scores.argmax(1)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Counts of pixels, which add up over parts of a data set.

    Attributes:
        right: Against the labels, after each step.
        same: Against what the original network decides, after each step.
        ann: Of the original network against the labels.
    """

    right: tuple[Confusion, ...]
    same: tuple[Confusion, ...]
    ann: Confusion

    def merge(self, other: "Pixels") -> "Pixels":
        """Add other images."""
        return dataclasses.replace(
            self,
            right=tuple(a + b for a, b in zip(self.right, other.right, strict=True)),
            same=tuple(a + b for a, b in zip(self.same, other.same, strict=True)),
            ann=self.ann + other.ann,
        )

    @property
    def parts(self) -> tuple[PartScore, ...]:
        """No figures of parts."""
        return ()

    def scene(self, index: int) -> Scene | None:
        """Return nothing: pixels have no boxes."""
        return None

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """Mean IoU and share of right pixels; and mean IoU beside the original's own."""
        found = list[Series]()
        if self.right[-1].pixels:
            iou = tuple(c.mean_iou for c in self.right)
            found.append(Series("mean IoU", iou, self.ann.mean_iou))
            right = tuple(c.accuracy for c in self.right)
            found.append(Series("pixel accuracy", right, self.ann.accuracy))
        if self.same[-1].pixels:
            found.append(Series("fidelity mean IoU", tuple(c.mean_iou for c in self.same)))
        return tuple(found)
