# SPDX-License-Identifier: Apache-2.0
"""YOLO: fractions become pixels; a wrong line is named with its number."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from spikewright.data.detection import from_yolo
from spikewright.errors import FileFormatError
from tests.unit.data.detection.files import HEIGHT, WIDTH, picture_files, yolo
from tests.unit.data.files import pictures

HALF = "1 0.5 0.5 0.5 0.5\n"


def refused(folder: Path, message: str, split: str | None = None) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_yolo(folder, split)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 0.5 0.5 0.5", "expected five numbers, 'class x y width height', got '1 0.5 0.5 0.5'"),
        ("1 0.1 0.1 0.2 0.1 0.2 0.2", "Correct the line; outlines are not read."),
        ("cat 0.5 0.5 0.5 0.5", "got 'cat 0.5 0.5 0.5 0.5'"),
        ("2 0.5 0.5 0.5 0.5", "expected a class number in 0..1, got 2. Correct it, or the names"),
        ("-1 0.5 0.5 0.5 0.5", "expected a class number in 0..1, got -1"),
        ("0.5 0.5 0.5 0.5 0.5", "expected a class number in 0..1, got 0.5"),
        ("nan 0.5 0.5 0.5 0.5", "expected a class number in 0..1, got nan"),
        ("1 320 240 20 20", "expected fractions of the picture's sides, got 320 240 20 20. Divide"),
        ("1 0.5 0.5 nan 0.5", "expected fractions of the picture's sides, got 0.5 0.5 nan 0.5"),
        ("1 0.5 0.5 inf 0.5", "got 0.5 0.5 inf 0.5"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    folder = yolo(tmp_path / "set", {"a": HALF, "b": f"{HALF}\n{line}\n"})
    refused(folder, message)
    refused(folder, f"{folder / 'labels' / 'b.txt'}:3: ")


def test_a_label_file_that_is_no_text(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", {"a": HALF})
    (folder / "labels" / "a.txt").write_bytes(b"\xff\xd8\xff")
    refused(folder, "a.txt: expected a label file in UTF-8, got other bytes")


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    refused(tmp_path, f"expected the folders {tmp_path / 'images'} and {tmp_path / 'labels'}, got")
    refused(tmp_path, f" or {tmp_path / 'val' / 'images'} and {tmp_path / 'val' / 'labels'}", "val")


def test_labels_of_other_pictures(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", {"a": None, "b": None})
    (folder / "labels" / "c.txt").write_text(HALF)
    refused(folder, "expected label files of the 2 pictures in ")


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", {"a": HALF})
    (folder / "images" / "a.jpg").rename(folder / "images" / "._a.jpg")
    refused(folder, "images: expected pictures (.bmp, .gif, .jpeg, ")


def test_names_of_classes_that_are_not_there(tmp_path: Path) -> None:
    refused(
        yolo(tmp_path / "set", {"a": HALF}, names=None),
        "set: expected the names of the classes in classes.txt, got no such file. Write one",
    )


def test_fractions_become_pixels_and_empty_is_empty(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", {"a": "\ufeff" + HALF + "0 0 0 0.2 0.2\n", "b": "", "c": None})
    items = from_yolo(folder)
    assert items.classes == ("cat", "dog")
    found = items[0][1]
    expected = [[0.25 * WIDTH, 0.25 * HEIGHT, 0.75 * WIDTH, 0.75 * HEIGHT], [0, 0, 3, 2]]
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-6)
    assert found.labels.tolist() == [1, 0]
    assert found.areas is not None
    assert found.areas.tolist() == pytest.approx([WIDTH * HEIGHT / 4, 6])
    assert [len(items[i][1]) for i in range(len(items))] == [2, 0, 0]
    assert [items[i][1].name for i in range(len(items))] == ["a.jpg", "b.jpg", "c.jpg"]


def test_both_places_of_a_split_and_folders_in_it(tmp_path: Path) -> None:
    one = yolo(tmp_path / "one", {"val/a": HALF, "val/deep/b": HALF, "train/c": HALF})
    two = tmp_path / "two"
    yolo(two / "val", {"a": HALF, "deep/b": HALF}, names=None)
    yolo(two / "train", {"c": HALF}, names=None)
    (two / "classes.txt").write_text("cat\ndog")
    for folder in (one, two):
        items = from_yolo(folder, "val")
        assert items.name == f"{folder.name}-val"
        assert [items[i][1].name for i in (0, 1)] == ["a.jpg", str(Path("deep") / "b.jpg")]
        assert all(len(items[i][1]) == 1 for i in (0, 1))
    refused(one, "expected a split, one of train, val, got none. Choose one.")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_camera_noted(tmp_path: Path, orientation: int) -> None:
    """The same image, however it is stored: Pillow's own way to turn it is the judge."""
    folder = yolo(tmp_path / "set", {"a": HALF})
    stored, exif = Image.fromarray(pictures(1, HEIGHT, WIDTH)[0]), Image.Exif()
    exif[0x0112] = orientation
    stored.save(folder / "images" / "a.jpg", "PNG", exif=exif)
    with Image.open(folder / "images" / "a.jpg") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    image, found = from_yolo(folder).stored(0)
    assert (image == upright).all()
    height, width = upright.shape[:2]
    assert found.boxes.tolist() == [[width / 4, height / 4, width * 3 / 4, height * 3 / 4]]


@pytest.mark.parametrize("given", [True, False])
def test_names_given_or_among_the_labels(tmp_path: Path, given: bool) -> None:
    folder = yolo(tmp_path / "set", {"a": HALF}, names=None)
    if not given:
        (folder / "labels" / "classes.txt").write_text("ant\r\nbee\r\n")
    assert from_yolo(folder, classes=("ant", "bee") if given else None).classes == ("ant", "bee")


def test_label_files_are_found_for_every_kind_of_picture(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set", {"a": HALF})
    picture_files(folder / "images", ("b.PNG", "c.d.webp"))
    for name in ("b", "c.d"):
        (folder / "labels" / f"{name}.txt").write_text(HALF)
    items = from_yolo(folder)
    assert sum(len(items[i][1]) for i in range(3)) == 3
