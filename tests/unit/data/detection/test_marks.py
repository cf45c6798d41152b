# SPDX-License-Identifier: Apache-2.0
"""Boxes are clipped to their pictures; those with no area left are counted, not kept."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikewright.data import DetectionSet, open_detection
from spikewright.data.detection.marks import Mark, table_of
from spikewright.errors import SpikewrightWarning
from tests.unit.data.detection.files import (
    HEIGHT,
    WIDTH,
    coco,
    coco_data,
    voc,
    voc_object,
    voc_text,
    whole_npz,
    yolo,
)

Box = tuple[float, float, float, float]

PARTLY: Box = (-3, 15, 6, 26)
CLIPPED: Box = (0, 15, 6, HEIGHT)
NOTHING_LEFT: tuple[Box, ...] = (
    (WIDTH, 0, WIDTH + 6, 6),  # touches the right edge from outside
    (3, -8, 9, -2),  # above
    (6, 5, 6, 10),  # no width
    (6, 5, 12, 5),  # no height
    (12, 10, 6, 15),  # negative width
)


def as_coco(folder: Path, boxes: tuple[Box, ...]) -> DetectionSet:
    data = coco_data()
    data["annotations"] = [
        {"image_id": 10, "category_id": 17, "bbox": [a, b, c - a, d - b]} for a, b, c, d in boxes
    ]
    return open_detection(coco(folder, data))


def as_voc(folder: Path, boxes: tuple[Box, ...]) -> DetectionSet:
    objects = [voc_object("cat", (a + 1, b + 1, c, d)) for a, b, c, d in boxes]
    return open_detection(voc(folder / "set", {"a": voc_text(*objects), "b": voc_text()}))


def as_yolo(folder: Path, boxes: tuple[Box, ...]) -> DetectionSet:
    lines = [
        f"0 {(a + c) / 2 / WIDTH} {(b + d) / 2 / HEIGHT} {(c - a) / WIDTH} {(d - b) / HEIGHT}"
        for a, b, c, d in boxes
    ]
    return open_detection(yolo(folder / "set", {"a": "\n".join(lines), "b": None}))


def as_npz(folder: Path, boxes: tuple[Box, ...]) -> DetectionSet:
    labels, starts = np.zeros(len(boxes), int), [0, len(boxes), len(boxes)]
    np.savez(
        folder / "a.npz", **whole_npz(boxes=np.array(boxes), labels=labels, box_offsets=starts)
    )
    return open_detection(folder / "a.npz")


LAYOUTS = pytest.mark.parametrize("write", [as_coco, as_voc, as_yolo, as_npz])
Write = Callable[[Path, tuple[Box, ...]], DetectionSet]


@LAYOUTS
def test_a_box_partly_outside_is_clipped_and_its_area_with_it(write: Write, tmp_path: Path) -> None:
    items = write(tmp_path, (PARTLY,))
    found = items[0][1]
    assert items.left_out == 0
    np.testing.assert_allclose(found.boxes, [CLIPPED], atol=1e-5)  # YOLO's fractions are rounded
    np.testing.assert_allclose(found.areas, [30], atol=1e-4)


@LAYOUTS
def test_boxes_with_no_area_left_are_counted_and_the_others_kept(
    write: Write, tmp_path: Path
) -> None:
    said = "5 of 7 boxes have no area inside their picture and are left out, the first one in "
    with pytest.warns(SpikewrightWarning, match=re.escape(said)):
        items = write(tmp_path, (PARTLY, *NOTHING_LEFT, (0, 0, 3, 5)))
    assert items.left_out == 5
    np.testing.assert_allclose(items[0][1].boxes, [CLIPPED, (0, 0, 3, 5)], atol=1e-5)
    assert len(items) == 2  # pictures stay, whatever is in them


def test_boxes_of_several_pictures_in_any_order_keep_theirs() -> None:
    places = [2, 0, 2, 0, 2]
    marks = [Mark(image, k, (k, k, k + 1, k + 1)) for k, image in enumerate(places)]
    table = table_of("set", ["a", "b", "c"], [(9, 9)] * 3, marks)
    labels = [table.at(image, (9, 9)).labels.tolist() for image in range(3)]
    assert labels == [[1, 3], [], [0, 2, 4]]


def test_a_sliver_that_float32_cannot_hold_is_left_out() -> None:
    mark = Mark(0, 0, (400.0, 1.0, 400.0 + 1e-9, 2.0))
    with pytest.warns(SpikewrightWarning, match="1 of 1 boxes"):
        assert table_of("set", ["a"], [(500, 500)], [mark]).left_out == 1


def test_what_is_given_out_can_be_changed_without_harm() -> None:
    table = table_of("set", ["a"], [(9, 9)], [Mark(0, 1, (1, 1, 2, 2), area=5.0)])
    first = table.at(0, (9, 9))
    assert first.areas is not None
    assert first.crowd is not None
    for values in (first.boxes, first.labels, first.areas):
        values += 1
    first.crowd[0] = True
    again = table.at(0, (9, 9))
    assert (again.boxes.tolist(), again.labels.tolist()) == ([[1, 1, 2, 2]], [1])
    assert again.areas is not None
    assert again.crowd is not None
    assert (again.areas.tolist(), again.crowd.tolist()) == ([5.0], [False])
