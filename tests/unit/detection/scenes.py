# SPDX-License-Identifier: Apache-2.0
"""Made-up images: boxes as people would mark them, and as a detector would find them."""

import torch

from spikewright.detection import Annotations, Detections

CLASSES = ("cat", "dog", "cow", "never there")


def boxes(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def numbers(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def truth(*rows: tuple[float, ...], labels: list[int] | None = None) -> Annotations:
    return Annotations(boxes(*rows), numbers(labels or [0] * len(rows)), (400, 400))


def found(*rows: tuple[float, ...], labels: list[int] | None = None) -> Detections:
    """Boxes with their scores as fifth number."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], numbers(labels or [0] * len(rows)))


def scene(
    seed: int, images: int = 12, *, ties: bool = True, many: int = 0
) -> tuple[list[Annotations], list[Detections]]:
    """Draw a truth with crowds and empty images, and what was found: most of it, moved, and noise.

    Args:
        seed: Of the draw.
        images: How many.
        ties: Whether scores are tenths, so that many are equal, and some boxes are found twice.
        many: Boxes of noise added to the first image, all of one class.
    """
    draw = torch.Generator().manual_seed(seed)

    def at_random(count: int) -> torch.Tensor:
        corner = 300 * torch.rand(count, 2, generator=draw)
        side = 5 + 150 * torch.rand(count, 2, generator=draw) ** 2
        return torch.cat((corner, corner + side), 1)

    annotations, detections = [], []
    for image in range(images):
        count = 0 if image % 5 == 3 else int(torch.randint(1, 9, (), generator=draw))
        real = at_random(count)
        labels = torch.randint(3, (count,), generator=draw)
        crowd = torch.rand(count, generator=draw) < 0.15
        areas = (real[:, 2] - real[:, 0]) * (real[:, 3] - real[:, 1])
        areas = areas * (0.5 + 0.5 * torch.rand(count, generator=draw))
        annotations.append(Annotations(real, labels, (400, 400), crowd=crowd, areas=areas))
        seen = 0 if image % 7 == 4 else 4 + many * (image == 0)
        sides = (real[:, 2:] - real[:, :2]).repeat(1, 2)
        moved = real + 0.06 * sides * torch.randn(count, 4, generator=draw)
        again = moved[:2] if ties else moved[:0]
        everything = torch.cat((moved, again, at_random(seen)))
        everything[:, 2:] = torch.maximum(everything[:, 2:], everything[:, :2] + 1)
        guessed = torch.randint(3, (len(everything),), generator=draw)
        guessed[:count] = labels
        guessed[len(everything) - many * (image == 0) :] = 0
        scores = torch.rand(len(everything), generator=draw)
        scores = (10 * scores).round() / 10 if ties else scores
        order = scores.argsort(descending=True, stable=True)
        detections.append(Detections(everything[order], scores[order], guessed[order]))
    return annotations, detections
