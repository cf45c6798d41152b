# SPDX-License-Identifier: Apache-2.0
"""What was found in one picture, as plain data: boxes in shares of its sides, names, scores."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.tasks.stored import MOST, not_ours

__all__ = ["Box", "Scene"]


@dataclass(frozen=True)
class Box:
    """One box of a picture.

    Attributes:
        name: Of its class.
        left: In shares of the picture's width, from its left edge; cut off at the edges.
        top: In shares of its height, from its upper edge.
        right: As ``left``.
        bottom: As ``top``.
        score: Confidence in 0..1; None of what people marked.
    """

    name: str
    left: float
    top: float
    right: float
    bottom: float
    score: float | None = None

    def overlap(self, other: "Box") -> float:
        """Return intersection over union.

        Example:
            >>> Box("cat", 0.0, 0.0, 0.5, 0.5).overlap(Box("cat", 0.0, 0.0, 0.5, 1.0))
            0.5
        """
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        common = max(wide, 0.0) * max(high, 0.0)
        both = self._area + other._area - common
        return common / both if both else 0.0

    @property
    def _area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)

    def _is_one(self) -> bool:
        numbers = (self.left, self.top, self.right, self.bottom)
        known = numbers if self.score is None else (*numbers, self.score)
        return (
            type(self.name) is str
            and all(type(n) in (int, float) and math.isfinite(n) for n in known)
            and all(0 <= n <= 1 for n in known)
            and self.left <= self.right
            and self.top <= self.bottom
        )


@dataclass(frozen=True)
class Scene:
    """The boxes of one picture.

    Attributes:
        least: Score from which boxes of a network are here.
        truth: What people marked; None if nobody did.
        ann: What the original network found, best first; None if it was not run.
        steps: What the spiking network had found after some steps of the read-out, first and last
            among them: (step from 1, boxes).
        blue_first: Whether the network's input has its channels in the order blue, green, red.
    """

    least: float
    truth: tuple[Box, ...] | None
    ann: tuple[Box, ...] | None
    steps: tuple[tuple[int, tuple[Box, ...]], ...]
    blue_first: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scene":
        """Rebuild what ``dataclasses.asdict`` wrote, also after it has been JSON.

        Raises:
            FileFormatError: If a field is missing, unknown or of another kind.
        """
        try:
            found = cls(
                least=data["least"],
                truth=None if data["truth"] is None else _boxes(data["truth"]),
                ann=None if data["ann"] is None else _boxes(data["ann"]),
                steps=tuple((step, _boxes(boxes)) for step, boxes in data["steps"]),
                blue_first=data["blue_first"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise not_ours(f"a scene's field is missing or of another kind ({error})") from error
        steps = [step for step, _ in found.steps]
        if not steps or any(type(step) is not int or not 0 < step < MOST for step in steps):
            raise not_ours("a scene's step is no whole number from 1")
        if steps != sorted(set(steps)):
            raise not_ours("a scene's steps are out of order")
        if type(found.blue_first) is not bool:
            raise not_ours("a scene's order of channels is neither of the two")
        if type(found.least) not in (int, float) or not 0 <= found.least <= 1:
            raise not_ours("a scene's least score is not in 0..1")
        parts = [found.truth or (), found.ann or (), *(boxes for _, boxes in found.steps)]
        if not all(box._is_one() for boxes in parts for box in boxes):
            raise not_ours("a box is not inside its picture, or is none")
        return found


def _boxes(data: Any) -> tuple[Box, ...]:  # noqa: ANN401 - whatever JSON holds
    return tuple(Box(**each) for each in data)
