# SPDX-License-Identifier: Apache-2.0
"""Whether a difference in average precision says anything: its interval over images drawn again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from spikewright.detection.boxes import Annotations, Detections
from spikewright.detection.matching import ClassMatches, match
from spikewright.detection.resampled import average_precisions, coco_judge
from spikewright.detection.truth import check_detections, check_truth
from spikewright.errors import ConfigError

__all__ = ["Difference", "Interval", "difference"]

_MOST = 100
"""Boxes of a class in an image, the best ones, that COCO's average precision looks at."""

_AT_ONCE = 1 << 22
"""Draws times boxes that are averaged at once, which bounds the memory."""


@dataclass(frozen=True)
class Interval:
    """A value and where it lies when other images had been drawn.

    Attributes:
        value: On the images as they are.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much more average precision the second of two networks has, in shares of 1.

    Attributes:
        ap: Over IoU thresholds .50, .55, … .95.
        ap50: At an IoU of .5.
        level: Share of draws within the intervals.
        resamples: How many draws there were.
    """

    ap: Interval
    ap50: Interval
    level: float
    resamples: int


def difference(
    first: Sequence[Detections],
    second: Sequence[Detections],
    annotations: Sequence[Annotations],
    classes: Sequence[str],
    *,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return AP(second) − AP(first) with a percentile interval over images.

    As many images as there are get drawn with replacement, again and again; both networks are
    judged on the same draws, so what images have in common cancels.

    Args:
        first: What one network found, one an image, in pixels of the stored images.
        second: What the other one found.
        annotations: The truth, one an image.
        classes: Their names, in the order of the class numbers.
        resamples: How many times images are drawn; draws without a box to be found are left out.
        level: Share of the draws within the interval.
        seed: Of the draws.

    Raises:
        ShapeError: If there are not as many detections as images.
        ConfigError: If ``resamples`` or ``level`` is out of its range, nothing is to be found, or a
            class, box or score is not valid.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Example:
        >>> import torch
        >>> box, label = torch.tensor([[0.0, 0.0, 40.0, 40.0]]), torch.tensor([0])
        >>> truth = [Annotations(box, label, (64, 64))]
        >>> right, wrong = (Detections(b, torch.tensor([0.9]), label) for b in (box, box + 99))
        >>> gain = difference([wrong], [right], truth, ["cat"]).ap
        >>> f"{gain.value:.2f} in {gain.low:.2f} to {gain.high:.2f}"
        '1.00 in 1.00 to 1.00'
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"bootstrap: expected resamples of at least 1 and a level between 0 and 1, got "
            f"{resamples} and {level}. Take 200 and 0.95 if in doubt."
        )
    check_truth(annotations, classes)
    for found in (first, second):
        check_detections(found, annotations, classes)
    images = len(annotations)
    draws = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), resamples)
    times = np.concatenate((np.ones((1, images), dtype=np.int64), draws))
    one, other = (
        _mean_precisions(match(found, annotations, len(classes), coco_judge, _MOST), times)
        for found in (first, second)
    )
    gained = other - one
    if np.isnan(gained[0]).any():
        raise ConfigError(
            "bootstrap: expected boxes to be found in the images, got none. Give annotated images."
        )
    bounds = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.nanquantile(gained[1:], bounds, axis=0)
    ap, ap50 = (Interval(*map(float, x)) for x in zip(gained[0], low, high, strict=True))
    return Difference(ap=ap, ap50=ap50, level=level, resamples=resamples)


def _mean_precisions(
    found: Sequence[ClassMatches], times: Int[np.ndarray, "draw image"]
) -> Float[np.ndarray, "draw 2"]:
    """Return AP and AP50 of each draw, means over the classes that it has; NaN if it has none."""
    total, present = np.zeros((len(times), 2)), np.zeros((len(times), 1))
    for matches in found:
        pieces = np.array_split(times, 1 + len(times) * len(matches.image) // _AT_ONCE)
        ap = np.concatenate([average_precisions(matches, piece) for piece in pieces])
        known = ~np.isnan(ap[:, :1])
        total += np.where(known, np.stack((ap.mean(1), ap[:, 0]), 1), 0.0)
        present += known
    return np.divide(total, present, out=np.full_like(total, np.nan), where=present > 0)
