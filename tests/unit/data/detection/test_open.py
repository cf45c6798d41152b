# SPDX-License-Identifier: Apache-2.0
"""What lies at a path says how it is opened; options that a format does not have are refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.data import Preprocess, open_detection
from spikewright.errors import ConfigError, FileFormatError
from tests.unit.data.detection.files import (
    coco,
    coco_data,
    jpegs,
    picture_files,
    voc,
    voc_object,
    voc_text,
    whole_npz,
    yolo,
)

CAT = voc_text(voc_object("cat", (1, 1, 2, 2)))
LINE = "1 0.5 0.5 0.5 0.5"


def test_each_format_is_told_by_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    np.savez(tmp_path / "a.npz", **whole_npz())
    np.savez(tmp_path / "b.npz", **jpegs(), ids=[10, 20])
    (tmp_path / "b.json").write_text(json.dumps(coco_data()))
    voc_folder = voc(tmp_path / "voc", {"a": CAT})
    (voc_folder / "ImageSets" / "Main" / "val.txt").write_text("a")
    given: list[tuple[Path, dict[str, Any], tuple[str, int]]] = [
        (coco(tmp_path / "coco"), {}, ("boxes", 2)),
        (tmp_path / "coco" / "boxes.json", {"pictures": tmp_path / "coco"}, ("boxes", 2)),
        (tmp_path / "a.npz", {}, ("a", 2)),
        (tmp_path / "b.npz", {}, ("b", 2)),
        (tmp_path / "b.json", {}, ("b", 2)),
        (tmp_path / "coco" / "boxes.json", {"pictures": tmp_path / "b.npz"}, ("b", 2)),
        (voc_folder, {}, ("voc", 1)),
        (voc_folder, {"split": "val", "classes": ("dog", "cat")}, ("voc-val", 1)),
        (yolo(tmp_path / "yolo", {"a": LINE}), {"classes": ("a", "b")}, ("yolo", 1)),
        (yolo(tmp_path / "parts", {"val/a": LINE}), {"split": "val"}, ("parts-val", 1)),
        (
            yolo(tmp_path / "more" / "val", {"a": LINE}).parent,
            {"split": "val", "classes": ("a", "b")},
            ("more-val", 1),
        ),
    ]
    for path, options, expected in given:
        items = open_detection(str(path), preprocess=Preprocess(size=4), **options)
        assert (items.name, len(items)) == expected
        assert items[0][0].shape == (3, 4, 4)


def test_a_folder_of_coco_is_told_by_its_annotations(tmp_path: Path) -> None:
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        (folder / part).mkdir()
        file = coco(folder / part)
        file.rename(folder / "annotations" / f"instances_{part}.json")
    for split, name in (("val2017", "instances_val2017"), ("train2017", "instances_train2017")):
        items = open_detection(folder, split=split, preprocess=Preprocess(size=4))
        assert (items.name, len(items), items[0][0].shape) == (name, 2, (3, 4, 4))
    for wrong in (None, "test2017", "2017"):
        with pytest.raises(FileFormatError, match=r"got \d of instances_train2017.json, inst"):
            open_detection(folder, split=wrong)
    (folder / "annotations" / "instances_val2017.json").unlink()
    assert open_detection(folder).name == "instances_train2017"


def test_nothing_that_is_known(tmp_path: Path) -> None:
    picture_files(tmp_path / "flat", ("a.png",))
    (tmp_path / "a.txt").write_text("")
    for path, got in (("no", "nothing"), ("flat", "another folder"), ("a.txt", "a file")):
        with pytest.raises(
            FileFormatError, match=re.escape(f"images and labels), got {got} there. Check the path")
        ):
            open_detection(tmp_path / path)


def test_options_that_a_format_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    given: list[tuple[Path, dict[str, Any], str]] = [
        (coco(tmp_path / "coco"), {"split": "val"}, "expected no split for a COCO file"),
        (tmp_path / "x.json", {"classes": ("a",)}, "expected no classes for a COCO file"),
        (
            tmp_path / "x.npz",
            {"split": "a", "pictures": "b"},
            "no split, pictures for an .npz file",
        ),
        (voc(tmp_path / "voc", {"a": CAT}), {"pictures": "b"}, "for a folder of PASCAL VOC"),
        (yolo(tmp_path / "yolo", {"a": LINE}), {"pictures": "b"}, "for a folder of YOLO"),
    ]
    for path, options, message in given:
        with pytest.raises(ConfigError, match=re.escape(message)):
            open_detection(path, **options)
