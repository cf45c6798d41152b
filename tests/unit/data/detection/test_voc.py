# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC: pixels from 1, both edges inside; hostile and damaged XML is one error."""

import re
from pathlib import Path

import pytest

from spikewright.data.detection import VOC_CLASSES, from_voc
from spikewright.errors import ConfigError, FileFormatError
from tests.unit.data.detection.files import HEIGHT, WIDTH, voc, voc_object, voc_text

CAT = voc_object("cat", (1, 1, WIDTH, HEIGHT))
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><annotation><object><name>&i;</name></object></annotation>"
)


def refused(folder: Path, message: str, split: str | None = None) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_voc(folder, split)


def test_a_folder_without_annotations(tmp_path: Path) -> None:
    refused(tmp_path, f"{tmp_path}: expected Annotations/*.xml, got none. Check the path")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object></annotation>", "that cannot be read (mismatched tag: line 2, col"),
        ("", "that cannot be read (no element found: line 1, column 0)"),
        (BOMB, "a.xml: expected XML without a DOCTYPE, got one. Remove it: VOC has none."),
        ("<annotation>&i;</annotation>", "that cannot be read (undefined entity"),
        (
            voc_text(voc_object("helmet", (1, 1, 2, 2))),
            "object 0: expected one of the classes aero",
        ),
        (
            voc_text(CAT, voc_object("dog", (1, 1, "x", 2))),
            "a.xml: object 1: expected a number as b",
        ),
        (
            voc_text(voc_object("dog", (1, 1, "nan", 2))),
            "as bndbox/xmax, got 'nan'. Correct the fi",
        ),
        (voc_text(voc_object("dog", (1, 1, "1e99", 2))), "as bndbox/xmax, got '1e99'"),
        (
            voc_text("<object><name>cat</name></object>"),
            "expected a number as bndbox/xmin, got None",
        ),
        (voc_text(CAT).replace("<height>20", "<height>tall"), "as size/height, got 'tall'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    refused(voc(tmp_path / "VOC", {"a": text}), message)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    folder = voc(tmp_path / "VOC", {"a": ""})
    (folder / "Annotations" / "a.xml").write_bytes(BOMB.encode("utf-16"))
    refused(folder, "a.xml: expected an XML file of VOC in UTF-8, got other bytes")


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    folder = voc(tmp_path / "VOC", {"a": voc_text(CAT), "b": voc_text(CAT), "c": voc_text()})
    for name in "bc":
        (folder / "JPEGImages" / f"{name}.jpg").unlink()
    refused(folder, "expected its 3 pictures in ")
    refused(folder, "got 2 that are not there, first " + str(folder / "JPEGImages" / "b.jpg"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a\nb\n\na\n", "val.txt:4: expected each picture once, got a again. Remove the line."),
        ("a\nx\ny\n", "expected an XML file of each of its 3 pictures, got none of 2, first "),
        ("\n", "val.txt: expected a list of pictures, got none. Check the file."),
    ],
)
def test_a_wrong_list(tmp_path: Path, lines: str, message: str) -> None:
    folder = voc(tmp_path / "VOC", {"a": voc_text(CAT), "b": voc_text(CAT)})
    (folder / "ImageSets" / "Main" / "val.txt").write_text(lines)
    refused(folder, message, "val")


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    folder = voc(tmp_path / "VOC", {"a": voc_text(CAT)})
    (folder / "ImageSets" / "Main" / "val.txt").write_text("a\n")
    refused(
        folder,
        "train.txt: expected a list of pictures, got no file. Splits that are there: val",
        "train",
    )


def test_a_box_of_all_pixels_covers_the_picture(tmp_path: Path) -> None:
    pixel = voc_object("dog", (1, 1, 1, 1), "<difficult>1</difficult>")
    part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>"
    text = voc_text(part.join((CAT[:-9], "</object>")), pixel)
    items = from_voc(voc(tmp_path / "VOC", {"a": text, "b": voc_text()}))
    found = items[0][1]
    assert items.classes == VOC_CLASSES
    assert found.boxes.tolist() == [[0, 0, WIDTH, HEIGHT], [0, 0, 1, 1]]
    assert found.labels.tolist() == [7, 11]
    assert found.difficult is not None
    assert found.difficult.tolist() == [False, True]
    assert found.areas is not None
    assert found.areas.tolist() == [WIDTH * HEIGHT, 1]
    assert found.name == "a.jpg"
    assert len(items[1][1]) == 0


def test_a_split_is_read_in_its_order(tmp_path: Path) -> None:
    folder = voc(tmp_path / "VOC", {name: voc_text(CAT) for name in "abc"})
    (folder / "ImageSets" / "Main" / "val.txt").write_text("c  1\r\na -1\r\n")
    items = from_voc(folder, "val")
    assert [found.name for _, found in (items[0], items[1])] == ["c.jpg", "a.jpg"]
    assert items.name == "VOC-val"
    assert [found.name for _, found in map(from_voc(folder).__getitem__, range(3))] == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
    ]


@pytest.mark.parametrize("size", [None, (0, 0)])
def test_a_size_that_is_not_told_is_taken_from_the_picture(
    tmp_path: Path, size: tuple[int, int] | None
) -> None:
    text = voc_text(voc_object("cat", (5, 5, 100, 100)), size=size)
    found = from_voc(voc(tmp_path / "VOC", {"a": text}))[0][1]
    assert found.boxes.tolist() == [[4, 4, WIDTH, HEIGHT]]


def test_other_classes_and_other_kinds_of_pictures(tmp_path: Path) -> None:
    folder = voc(tmp_path / "mine", {"a": voc_text(voc_object("helmet", (1, 1, 2, 2)))})
    (folder / "JPEGImages" / "a.jpg").rename(folder / "JPEGImages" / "a.png")
    (tmp_path / "names.txt").write_text("vest\nhelmet\n")
    for classes in (("vest", "helmet"), tmp_path / "names.txt"):
        items = from_voc(folder, classes=classes)
        assert items.classes == ("vest", "helmet")
        assert items[0][1].labels.tolist() == [1]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "classes: expected a name for every class, got []"),
        (("a", ""), "classes: expected a name for every class, got ['a', '']"),
        (("a", "b", "a"), "classes: expected each name once, got a more often"),
        ("cat", "classes: expected several names, or the Path of a file, got the text 'cat'"),
    ],
)
def test_wrong_names_of_classes(tmp_path: Path, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        from_voc(tmp_path, classes=classes)
