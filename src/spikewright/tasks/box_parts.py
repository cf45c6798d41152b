# SPDX-License-Identifier: Apache-2.0
"""Boxes taken apart for people to look at: those of one picture, the figures of one class."""

from collections import Counter
from collections.abc import Sequence

from spikewright.detection import Annotations, Detections, DetectionScores
from spikewright.detection.overlap import areas
from spikewright.detection.truth import marks
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.scene import Box, Scene

__all__ = ["parts_of", "scene_of"]

_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
"""COCO's ranges of areas, in square pixels."""

_EARLY = (1, 2, 4)
"""Steps whose boxes a scene has, beside those of the last one."""


def scene_of(
    image: Annotations,
    ann: Detections | None,
    steps: Sequence[Detections | None],
    *,
    labelled: bool,
    size: tuple[int, int],
    classes: Sequence[str],
    least: float,
) -> Scene:
    """Return the boxes of one image after steps 1, 2, 4 and the last, as far as they were decoded.

    Args:
        image: Its annotations; empty ones if nobody made any.
        ann: What the original network found, if it was run.
        steps: What the spiking network found after each step.
        labelled: Whether people marked it.
        size: Height and width of the network's input.
        classes: Names.
        least: Score from which a box is taken.
    """

    def inside(found: Annotations | Detections) -> tuple[Box, ...]:
        places = image.placement.to_input(found.boxes.cpu().double())
        shares = (places / places.new_tensor((size[1], size[0]) * 2)).clamp(0.0, 1.0)
        scores = found.scores.tolist() if isinstance(found, Detections) else [None] * len(found)
        return tuple(
            Box(
                classes[label],
                round(left, 4),
                round(top, 4),
                round(right, 4),
                round(bottom, 4),
                None if s is None else round(s, 4),
            )
            for (left, top, right, bottom), label, s in zip(
                shares.tolist(), found.labels.tolist(), scores, strict=True
            )
            if s is None or s >= least
        )

    chosen = sorted({t for t in (*_EARLY, len(steps)) if t <= len(steps)})
    return Scene(
        least=float(least),
        truth=inside(image) if labelled else None,
        ann=None if ann is None else inside(ann),
        steps=tuple((t, inside(found)) for t in chosen if (found := steps[t - 1]) is not None),
        blue_first=image.placement.blue_first,
    )


def parts_of(
    truth: Sequence[Annotations], snn: DetectionScores, ann: DetectionScores | None
) -> tuple[PartScore, ...]:
    """Return the figures of each range of sizes, then of each class that is in the truth.

    Args:
        truth: One an image.
        snn: The spiking network's, after the last step.
        ann: The original network's, if it was run.
    """
    labels, sizes = Counter[int](), Counter[str]()
    for image in truth:
        crowd, difficult = marks(image)
        known = areas(image.boxes.double()) if image.areas is None else image.areas
        for label, area, left_out in zip(
            image.labels.tolist(), known.tolist(), (crowd | difficult).tolist(), strict=True
        ):
            if not left_out:
                labels[label] += 1
                sizes[next(n for n, (a, b) in _SIZES.items() if a <= area < b)] += 1
    by_size = [
        PartScore(
            kind="size",
            name=name,
            boxes=sizes[name],
            ap=getattr(snn, f"ap_{name}"),
            ann=None if ann is None else getattr(ann, f"ap_{name}"),
        )
        for name in _SIZES
    ]
    by_class = [
        PartScore(
            kind="class",
            name=name,
            boxes=labels[i],
            ap=snn.class_ap[i],
            ap50=snn.class_ap50[i],
            ann=None if ann is None else ann.class_ap[i],
        )
        for i, name in enumerate(snn.classes)
        if labels[i]
    ]
    return (*by_size, *by_class)
