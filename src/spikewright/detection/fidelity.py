# SPDX-License-Identifier: Apache-2.0
"""One network's boxes as the truth for another's: whether a conversion finds the same things.

On a few dozen images the average precision of people's boxes cannot rank conversions, since
errors of the network itself are as large as the conversion's. This does not have them.
"""

from collections.abc import Sequence

from spikewright.detection.boxes import Annotations, Detections
from spikewright.errors import ConfigError, ShapeError

__all__ = ["as_annotations"]


def as_annotations(
    detections: Sequence[Detections],
    images: Sequence[Annotations | tuple[int, int]],
    least: float = 0.3,
) -> list[Annotations]:
    """Return what a network is sure of, as annotations.

    Args:
        detections: One an image, in pixels of the images as they are stored.
        images: Each one's annotations, or its height and width; boxes in it are not read.
        least: Score from which a box counts.

    Raises:
        ShapeError: If there are not as many detections as images.
        ConfigError: If ``least`` is not in 0..1.

    Example:
        >>> import torch
        >>> boxes, labels = torch.rand(2, 4), torch.tensor([3, 1])
        >>> found = Detections(boxes, torch.tensor([0.8, 0.1]), labels)
        >>> as_annotations([found], [(64, 48)])[0].labels.tolist()
        [3]
    """
    if not 0 <= least <= 1:
        raise ConfigError(
            f"fidelity: expected least in 0..1, got {least}. Give a score, not per cent."
        )
    if len(detections) != len(images):
        raise ShapeError(
            f"fidelity: expected detections in {len(images)} images, got {len(detections)}. "
            "Give images without boxes an empty one."
        )
    truth = []
    for found, image in zip(detections, images, strict=True):
        sure = found.scores >= least
        boxes, labels = found.boxes[sure], found.labels[sure]
        if isinstance(image, Annotations):
            truth.append(Annotations(boxes, labels, image.size, image.placement, image.name))
        else:
            truth.append(Annotations(boxes, labels, image))
    return truth
