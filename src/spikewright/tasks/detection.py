# SPDX-License-Identifier: Apache-2.0
"""Object detection: average precision of the boxes, and of the boxes beside the original's own.

On a few dozen images the average precision of people's boxes is noise: the same network in float32
and in float64 differed by 1.6 points on 67 images. Beside it stands **fidelity**: the average
precision with the original network's own boxes (score ≥ ``least``) as truth (ours).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.detection import (
    Annotations,
    CocoTruth,
    Decoder,
    Detections,
    DetectionScores,
    as_annotations,
    difference,
)
from spikewright.errors import ConfigError
from spikewright.graph.batch import sizes
from spikewright.network import SpikingNetwork
from spikewright.tasks.base import Answers, Beside, Task, no_decisions
from spikewright.tasks.box_parts import parts_of, scene_of
from spikewright.tasks.form import Form
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.scene import Scene
from spikewright.tasks.series import Series

__all__ = ["Boxes", "Detection"]

_EVERY = 64
"""Steps up to which boxes are decoded after each of them; of longer runs after 1, 2, 4, … too."""


@dataclass(frozen=True, kw_only=True)
class Detection(Task):
    """Decodes outputs to boxes outside the network, after every step of the read-out.

    Targets are ``Annotations``, one an image; images without any have fidelity only. Of runs of
    more than 64 steps boxes are decoded after steps 1, 2, 4, 8, … and the last (a run that comes to
    rest stays as it is from then on); other steps have no figures.

    Args:
        decode: From what the network returns to boxes; see ``spikewright.detection``.
        classes: Names, in the order of the class numbers.
        least: Score from which the original's boxes count as truth for fidelity.
        resamples: Draws of the bootstrap interval of SNN − ANN; 0 leaves it out.

    Raises:
        ConfigError: If a setting is out of range, or there are no classes.
    """

    name: ClassVar[str] = "detection"

    decode: Decoder
    classes: tuple[str, ...]
    least: float = 0.3
    resamples: int = 200

    def __post_init__(self) -> None:
        if not self.classes or isinstance(self.classes, str):
            raise ConfigError(
                f"detection.classes: expected names of classes, got {self.classes!r}. Pass "
                "data.classes."
            )
        object.__setattr__(self, "classes", tuple(self.classes))
        if not 0 <= self.least <= 1 or self.resamples < 0:
            raise ConfigError(
                f"detection: expected least in 0..1 and resamples of at least 0, got {self.least} "
                f"and {self.resamples}. Correct the setting."
            )

    def target(
        self,
        given: Any,  # noqa: ANN401 - whatever a loader yields
        form: Form,
        inputs: int,
        index: int,
    ) -> list[Annotations] | None:
        """Read the annotations of a batch.

        Raises:
            ConfigError: If they are something else, or not one an image.
        """
        if given is None:
            return None
        if (
            not isinstance(given, list | tuple)
            or len(given) != inputs
            or not all(isinstance(x, Annotations) for x in given)
        ):
            kind = type(given).__name__
            if isinstance(given, list | tuple):
                kind = f"{len(given)} of {', '.join(sorted({type(x).__name__ for x in given}))}"
            raise ConfigError(
                f"batch {index}: expected Annotations beside the images, one for each of {inputs}, "
                f"got {kind}. Open the data with spikewright.data.detection and batch it with "
                "spikewright.data.loader."
            )
        return list(given)

    def answers(self, network: SpikingNetwork, form: Form) -> Answers:
        """Return an empty account; see :class:`Task`."""
        return _Seen(self, network)

    def digest(self, target: Any) -> bytes:  # noqa: ANN401 - what `target` returned
        """Return bytes that are the same for the same targets only; see :class:`Task`."""
        return b"".join(map(_bytes, target))


def _bytes(given: Annotations) -> bytes:
    """Return everything of an image's annotations that a score depends on."""
    values = (given.boxes, given.labels, given.crowd, given.difficult, given.areas)
    parts = [repr((given.size, given.placement, given.name)).encode()]
    parts += [b"-" if v is None else v.cpu().contiguous().numpy().tobytes() for v in values]
    return b"|".join(parts)


class _Seen:
    """The boxes of every image after every step."""

    reference = (0, 0)

    def __init__(self, task: Detection, network: SpikingNetwork) -> None:
        self._task, self._results, self._steps = task, network.graph.results, network.steps
        shape = sizes(network.graph[network.graph.inputs[0]].shape or ())
        if len(shape) != 4:
            raise ConfigError(
                f"detection: expected images (batch, channels, height, width), got inputs {shape}."
            )
        self._size = (shape[2], shape[3])
        self._boxes = Boxes(task, self._size, steps=((),) * self._steps)

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin some images; see :class:`Answers`."""
        images = beside.target
        places = [Annotations.empty(self._size) for _ in range(size)] if images is None else images
        found: list[tuple[Detections, ...] | None] = []
        before: list[Tensor] = []

        def add(step: int, outputs: Sequence[Tensor]) -> None:
            nonlocal before
            if step == 0 and beside.wanted is not None:
                beside.wanted.check(outputs)
            if not self._scored(step):
                found.append(None)
            elif before and all(torch.equal(a, b) for a, b in zip(before, outputs, strict=True)):
                found.append(next(x for x in reversed(found) if x is not None))
            else:
                before = [value.clone() for value in outputs]
                found.append(self._decoded(outputs, places))
            if step == self._steps - 1:
                ann = None
                if beside.wanted is not None:
                    ann = self._decoded(beside.wanted.values, places)
                part = Boxes(
                    self._task,
                    self._size,
                    tuple(places),
                    (images is not None,) * size,
                    ann,
                    tuple(found),
                )
                self._boxes = self._boxes.merge(part)

        return add

    def _scored(self, step: int) -> bool:
        t = step + 1
        return self._steps <= _EVERY or t == self._steps or t & step == 0

    def _decoded(
        self, outputs: Sequence[Tensor], places: Sequence[Annotations]
    ) -> tuple[Detections, ...]:
        """Return the boxes of a batch in pixels of the images as they are stored."""
        found = self._task.decode(self._results.build(tuple(outputs)), self._size)
        return tuple(
            dataclasses.replace(d, boxes=place.placement.to_image(d.boxes).cpu())
            for d, place in zip(found, places, strict=True)
        )

    def facts(self) -> dict[str, Any]:
        """Return the boxes; see :class:`Answers`."""
        return {
            **no_decisions(self._steps),
            "outputs": "boxes",
            "task": self._task.name,
            "tally": self._boxes,
        }


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

    task: Detection
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
