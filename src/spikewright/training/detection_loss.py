# SPDX-License-Identifier: Apache-2.0
"""What a one-level detector without anchors is trained for.

Every object belongs to the cell that its centre lies in, and to no other: centres cannot leave
their cell (see ``spikewright.detection.boxes_of``), so neighbours could not learn it. Of several
objects in one cell the smallest is taken.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from spikewright.detection import boxes_of
from spikewright.errors import ShapeError
from spikewright.training.objects import Objects

__all__ = ["Found", "detection_loss", "giou"]

BOX_WEIGHT = 5.0


def giou(
    a: Float[Tensor, "box 4"], b: Float[Tensor, "box 4"]
) -> tuple[Float[Tensor, " box"], Float[Tensor, " box"]]:
    """Return the overlap of boxes, pair by pair, and its generalisation to boxes apart.

    IoU = |a and b| / |a or b|;  GIoU = IoU - (|hull| - |a or b|) / |hull|, in (-1, 1].

    References:
        H. Rezatofighi et al., Generalized intersection over union, CVPR 2019, algorithm 1.

    Example:
        >>> iou, general = giou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]]))
        >>> round(float(iou), 4), round(float(general), 4)
        (0.3333, 0.3333)
    """
    tiny = torch.finfo(a.dtype).eps
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    outer = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    shared, hull = inner.prod(1), outer.prod(1)
    union = sum((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b)) - shared
    iou = shared / (union + tiny)
    return iou, iou - (hull - union) / (hull + tiny)


@dataclass(frozen=True, eq=False)
class Found:
    """What the loss says of a batch.

    Attributes:
        loss: Summed over the images.
        overlap: IoU of every object with what its cell predicts, averaged over the objects of an
            image (1 if it has none) and summed over the images.
    """

    loss: Tensor
    overlap: float


def detection_loss(
    outputs: tuple[Tensor, Tensor, Tensor],
    objects: Objects,
    stride: int,
    box_weight: float = BOX_WEIGHT,
) -> Found:
    """Compare raw maps with what is in the images.

    Over all cells, and over those that have an object (positive):

        Σ BCE(object, max(GIoU, 0) in positive cells, 0 in others)
        + Σ_positive [Σ_class BCE(class, 1 for its own, 0 for others) + 5 · (1 - GIoU)]

    The GIoU that objectness is led to is a target: no gradient flows through it. Classes are
    binary, since scores are read as sqrt(sigmoid(object) · sigmoid(class)). Cells in an ignored
    box have no say in objectness unless they are positive.

    Args:
        outputs: "image 1 h w", "image class h w" and "image 4 h w".
        objects: In pixels of the input.
        stride: Pixels of the input for a cell.
        box_weight: 5, the weight of boxes against the rest (ours, after public YOLO codes).

    Raises:
        ShapeError: If the outputs are not such maps, or a class has no map.

    References:
        CASC, 2024, trains an anchor-free one-level YOLO; H. Rezatofighi et al., 2019, for GIoU.
    """
    _check(outputs, objects)
    raw_object, raw_classes, raw_boxes = outputs
    height, width = raw_object.shape[2:]
    cells, chosen = _assigned(objects, stride, height, width)
    boxes = boxes_of(raw_boxes, stride).reshape(-1, 4)[cells]
    logits = raw_classes.permute(0, 2, 3, 1).reshape(-1, raw_classes.shape[1])[cells]
    iou, general = giou(boxes, objects.boxes[chosen].to(boxes.dtype))
    wanted = torch.zeros_like(raw_object).view(-1)
    wanted[cells] = general.detach().clamp(min=0)
    counts = _counts(objects, stride, height, width, raw_object)
    counts[cells] = 1.0
    existence = F.binary_cross_entropy_with_logits(
        raw_object.reshape(-1), wanted, counts, reduction="sum"
    )
    labels = F.one_hot(objects.labels[chosen], raw_classes.shape[1]).to(logits.dtype)
    kinds = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    loss = existence + kinds + box_weight * (1 - general).sum()
    return Found(loss, _overlap(iou.detach(), objects.images[chosen], objects.count))


def _check(outputs: tuple[Tensor, Tensor, Tensor], objects: Objects) -> None:
    maps = outputs if isinstance(outputs, tuple) else (outputs,)
    shapes = [tuple(m.shape) for m in maps]
    fits = len(maps) == 3 and all(
        len(s) == 4 and s[0] == objects.count and s[2:] == shapes[0][2:] for s in shapes
    )
    if not fits or (shapes[0][1], shapes[2][1]) != (1, 4):
        raise ShapeError(
            f"model: expected maps (batch, 1, h, w), (batch, class, h, w) and (batch, 4, h, w), "
            f"got {shapes}. Train a detector such as models.detection.casc_yolo_vgg16."
        )
    labels, classes = objects.labels, shapes[1][1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ShapeError(
            f"dataset: expected classes 0 to {classes - 1}, as many as the model has maps, got "
            f"{int(labels.min())} to {int(labels.max())}. Give the model as many classes."
        )


def _assigned(objects: Objects, stride: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the cells, "positive" in the order of maps, that have an object, and which."""
    left, top, right, bottom = objects.boxes.unbind(1)
    column, row = (left + right) / 2 // stride, (top + bottom) / 2 // stride
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    known = (inside & ~objects.ignored).nonzero().squeeze(1)
    area = ((right - left) * (bottom - top))[known]
    by_area = known[area.argsort(stable=True)]
    cell = (objects.images * height + row.long()) * width + column.long()
    order = by_area[cell[by_area].argsort(stable=True)]  # by cell, the smallest first
    ordered = cell[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first], order[first]


def _counts(objects: Objects, stride: int, height: int, width: int, like: Tensor) -> Tensor:
    """Return 0 for every cell whose middle lies in an ignored box, else 1, in maps' order."""
    x = (torch.arange(width, device=like.device) + 0.5) * stride
    y = (torch.arange(height, device=like.device) + 0.5) * stride
    counts = torch.ones_like(like)
    for i in objects.ignored.nonzero().squeeze(1).tolist():
        left, top, right, bottom = objects.boxes[i]
        over = ((left <= x) & (x < right))[None] & ((top <= y) & (y < bottom))[:, None]
        counts[objects.images[i], 0].masked_fill_(over, 0.0)
    return counts.view(-1)


def _overlap(iou: Tensor, images: Tensor, count: int) -> float:
    """Return the sum over images of the mean IoU in each, 1 where there is none."""
    number = torch.bincount(images, minlength=count)
    total = torch.zeros(count, dtype=iou.dtype, device=iou.device).index_add_(0, images, iou)
    return float(torch.where(number > 0, total / number.clamp(min=1), 1.0).sum())
