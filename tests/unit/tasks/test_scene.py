# SPDX-License-Identifier: Apache-2.0
"""Boxes of single inputs and figures of parts: kept in results, and refused where they are none."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from spikewright.errors import FileFormatError
from spikewright.evaluation.result import Result
from spikewright.tasks.scene import Box
from spikewright.text import percent
from tests.unit.tasks.detector import CLASSES, measured


def plain() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(measured().to_json())
    return data


def test_boxes_are_in_shares_of_the_input_and_cut_off_at_its_edges() -> None:
    for index, example in enumerate(measured().examples):
        scene = example.scene
        assert scene is not None
        assert example.index == index
        assert [step for step, _ in scene.steps] == [1, 2, 4, 5]
        # 8, 20, 90, 180 of 200 x 400 stored pixels; the second one ends below the image
        assert scene.truth == (
            Box("cat", 0.04, 0.05, 0.45, 0.45),
            Box("dog", 0.6, 0.05, 0.95, 1.0),
        )
        for boxes in (scene.ann or (), *(boxes for _, boxes in scene.steps)):
            assert all(box.score is not None and box.score >= 0.3 for box in boxes)
            assert all(0 <= box.left <= box.right <= 1 for box in boxes)


def test_the_picture_of_a_scene_keeps_its_form_and_is_larger_than_others() -> None:
    picture = measured().examples[0].picture
    assert picture is not None
    assert (picture.height, picture.width, picture.form) == (200, 100, "jpeg")


def test_unlabelled_images_have_boxes_but_no_truth_and_no_parts() -> None:
    result = measured(labelled=False)
    scene = result.examples[0].scene
    assert scene is not None
    assert scene.truth is None
    assert scene.ann is not None
    assert result.lengths[0].parts == ()


def test_parts_are_sizes_and_the_classes_that_are_there() -> None:
    parts = measured().lengths[0].parts
    assert [(p.kind, p.name, p.boxes) for p in parts] == [
        ("size", "small", 0),
        ("size", "medium", 0),
        ("size", "large", 10),
        ("class", "cat", 5),
        ("class", "dog", 5),
    ]
    small, _, large, cat, dog = parts
    assert small.ap is small.ann is None
    assert large.ap == pytest.approx((cat.ap + dog.ap) / 2)
    assert len(CLASSES) == 42


def test_the_table_of_classes_says_every_part() -> None:
    text = measured().class_table()
    for part in measured().lengths[0].parts:
        (line,) = (x for x in text.splitlines() if x.split()[:2] == [part.name, str(part.boxes)])
        assert percent(part.ap) in line
        assert percent(part.ann) in line
    assert "No average precision by class" in measured(labelled=False).class_table()


def test_there_and_back() -> None:
    result, again = measured(), Result.from_dict(plain())
    assert again.to_dict() == result.to_dict()
    assert again.examples == result.examples
    assert again.lengths[0].parts == result.lengths[0].parts


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("ann"), "a scene's field is missing"),
        (lambda s: s["ann"].append({"name": "cat"}), "a scene's field is missing"),
        (lambda s: s["truth"][0].update(colour=1), "a scene's field is missing or of another"),
        (lambda s: s["truth"][0].update(left=-0.1), "a box is not inside its picture"),
        (lambda s: s["truth"][0].update(left=0.9, right=0.1), "a box is not inside its picture"),
        (lambda s: s["truth"][0].update(top="0"), "a box is not inside its picture"),
        (lambda s: s["truth"][0].update(score=float("nan")), "a box is not inside its picture"),
        (lambda s: s["truth"][0].update(name=3), "a box is not inside its picture"),
        (lambda s: s["steps"].reverse(), "a scene's steps are out of order"),
        (lambda s: s["steps"][0].__setitem__(0, 0), "a scene's step is no whole number"),
        (lambda s: s.update(steps=[]), "a scene's step is no whole number"),
        (lambda s: s.update(least=2), "a scene's least score"),
        (lambda s: s.update(blue_first=1), "a scene's order of channels"),
        (lambda s: s.pop("blue_first"), "a scene's field is missing"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_scene(edit: Callable[[dict[str, Any]], object], message: str) -> None:
    data = plain()
    edit(data["examples"][0]["scene"])
    with pytest.raises(FileFormatError, match=message):
        Result.from_dict(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": -1}, "a part's boxes are no whole number"),
        ({"ap": 1.5}, "a part's figure is no share of 1"),
        ({"ap": "0"}, "a part's figure is no share of 1"),
        ({"kind": "colour"}, "a part is of another kind"),
        ({"name": None}, "a part is of another kind"),
        ({"more": 1}, "a part's field is missing or unknown"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_part(change: dict[str, Any], message: str) -> None:
    data = plain()
    data["lengths"][0]["parts"][3].update(change)
    with pytest.raises(FileFormatError, match=message):
        Result.from_dict(data)


@pytest.mark.usefixtures("unchecked")
def test_a_picture_of_another_form_is_refused() -> None:
    data = plain()
    data["examples"][0]["picture"]["form"] = "gif"
    with pytest.raises(FileFormatError, match="a picture is of another form"):
        Result.from_dict(data)
