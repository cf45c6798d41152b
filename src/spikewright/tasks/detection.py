# SPDX-License-Identifier: Apache-2.0
"""Object detection: average precision of the boxes, and of the boxes beside the original's own.

On a few dozen images the average precision of people's boxes is noise: the same network in float32
and in float64 differed by 1.6 points on 67 images. Beside it stands **fidelity**: the average
precision with the original network's own boxes (score ≥ ``least``) as truth (ours).
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.detection import Annotations, Decoder, Detections
from spikewright.errors import ConfigError
from spikewright.graph.batch import sizes
from spikewright.network import SpikingNetwork
from spikewright.tasks.base import Answers, Beside, Task, no_decisions
from spikewright.tasks.boxes import Boxes
from spikewright.tasks.form import Form

__all__ = ["Detection"]

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
