# SPDX-License-Identifier: Apache-2.0
"""The loss of a one-level detector: by hand, what is assigned to what, and what moves what."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.detection import Annotations, Placement, boxes_of
from spikewright.errors import ShapeError
from spikewright.training.detection_loss import detection_loss, giou
from spikewright.training.objects import Objects

S = 8


def objects(*boxes: tuple[float, ...], labels: tuple[int, ...] = (), **marks: Any) -> Objects:
    """What is in one image."""
    found = torch.tensor(boxes).view(-1, 4)
    numbers = torch.tensor(labels or (0,) * len(boxes), dtype=torch.long)
    marks = {k: torch.tensor(v) for k, v in marks.items()}
    return Objects.of([Annotations(found, numbers, (16, 16), **marks)])


def maps(classes: int = 3, h: int = 2, w: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(  # type: ignore[return-value]
        torch.randn(1, c, h, w, generator=generator).requires_grad_() for c in (1, classes, 4)
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def bce(logit: float, wanted: float) -> float:
    p = sigmoid(logit)
    return -wanted * math.log(p) - (1 - wanted) * math.log(1 - p)


# --- boxes


def test_a_cell_says_one_box() -> None:
    """Cell (row 1, column 2) by hand; an exponent above 8 counts as 8."""
    raw = torch.zeros(1, 4, 2, 3)
    raw[0, :, 1, 2] = torch.tensor([1.0, -1.0, 0.5, 9.0])
    x, y = (2 + sigmoid(1.0)) * S, (1 + sigmoid(-1.0)) * S
    w, h = math.exp(0.5) * S, math.exp(8.0) * S
    expected = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    torch.testing.assert_close(boxes_of(raw, S)[0, 1 * 3 + 2], expected)


@pytest.mark.parametrize(
    ("a", "b", "iou", "general"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0, 1.0),
        ((0, 0, 1, 1), (2, 0, 3, 1), 0.0, -1 / 3),  # hull 3, union 2
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),
        ((0, 0, 4, 4), (1, 1, 2, 2), 1 / 16, 1 / 16),
    ],
)
def test_giou_by_hand(a: Any, b: Any, iou: float, general: float) -> None:
    found = giou(torch.tensor([a]).double(), torch.tensor([b]).double())
    assert [float(f) for f in found] == pytest.approx([iou, general], abs=1e-12)


# --- loss


def test_the_loss_by_hand() -> None:
    """One object of class 2 in cell (0, 1); every term written out."""
    outputs = maps()
    where = (9.0, 2.0, 14.0, 7.0)  # its centre is (11.5, 4.5)
    found = detection_loss(outputs, objects(where, labels=(2,)), S)
    raw_object, raw_classes = (m.detach()[0] for m in outputs[:2])
    box = boxes_of(outputs[2].detach(), S)[0, 1]
    iou, general = (float(v) for v in giou(box[None], torch.tensor([where])))
    expected = bce(float(raw_object[0, 0, 1]), max(general, 0.0))
    expected += sum(bce(float(raw_object[0, r, c]), 0.0) for r, c in ((0, 0), (1, 0), (1, 1)))
    expected += sum(bce(float(raw_classes[k, 0, 1]), float(k == 2)) for k in range(3))
    expected += 5 * (1 - general)
    assert float(found.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert found.overlap == pytest.approx(iou, rel=1e-5)


def test_boxes_are_moved_by_their_overlap_alone() -> None:
    """Objectness is led to the overlap, but does not lead it."""
    outputs, where = maps(), (9.0, 2.0, 14.0, 7.0)
    detection_loss(outputs, objects(where), S).loss.backward()
    again = outputs[2].detach().requires_grad_()
    _, general = giou(boxes_of(again, S)[0, 1:2], torch.tensor([where]))
    (5 * (1 - general)).sum().backward()
    assert outputs[2].grad is not None
    assert again.grad is not None
    torch.testing.assert_close(outputs[2].grad, again.grad)
    wanted = torch.zeros(4)
    wanted[1] = general.detach().clamp(min=0)
    assert outputs[0].grad is not None
    slope = outputs[0].detach().view(-1).sigmoid() - wanted
    torch.testing.assert_close(outputs[0].grad.view(-1), slope)


def test_gradients_are_those_of_the_loss() -> None:
    """Finite differences of class and box maps; objectness has a target that moves with boxes."""
    there = objects((9.0, 2.0, 14.0, 7.0), (1.0, 9.0, 6.0, 15.0), labels=(2, 0))
    raw_object, *others = (m.detach().double() for m in maps())

    def loss(classes: Tensor, boxes: Tensor) -> Tensor:
        return detection_loss((raw_object, classes, boxes), there, S).loss

    def steady(classes: Tensor, boxes: Tensor) -> Tensor:  # objectness taken off
        found = loss(classes, boxes)
        cells = boxes_of(boxes, S)[0]
        _, general = giou(cells[[1, 2]], there.boxes.double())
        logits = raw_object.view(-1)[[1, 2]]
        return found + (logits * general.detach().clamp(min=0)).sum()

    inputs = [m.requires_grad_() for m in others]
    assert torch.autograd.gradcheck(steady, inputs)


def test_images_add_up() -> None:
    one, other = maps(seed=1), maps(seed=2)
    both = tuple(torch.cat(pair) for pair in zip(one, other, strict=True))
    a = Annotations(torch.tensor([[0.0, 0, 6, 6]]), torch.tensor([1]), (16, 16))
    none = Annotations(torch.empty(0, 4), torch.empty(0, dtype=torch.long), (16, 16))
    whole = detection_loss(both, Objects.of([a, none]), S)  # type: ignore[arg-type]
    parts = [detection_loss(m, Objects.of([x]), S) for m, x in ((one, a), (other, none))]
    torch.testing.assert_close(whole.loss, parts[0].loss + parts[1].loss)
    assert whole.overlap == pytest.approx(parts[0].overlap + 1.0)


# --- assignment


def positives(there: Objects) -> list[int]:
    """Cells whose classes are moved."""
    outputs = maps()
    detection_loss(outputs, there, S).loss.backward()
    assert outputs[1].grad is not None
    return outputs[1].grad.abs().sum(1).view(-1).nonzero().view(-1).tolist()


def test_an_object_is_its_centres_cell_and_no_other() -> None:
    assert positives(objects((0.0, 0.0, 16.0, 15.0))) == [1]  # centre (8, 7.5)
    assert positives(objects((9.0, 2.0, 14.0, 7.0), (1.0, 9.0, 6.0, 15.0))) == [1, 2]
    assert positives(objects((20.0, 2.0, 24.0, 7.0))) == []  # outside
    assert positives(objects((-9.0, 2.0, 1.0, 7.0))) == []


def test_the_smallest_of_a_cell_is_taken() -> None:
    outputs = maps()
    large, small = (0.0, 0.0, 7.0, 7.0), (2.0, 2.0, 6.0, 6.0)
    alone = detection_loss(outputs, objects(small, labels=(1,)), S)
    for boxes, labels in (((large, small), (0, 1)), ((small, large), (1, 0))):
        found = detection_loss(outputs, objects(*boxes, labels=labels), S)
        torch.testing.assert_close(found.loss, alone.loss)


@pytest.mark.parametrize("mark", ["crowd", "difficult"])
def test_what_is_marked_is_neither_right_nor_wrong(mark: str) -> None:
    outputs = maps()
    both = objects((0.0, 0.0, 16.0, 8.0), (9.0, 2.0, 14.0, 7.0), **{mark: [True, False]})
    detection_loss(outputs, both, S).loss.backward()
    assert outputs[0].grad is not None
    silent = (outputs[0].grad == 0).view(-1).tolist()
    assert silent == [True, False, False, False]  # cell 1 has an object of its own


def test_misuse() -> None:
    outputs = maps()
    with pytest.raises(ShapeError, match=r"expected classes 0 to 2.*got 3 to 3"):
        detection_loss(outputs, objects((0.0, 0, 4, 4), labels=(3,)), S)
    with pytest.raises(ShapeError, match=r"expected maps \(batch, 1, h, w\)"):
        detection_loss((outputs[1], outputs[0], outputs[2]), objects((0.0, 0, 4, 4)), S)


# --- objects


def test_objects_lie_in_the_input() -> None:
    place = Placement(scale=(2.0, 0.5), offset=(1.0, 3.0))
    one = Annotations(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([0]), (9, 9), placement=place)
    assert Objects.of([one]).boxes.tolist() == [[3.0, 4.0, 7.0, 5.0]]


def test_objects_follow_their_images() -> None:
    a = Annotations(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([0]), (8, 10))
    both = Objects.of([a, a])
    turned = both.mirrored(torch.tensor([False, True]), 10)
    assert turned.boxes.tolist() == [[1.0, 2, 3, 4], [7.0, 2, 9, 4]]
    assert turned.scaled(2.0, 3.0).boxes.tolist() == [[2.0, 6, 6, 12], [14.0, 6, 18, 12]]
