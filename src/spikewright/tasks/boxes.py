# SPDX-License-Identifier: Apache-2.0
"""The boxes of all images after every step, from which the figures are computed as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

from spikewright.detection import (
    Annotations,
    CocoTruth,
    Detections,
    DetectionScores,
    as_annotations,
    difference,
)
from spikewright.errors import ConfigError
from spikewright.tasks.box_parts import parts_of, scene_of
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.scene import Scene
from spikewright.tasks.series import Series

__all__ = ["Boxes"]


class _Judge(Protocol):
    """What of a task says how boxes are judged; see ``Detection``."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def least(self) -> float: ...

    @property
    def resamples(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Boxes:
    """What was found in all images, from which the figures are computed as a whole.

    Attributes:
        task: The task.
        size: Height and width of the network's input.
        images: Annotations of each image; empty ones of those without.
        labelled: Whether an image came with annotations.
        ann: What the original network found in each; None if it was not run.
        steps: What the spiking network found after each step, image by image; None where boxes
            were not decoded.
    """

    task: _Judge
    size: tuple[int, int]
    images: tuple[Annotations, ...] = ()
    labelled: tuple[bool, ...] = ()
    ann: tuple[Detections, ...] | None = ()
    steps: tuple[tuple[Detections, ...] | None, ...] = ()

    def merge(self, other: "Boxes") -> "Boxes":
        """Add other images.

        Raises:
            ConfigError: If the task has other settings.
        """
        if (self.task, self.size) != (other.task, other.size) or len(self.steps) != len(
            other.steps
        ):
            raise ConfigError("merge: expected boxes of one task and network, got different ones.")
        ann = None if self.ann is None or other.ann is None else self.ann + other.ann
        return Boxes(
            self.task,
            self.size,
            self.images + other.images,
            self.labelled + other.labelled,
            ann,
            tuple(
                None if b is None else (a or ()) + b
                for a, b in zip(self.steps, other.steps, strict=True)
            ),
        )

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """AP, AP50 and AP75 of labelled images; fidelity of all, where the original was run."""
        found = list[Series]()
        if self._known:
            names = {"AP": "ap", "AP50": "ap50", "AP75": "ap75"}
            scores, ann = self._right
            gaps = self._intervals() if ann is not None else {}
            found += [_series(name, field, scores, ann, gaps) for name, field in names.items()]
        if self.ann:
            own = as_annotations(self.ann, self.images, self.task.least)
            names = {"fidelity AP50": "ap50", "fidelity AP": "ap"}
            judge = CocoTruth(own, self.task.classes)
            scores = self._scored(judge, range(len(self.images)))
            found += [_series(name, field, scores) for name, field in names.items()]
        return tuple(found)

    @cached_property
    def parts(self) -> tuple[PartScore, ...]:
        """AP of sizes and classes after the last step, of labelled images."""
        if not self._known or (last := self._right[0][-1]) is None:
            return ()
        return parts_of([self.images[i] for i in self._known], last, self._right[1])

    def scene(self, index: int) -> Scene:
        """Return what was found in one image; see :class:`Tally`."""
        return scene_of(
            self.images[index],
            self.ann[index] if self.ann else None,
            [None if found is None else found[index] for found in self.steps],
            labelled=self.labelled[index],
            size=self.size,
            classes=self.task.classes,
            least=self.task.least,
        )

    @cached_property
    def _known(self) -> tuple[int, ...]:
        """Places of the labelled images."""
        return tuple(i for i, has in enumerate(self.labelled) if has)

    @cached_property
    def _right(self) -> tuple[list[DetectionScores | None], DetectionScores | None]:
        """Scores against people's boxes: after each step, and the original network's."""
        judge = CocoTruth([self.images[i] for i in self._known], self.task.classes)
        ann = judge.score([self.ann[i] for i in self._known]) if self.ann else None
        return self._scored(judge, self._known), ann

    def _scored(self, judge: CocoTruth, chosen: Sequence[int]) -> list[DetectionScores | None]:
        """Score every step against a truth."""
        scores: list[DetectionScores | None] = []
        before: tuple[Detections, ...] | None = None
        for found in self.steps:
            same = (
                before is not None
                and found is not None
                and all(a is b for a, b in zip(before, found, strict=True))
            )
            if found is None or same:
                scores.append(None if found is None else scores[-1])
            else:
                scores.append(judge.score([found[i] for i in chosen]))
            before = found
        return scores

    def _intervals(self) -> dict[str, tuple[float, float]]:
        """Return the intervals of SNN − ANN at the end."""
        last, truth = self.steps[-1], [self.images[i] for i in self._known]
        if last is None or not self.ann or not self.task.resamples or not any(map(len, truth)):
            return {}
        ann, snn = ([found[i] for i in self._known] for found in (self.ann, last))
        gap = difference(ann, snn, truth, self.task.classes, resamples=self.task.resamples)
        return {"ap": (gap.ap.low, gap.ap.high), "ap50": (gap.ap50.low, gap.ap50.high)}


def _series(
    name: str,
    field: str,
    scores: Sequence[DetectionScores | None],
    ann: DetectionScores | None = None,
    intervals: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> Series:
    """Return one figure of all steps."""
    return Series(
        name,
        tuple(None if s is None else getattr(s, field) for s in scores),
        None if ann is None else getattr(ann, field),
        intervals.get(field),
    )
