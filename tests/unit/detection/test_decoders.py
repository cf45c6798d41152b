# SPDX-License-Identifier: Apache-2.0
"""Every family of YOLO against its equations, value by value, and what does not fit is refused."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.detection import (
    AnchorFreeYolo,
    AnchorLevel,
    AnchorYolo,
    Custom,
    Detections,
    DflYolo,
    Suppression,
    boxes_of,
    decoder,
)
from spikewright.detection.decoders import YOLO_FASTEST_V2, YOLO_V4, YOLO_V5, names
from spikewright.errors import ConfigError, ShapeError, UnknownNameError

EVERYTHING = Suppression(iou=1.0, least=0.0, most=10**6)


def sigmoid(value: Tensor) -> float:
    return 1 / (1 + math.exp(-float(value)))


def table(found: Detections) -> list[tuple[float, ...]]:
    """Class, score and box of everything found, in an order of its own."""
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    return sorted((label, score, *box) for label, score, box in rows)


def close(found: Detections, expected: list[tuple[float, ...]]) -> bool:
    expected = sorted(expected)
    actual = table(found)
    assert len(actual) == len(expected)
    return torch.allclose(torch.tensor(actual), torch.tensor(expected), rtol=1e-5, atol=1e-4)


def by_hand(
    head: AnchorYolo, level: AnchorLevel, raw: Tensor, image: int
) -> list[tuple[float, ...]]:
    """The equations of AnchorYolo for joined maps, one number at a time."""
    rows, z = [], level.stretch
    values = raw.shape[1] // len(level.anchors)
    for a, (width, height) in enumerate(level.anchors):
        part = raw[image, a * values : (a + 1) * values].double()
        for y in range(raw.shape[2]):
            for x in range(raw.shape[3]):
                t = part[:, y, x]
                cx = (z * sigmoid(t[0]) - (z - 1) / 2 + x) * level.stride
                cy = (z * sigmoid(t[1]) - (z - 1) / 2 + y) * level.stride
                if head.size == "exp":
                    w, h = width * math.exp(t[2]), height * math.exp(t[3])
                else:
                    w, h = width * (2 * sigmoid(t[2])) ** 2, height * (2 * sigmoid(t[3])) ** 2
                share = t[5:].softmax(0) if head.classes == "softmax" else t[5:].sigmoid()
                rows += [
                    (k, sigmoid(t[4]) * float(p), cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
                    for k, p in enumerate(share)
                ]
    return rows


@pytest.mark.parametrize("name", ["yolov2", "yolov3", "yolov3-tiny", "yolov4", "yolov5"])
def test_joined_maps_follow_the_equations(name: str) -> None:
    """Not square, two images, and levels in the other order."""
    head = decoder(name, iou=1.0, least=0.0, most=10**6)
    assert isinstance(head, AnchorYolo)
    maps = [
        torch.randn(2, len(x.anchors) * (5 + 3), 64 // x.stride, 96 // x.stride)
        for x in head.levels
    ]
    found = head(maps[::-1], (64, 96))
    assert len(found) == 2
    for image, detections in enumerate(found):
        levels = zip(head.levels, maps, strict=True)
        expected = [row for level, raw in levels for row in by_hand(head, level, raw, image)]
        assert close(detections, expected)
        assert detections.scores.tolist() == sorted(detections.scores.tolist(), reverse=True)


def test_the_settings_of_versions_4_and_5_are_theirs() -> None:
    assert [x.stretch for x in YOLO_V4.levels] == [1.2, 1.1, 1.05]
    assert {x.stretch for x in YOLO_V5.levels} == {2.0}


def fastest(level: int, maps: list[Tensor]) -> list[tuple[float, ...]]:
    """YOLO-FastestV2's own form: xy = (2σ − ½ + grid)·stride, wh = (2σ)²·anchor, best class."""
    reg, obj, cls = (x[0].double() for x in maps)
    stride, anchors = YOLO_FASTEST_V2.levels[level].stride, YOLO_FASTEST_V2.levels[level].anchors
    rows = []
    for a, (width, height) in enumerate(anchors):
        for y in range(reg.shape[1]):
            for x in range(reg.shape[2]):
                t = reg[4 * a : 4 * a + 4, y, x]
                cx, cy = (
                    (2 * sigmoid(t[0]) - 0.5 + x) * stride,
                    (2 * sigmoid(t[1]) - 0.5 + y) * stride,
                )
                w, h = (2 * sigmoid(t[2])) ** 2 * width, (2 * sigmoid(t[3])) ** 2 * height
                best, label = cls[:, y, x].softmax(0).max(0)
                score = sigmoid(obj[a, y, x]) * float(best)
                rows.append((int(label), score, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return rows


def test_separate_maps_as_in_yolo_fastestv2() -> None:
    head = decoder("yolo-fastestv2", iou=1.0, least=0.0, most=10**6)
    fine, coarse = ([torch.randn(1, c, s, 3 * s // 2) for c in (12, 3, 80)] for s in (4, 2))
    (found,) = head({"fine": fine, "coarse": tuple(coarse)}, (64, 96))
    assert close(found, fastest(0, fine) + fastest(1, coarse))


def test_stray_exponents_stay_finite() -> None:
    raw = torch.full((1, 6, 1, 1), 1e4)
    head = AnchorYolo(levels=(AnchorLevel(8, ((4.0, 6.0),)),))
    assert head(raw, (8, 8))[0].boxes.isfinite().all()
    assert boxes_of(torch.full((1, 4, 1, 1), 1e4), 32).isfinite().all()


# --- one level without anchors


def test_anchor_free_maps_follow_the_equations() -> None:
    objectness, classes, raw = (torch.randn(2, c, 2, 3) for c in (1, 4, 4))
    found = AnchorFreeYolo(every_class=True, suppression=EVERYTHING)(
        (objectness, classes, raw), (64, 96)
    )
    for image, detections in enumerate(found):
        rows = []
        for y in range(2):
            for x in range(3):
                t = raw[image, :, y, x]
                cx, cy = (x + sigmoid(t[0])) * 32, (y + sigmoid(t[1])) * 32
                w, h = math.exp(t[2]) * 32, math.exp(t[3]) * 32
                box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
                sure = sigmoid(objectness[image, 0, y, x])
                rows += [
                    (k, math.sqrt(sure * sigmoid(classes[image, k, y, x])), *box) for k in range(4)
                ]
        assert close(detections, rows)


def test_boxes_of_cells_pass_gradients_to_the_loss() -> None:
    raw = torch.randn(1, 4, 2, 2, requires_grad=True)
    boxes_of(raw, 32).sum().backward()
    assert raw.grad is not None
    assert bool((raw.grad != 0).any())


def test_each_cell_is_its_best_class_alone_by_default() -> None:
    maps = torch.full((1, 1, 1, 2), 3.0), torch.randn(1, 5, 1, 2), torch.zeros(1, 4, 1, 2)
    (found,) = AnchorFreeYolo()(maps, (32, 64))
    assert sorted(found.labels.tolist()) == sorted(maps[1][0].argmax(0).flatten().tolist())


def test_maps_in_another_order_are_refused() -> None:
    maps = [torch.zeros(1, c, 1, 1) for c in (4, 2, 1)]
    message = "expected maps of objectness (1 channel), classes and boxes (4), got 4, 2, 1 channels"
    with pytest.raises(ShapeError, match=re.escape(message)):
        AnchorFreeYolo()(maps, (32, 32))


# --- distribution focal loss


def test_distances_are_expectations_over_bins() -> None:
    head = DflYolo(suppression=EVERYTHING)
    maps = [torch.randn(2, 64 + 3, 64 // s, 96 // s) for s in head.strides]
    found = head(maps, (64, 96))
    for image, detections in enumerate(found):
        rows = []
        for raw, stride in zip(maps, head.strides, strict=True):
            for y in range(raw.shape[2]):
                for x in range(raw.shape[3]):
                    t = raw[image, :, y, x].double()
                    sides = t[:64].reshape(4, 16).softmax(1) @ torch.arange(16.0).double()
                    left, top, right, bottom = sides.tolist()
                    box = (x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom)
                    rows += [
                        (k, sigmoid(t[64 + k]), *(stride * side for side in box)) for k in range(3)
                    ]
        assert close(detections, rows)


def test_sides_and_classes_may_be_maps_of_their_own() -> None:
    head = DflYolo(suppression=EVERYTHING)
    maps = [torch.randn(1, 64 + 3, 64 // s, 64 // s) for s in head.strides]
    apart = [[x[:, :64] for x in maps], [x[:, 64:] for x in maps]]
    assert table(head(apart, (64, 64))[0]) == table(head(maps, (64, 64))[0])


def test_what_the_network_decoded_is_taken_as_it_is() -> None:
    """Ultralytics' models return the decoded output and the raw maps beside it."""
    output = torch.tensor([[50.0, 40.0, 20.0, 10.0, 0.2, 0.7], [9.0, 9.0, 2.0, 2.0, 0.1, 0.0]])
    outputs = (output.T[None], [torch.zeros(1, 66, 8, 8)])
    (found,) = DflYolo(suppression=Suppression(least=0.15))(outputs, (64, 64))
    assert found.boxes.tolist() == [[40.0, 35.0, 60.0, 45.0]] * 2
    assert found.labels.tolist() == [1, 0]
    with pytest.raises(
        ShapeError, match=re.escape("(batch, 4 + classes, points), got shape (1, 2")
    ):
        DflYolo()(torch.zeros(1, 2, 84), (64, 64))


def test_too_few_channels_for_the_bins() -> None:
    maps = [torch.zeros(1, 40, 64 // s, 64 // s) for s in (8, 16, 32)]
    with pytest.raises(ShapeError, match="stride 8: expected 64 channels of sides and one a class"):
        DflYolo()(maps, (64, 64))


# --- shapes and names


def test_maps_of_another_input_size_are_refused() -> None:
    maps = [torch.zeros(1, c, s, s) for s in (22, 11) for c in (12, 3, 80)]
    message = "expected for an input of 320x320 3 maps (batch, channels, h, w) of each size 20x20"
    with pytest.raises(ShapeError, match=re.escape(message)):
        YOLO_FASTEST_V2(maps, (320, 320))
    with pytest.raises(ShapeError, match="3 maps"):
        YOLO_FASTEST_V2(maps[:4], (352, 352))


@pytest.mark.parametrize("channels", [7, 15])
def test_channels_that_are_no_anchors_are_refused(channels: int) -> None:
    maps = [torch.zeros(1, channels, 64 // s, 64 // s) for s in (8, 16, 32)]
    with pytest.raises(ShapeError, match=rf"stride 8: expected 3 x \(5 \+ classes\).*{channels}"):
        YOLO_V5(maps, (64, 64))


def test_separate_maps_in_another_order_are_refused() -> None:
    maps = [torch.zeros(1, c, s, s) for s in (22, 11) for c in (3, 12, 80)]
    with pytest.raises(ShapeError, match="expected 12, 3 and one a class channels, got 3, 12, 80"):
        YOLO_FASTEST_V2(maps, (352, 352))


@pytest.mark.parametrize("outputs", [[], {}, ([],), "maps", [None]])
def test_outputs_without_tensors_are_refused(outputs: Any) -> None:
    with pytest.raises(ShapeError, match="decoder: expected tensors in sequences and mappings"):
        AnchorFreeYolo()(outputs, (32, 32))


def test_anchors_are_needed() -> None:
    with pytest.raises(ConfigError, match="expected levels with anchors"):
        AnchorYolo(levels=())


def test_decoders_by_name() -> None:
    assert decoder("yolo-fastestv2") == YOLO_FASTEST_V2
    assert decoder("yolov8", most=5).suppression == Suppression(iou=0.7, least=0.001, most=5)
    with pytest.raises(
        UnknownNameError, match=r"decoder 'yolo5': not known\. Did you mean 'yolov5'"
    ):
        decoder("yolo5")
    assert {type(decoder(name).suppression) for name in names()} == {Suppression}


# --- a user's function


def test_a_user_s_function_decodes() -> None:
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    seen = []

    def mine(outputs: Any, input_size: tuple[int, int]) -> list[Detections]:
        seen.append(input_size)
        return [nothing] * len(outputs[0])

    assert Custom(mine, "mine.py:decode")([torch.zeros(2, 3)], (8, 9)) == [nothing] * 2
    assert seen == [(8, 9)]


@pytest.mark.parametrize(
    ("returned", "got"),
    [(None, "NoneType"), ([], "a list of 0"), ([{"boxes": 1}], "a list of 1 (dict)")],
)
def test_a_user_s_function_that_returns_something_else(returned: Any, got: str) -> None:
    message = f"decoder mine.py:decode: expected a list of 1 Detections, one an image, got {got}"
    with pytest.raises(ConfigError, match=re.escape(message)):
        Custom(lambda outputs, size: returned, "mine.py:decode")(torch.zeros(1, 3), (8, 8))


@pytest.mark.usefixtures("unchecked")
def test_something_else_than_a_function() -> None:
    with pytest.raises(ConfigError, match=r"decoder mine.py:x: expected a function .* got int"):
        Custom(3, "mine.py:x")


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_without_a_stride_the_one_that_fits_the_maps_is_taken(stride: int) -> None:
    sides = 64 // stride, 96 // stride
    maps = [torch.randn(2, channels, *sides) for channels in (1, 3, 4)]
    found, wanted = (AnchorFreeYolo(stride=s)(maps, (64, 96)) for s in (None, stride))
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a.boxes, b.boxes)
    with pytest.raises(ShapeError, match="stride 32"):
        AnchorFreeYolo()(maps, (64 + stride, 97))
