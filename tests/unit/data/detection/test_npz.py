# SPDX-License-Identifier: Apache-2.0
"""Packed pictures: boxes in the file or in a COCO file beside it, never of other pictures."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.data.detection import from_npz
from spikewright.errors import ConfigError, FileFormatError
from tests.unit.data.detection.files import coco_data, jpegs, whole_npz


def refused(path: Path, message: str, **options: Any) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_npz(path, **options)


def beside(folder: Path, ids: list[int], data: dict[str, Any] | None = None) -> Path:
    np.savez(folder / "set.npz", **jpegs(len(ids)), ids=np.array(ids))
    (folder / "set.json").write_text(json.dumps(data or coco_data()))
    return folder / "set.npz"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"boxes": np.zeros((3, 5))},
            "expected boxes as finite numbers (boxes, 4), got float64 of",
        ),
        ({"boxes": np.full((3, 4), np.nan)}, "expected boxes as finite numbers (boxes, 4)"),
        ({"boxes": np.full((3, 4), "a")}, "expected boxes as finite numbers (boxes, 4), got <U1"),
        (
            {"labels": np.array([0, 1])},
            "expected labels as 3 class numbers in 0..1, got int64 of s",
        ),
        ({"labels": np.array([0, 1, 2])}, "expected labels as 3 class numbers in 0..1"),
        ({"labels": np.array([0, -1, 1])}, "expected labels as 3 class numbers in 0..1"),
        ({"labels": np.zeros(3)}, "expected labels as 3 class numbers in 0..1, got float64"),
        ({"box_offsets": np.array([0, 3])}, "expected box_offsets as 3 numbers from 0 to 3"),
        ({"box_offsets": np.array([0, 4, 3])}, "expected box_offsets as 3 numbers from 0 to 3"),
        ({"box_offsets": np.array([0, 1, 2])}, "expected box_offsets as 3 numbers from 0 to 3"),
        ({"classes": None}, "expected classes as one row of texts, got none. Save the names"),
        (
            {"classes": np.arange(2)},
            "expected classes as one row of texts, got int64 of shape (2,)",
        ),
        ({"crowd": np.zeros(3)}, "expected crowd as 3 truth values, got float64 of shape (3,)"),
        ({"difficult": np.zeros(2, bool)}, "expected difficult as 3 truth values"),
        ({"areas": -np.ones(3)}, "expected areas as 3 finite numbers, none below 0"),
        ({"ids": np.array([1, 1])}, "expected ids that differ, got 1 more than once"),
        ({"ids": np.array([1])}, "expected ids as 2 whole numbers, got int64 of shape (1,)"),
        ({"offsets": np.array([0, 5])}, "expected offsets rising from 0 to the"),
        (
            {"jpeg": None},
            "expected the keys jpeg+offsets+boxes+labels+box_offsets or jpeg+offsets+",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "set.npz", **whole_npz(**changes))
    refused(tmp_path / "set.npz", message)


def test_boxes_in_the_file(tmp_path: Path) -> None:
    crowd, ids = np.array([False, True, False]), np.array([7, 5])
    areas = np.array([1.0, 2.0, 3.0])
    arrays = whole_npz(crowd=crowd, difficult=~crowd, areas=areas, ids=ids)
    np.savez(tmp_path / "set.npz", **arrays)
    items = from_npz(tmp_path / "set.npz")
    first, second = items[0][1], items[1][1]
    assert items.classes == ("cat", "dog")
    assert (items.category_ids, items.image_ids) == (None, (7, 5))
    assert (first.name, second.name) == ("7", "5")
    assert first.boxes.tolist() == [[1, 2, 4, 6]]
    assert second.boxes.tolist() == [[0, 0, 30, 20], [5, 5, 9, 8]]
    assert second.labels.tolist() == [0, 1]
    for given, expected in (
        (second.crowd, [True, False]),
        (second.difficult, [False, True]),
        (second.areas, [2.0, 3.0]),
    ):
        assert given is not None
        assert given.tolist() == expected


def test_boxes_in_the_file_without_what_may_be_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **whole_npz(classes=None))
    items = from_npz(tmp_path / "set.npz", classes=("ant", "bee"))
    assert items.classes == ("ant", "bee")
    assert items.image_ids is None
    assert items[1][1].name == "1"
    areas = items[1][1].areas
    assert areas is not None
    assert areas.tolist() == [600.0, 12.0]


def test_no_box_at_all(tmp_path: Path) -> None:
    nothing = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "box_offsets": [0, 0, 0]}
    np.savez(tmp_path / "set.npz", **whole_npz(**nothing))
    assert [len(found) for _, found in map(from_npz(tmp_path / "set.npz").__getitem__, (0, 1))] == [
        0,
        0,
    ]


def test_boxes_beside_the_file_go_by_the_numbers_of_the_pictures(tmp_path: Path) -> None:
    items = from_npz(beside(tmp_path, [20, 10]))
    assert items.image_ids == (20, 10)
    assert items.category_ids == (18, 17)
    assert [items[i][1].name for i in (0, 1)] == ["b.jpg", "a.jpg"]
    assert [len(items[i][1]) for i in (0, 1)] == [0, 2]
    assert items[1][1].boxes[0].tolist() == [1, 2, 4.5, 6]


def test_a_coco_file_that_is_named_wins_over_boxes_in_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **whole_npz(ids=np.array([10, 20])))
    (tmp_path / "other.json").write_text(json.dumps(coco_data()))
    assert from_npz(tmp_path / "set.npz", tmp_path / "other.json").classes == ("dog", "cat")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [10, 20, 30],
            "got 1 that are not in set.json, first 30. Give files that belong together.",
        ),
        ([20], "set.npz and set.json: expected the same pictures, got 1 that are not in set.npz"),
    ],
)
def test_files_of_other_pictures(tmp_path: Path, ids: list[int], message: str) -> None:
    refused(beside(tmp_path, ids), message)


def test_no_coco_file_beside(tmp_path: Path) -> None:
    beside(tmp_path, [10, 20])
    (tmp_path / "set.json").unlink()
    refused(tmp_path / "set.npz", "set.json: expected a COCO annotation file, got no file")


def test_names_of_classes_beside_a_coco_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected no classes beside a COCO file"):
        from_npz(beside(tmp_path, [10, 20]), classes=("a", "b"))
