# SPDX-License-Identifier: Apache-2.0
"""COCO: each way to be wrong has one clear error; boxes, marks and order are the file's."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikewright.data.detection import from_coco
from spikewright.errors import FileFormatError
from tests.unit.data.detection.files import HEIGHT, WIDTH, coco, coco_data, picture_files

Change = Callable[[dict[str, Any]], object]


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_coco(path)


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "a.json", "expected a COCO annotation file, got no file. Check the path.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"images": [\n{"id": 1,}]}', "got no JSON (Expecting property name enclosed in double"),
        (b'{"images": [\n{"id": 1,}]}', "line 2"),
        (b'{"images": [], "images": []}', "got no JSON ('images' is there twice)"),
        (b'{"images": NaN}', "got no JSON (NaN is no number of JSON)"),
        (b"[" * 10_000 + b"]" * 10_000, "levels deep"),
        (b"\xff\xfe", "expected a COCO annotation file in UTF-8, got other bytes"),
        (b"[]", "expected a COCO annotation file with the lists images, annotations and categor"),
        (b'{"categories": {}}', "got one without categories. Check the path."),
        (b'{"categories": [], "images": []}', "categories, images: expected at least one of each"),
        (b'{"categories": [3], "images": []}', "categories[0]: expected an object, got 3"),
    ],
)
def test_a_damaged_file(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    refused(tmp_path / "a.json", message)


def put(key: str, index: int, entry: str, value: object) -> Change:
    return lambda data: data[key][index].update({entry: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put("annotations", 1, "category_id", 3),
            "annotations[1].category_id: expected one of its",
        ),
        (put("annotations", 1, "category_id", "cat"), "2 categories, got 'cat'. Correct the file."),
        (put("annotations", 0, "category_id", None), "annotations[0].category_id: expected one of"),
        (put("annotations", 0, "bbox", None), "annotations[0].bbox: expected four numbers: left,"),
        (put("annotations", 0, "bbox", [1, 2, 3]), "got [1, 2, 3]"),
        (put("annotations", 0, "bbox", [1, 2, 3, "4"]), "got [1, 2, 3, '4']"),
        (put("annotations", 0, "bbox", [1, 2, 3, True]), "got [1, 2, 3, True]"),
        (put("annotations", 0, "bbox", [1, 2, 3, 10**400]), "annotations[0].bbox"),
        (
            put("annotations", 0, "area", -1),
            "annotations[0].area: expected a number of square pixel",
        ),
        (put("annotations", 0, "iscrowd", 2), "annotations[0].iscrowd: expected 0 or 1, got 2"),
        (put("images", 1, "id", 10), "images[1].id: expected a whole number that no other one has"),
        (
            put("images", 1, "id", "x"),
            "images[1].id: expected a whole number that no other one has",
        ),
        (put("categories", 1, "id", 18), "categories[1].id: expected a whole number that no other"),
        (put("categories", 1, "name", ""), "categories[1].name: expected a name, got ''"),
        (put("images", 0, "width", 0), "images[0].height, width: expected whole numbers of pixels"),
        (put("images", 0, "height", 7.5), "got 7.5, 30"),
        (put("images", 0, "height", None), "got None, 30"),
        (put("images", 0, "file_name", 3), "images[0].file_name: expected a name, got 3"),
        (
            put("images", 0, "file_name", None),
            "images[0].file_name: expected a path inside the fol",
        ),
        (put("images", 1, "file_name", "../a.jpg"), "pictures, got '../a.jpg'. Correct the file."),
        (
            put("images", 1, "file_name", "/etc/a.jpg"),
            "images[1].file_name: expected a path inside",
        ),
        (lambda data: data.pop("annotations"), "got one without annotations"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: Change, message: str) -> None:
    data = coco_data()
    change(data)
    refused(coco(tmp_path, data), message)


def test_infinity_written_as_a_large_number(tmp_path: Path) -> None:
    path = coco(tmp_path)
    path.write_text(path.read_text().replace("3.5", "1e999"))
    refused(
        path, "annotations[0].bbox: expected four numbers: left, top, width, height, got [1, 2,"
    )


def test_annotations_of_pictures_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    data = coco_data()
    data["annotations"] += [{**data["annotations"][0], "image_id": 99}] * 3
    refused(
        coco(tmp_path, data),
        "annotations[2].image_id: expected one of its 2 pictures, got 99 (3 such annotations)",
    )


def test_pictures_that_are_not_there_are_counted(tmp_path: Path) -> None:
    path = coco(tmp_path, coco_data(("a.jpg", "no.jpg", "b.jpg", "none.jpg")))
    refused(
        path,
        f"expected its 4 pictures in {tmp_path}, got 2 that are not there, first "
        f"{tmp_path / 'no.jpg'}. Name the right folder, or bring them.",
    )


def test_a_name_that_no_file_can_have_is_one_that_is_not_there(tmp_path: Path) -> None:
    path = coco(tmp_path, coco_data(("a" * 300, "b.jpg")))
    refused(path, "expected its pictures beside it, got no aaa")
    with pytest.raises(FileFormatError, match="got 1 that are not there, first"):
        from_coco(path, tmp_path)


def test_a_folder_of_pictures_that_cannot_be_guessed(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco_data()))
    refused(tmp_path / "x.json", "expected its pictures beside it, got no a.jpg there, nor in imag")


def test_boxes_marks_and_order_are_those_of_the_file(tmp_path: Path) -> None:
    items = from_coco(coco(tmp_path))
    assert items.name == "boxes"
    assert items.classes == ("dog", "cat")
    assert items.category_ids == (18, 17)
    assert items.image_ids == (10, 20)
    (image, found), (_, nothing) = items[0], items[1]
    assert image.shape == (3, HEIGHT, WIDTH)
    assert found.boxes.tolist() == [[1, 2, 4.5, 6], [0, 0, 30, 20]]
    assert found.labels.tolist() == [1, 0]
    assert found.crowd is not None
    assert found.crowd.tolist() == [False, True]
    assert found.areas is not None
    assert found.areas.tolist() == [9.5, 600.0]
    assert (found.size, found.name) == ((HEIGHT, WIDTH), "a.jpg")
    assert nothing.boxes.shape == (0, 4)
    assert nothing.name == "b.jpg"


def test_a_picture_without_a_size_in_the_file_is_asked(tmp_path: Path) -> None:
    data = coco_data()
    for image in data["images"]:
        del image["width"], image["height"]
    data["annotations"][0]["bbox"] = [20, 10, 100, 100]
    found = from_coco(coco(tmp_path, data))[0][1]
    assert found.boxes[0].tolist() == [20, 10, WIDTH, HEIGHT]


@pytest.mark.parametrize("folder", [".", "images", "val2017", "images/val2017"])
@pytest.mark.parametrize("file", ["instances_val2017.json", "annotations/instances_val2017.json"])
def test_the_usual_folders_of_pictures_are_found(tmp_path: Path, folder: str, file: str) -> None:
    picture_files(tmp_path / folder, ("a.jpg", "b.jpg"))
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps(coco_data()))
    assert len(from_coco(tmp_path / file)) == 2


def test_a_folder_of_pictures_that_is_named(tmp_path: Path) -> None:
    picture_files(tmp_path / "elsewhere", ("a.jpg", "b.jpg"))
    (tmp_path / "x.json").write_text(json.dumps(coco_data()))
    assert len(from_coco(tmp_path / "x.json", tmp_path / "elsewhere")) == 2
