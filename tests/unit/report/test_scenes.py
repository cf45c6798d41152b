# SPDX-License-Identifier: Apache-2.0
"""Boxes over pictures: what is drawn, what is said, and that names are only shown."""

import dataclasses
import re
from itertools import pairwise

import pytest

from spikewright.energy.energy_model import choose_models
from spikewright.errors import FileFormatError
from spikewright.evaluation.rasters import Example, Picture
from spikewright.report.content import content
from spikewright.report.data import to_csv
from spikewright.report.latency import latency_figures, pipeline_finding
from spikewright.report.markdown import markdown
from spikewright.report.page import page
from spikewright.report.part_tables import part_tables
from spikewright.report.pictures import data_uri
from spikewright.report.read import Measured, measured_of
from spikewright.report.scenes import found_again, scene_lines, scene_text, scene_view
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.scene import Box, Scene
from tests.unit.report.results import measured as classified
from tests.unit.tasks.detector import measured

MODELS = choose_models(["int8"])
CAT = Box("cat", 0.1, 0.1, 0.5, 0.5, 0.9)
DOG = Box("dog", 0.5, 0.5, 0.8, 0.8, 0.4)
SCENE = Scene(0.3, (CAT,), (CAT, DOG), ((1, ()), (4, (CAT,)), (8, (CAT, DOG))))
PICTURE = Picture(2, 4, 1, "AAAAAAAAAAA=")


def example(scene: Scene = SCENE) -> Example:
    return Example(2, None, None, (), PICTURE, (), scene)


def found() -> Measured:
    return measured_of(measured(), {"preprocess": {"channels": "BGR"}})


def test_one_panel_for_each_step_and_one_picture_for_all() -> None:
    view = scene_view(example(), name="s")
    assert view is not None
    titles = [panel.title for panel in view.panels]
    assert titles == [
        "Input 3 after step 1",
        "Input 3 after step 4",
        "Input 3 after step 8, the last",
    ]
    text = "".join(panel.svg for panel in view.panels)
    assert text.count("<image ") == 1
    assert text.count('<use href="#s-pixels"/>') == 2
    for panel, count in zip(view.panels, (0, 1, 2), strict=True):
        assert panel.svg.count('class="box truth"') == 1
        assert panel.svg.count('class="box ann"') == 2
        assert panel.svg.count('class="box snn"') == panel.svg.count("<text ") == count


def test_boxes_are_where_they_were_found() -> None:
    view = scene_view(example(), name="s")
    assert view is not None
    assert 'viewBox="0 0 320 160"' in view.panels[1].svg
    assert (
        '<rect class="box snn" x="32.0" y="16.0" width="128.0" height="64.0"/>'
        in view.panels[1].svg
    )


def test_labels_do_not_cover_each_other_and_stay_inside() -> None:
    boxes = tuple(Box("a long name", 0.9, 0.0, 1.0, 0.3, 0.9) for _ in range(9))
    view = scene_view(example(dataclasses.replace(SCENE, steps=((1, boxes),))), name="s")
    assert view is not None
    places = re.findall(
        r'class="label" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', view.panels[0].svg
    )
    rows = sorted(float(y) for _, y, _ in places)
    assert 2 <= len(rows) < 9
    assert all(b - a >= 17 for a, b in pairwise(rows))
    assert all(float(x) + float(w) <= 320 for x, _, w in places)
    assert view.panels[0].svg.count('class="box snn"') == 9


def test_blue_first_is_turned_round_and_grey_is_not() -> None:
    colours = dataclasses.replace(example(), picture=Picture(1, 2, 3, "AAAAAAAA"))
    said = dataclasses.replace(colours, scene=dataclasses.replace(SCENE, blue_first=True))
    for turned in (scene_view(colours, name="s", blue_first=True), scene_view(said, name="s")):
        assert turned is not None
        assert 'filter="url(#s-swap)"' in turned.panels[0].svg
    for view in (
        scene_view(colours, name="s"),
        scene_view(example(), name="s", blue_first=True),
    ):
        assert view is not None
        assert "filter" not in view.panels[0].svg


def test_the_words_say_every_box() -> None:
    assert scene_lines(SCENE) == (
        ("in the picture", "cat 0.90 (across 10 to 50, down 10 to 50)."),
        (
            "ANN",
            "cat 0.90 (across 10 to 50, down 10 to 50); dog 0.40 (across 50 to 80, down 50 to 80).",
        ),
        ("after step 1", "No box."),
        ("after step 4", "cat 0.90 (across 10 to 50, down 10 to 50)."),
        (
            "after step 8",
            "cat 0.90 (across 10 to 50, down 10 to 50); dog 0.40 (across 50 to 80, down 50 to 80).",
        ),
    )
    view = scene_view(example(), name="s")
    assert view is not None
    assert [panel.finding for panel in view.panels] == [
        "No box; the ANN has 2.",
        "1 box; 1 of the ANN's 2 are among them.",
        "2 boxes; 2 of the ANN's 2 are among them.",
    ]
    alone = dataclasses.replace(SCENE, truth=None, ann=None)
    assert (
        scene_text(alone) == "Spiking network, with a score of at least 0.3: 0 boxes after step 1, "
        "1 after step 4, 2 after step 8."
    )


def test_a_box_is_found_again_once_and_only_by_its_class() -> None:
    assert found_again([CAT, CAT], [CAT]) == 1
    assert found_again([dataclasses.replace(CAT, name="dog")], [CAT]) == 0
    assert found_again([dataclasses.replace(CAT, right=0.2)], [CAT]) == 0


def test_without_picture_or_scene_nothing_is_drawn() -> None:
    assert scene_view(dataclasses.replace(example(), picture=None), name="s") is None
    assert scene_view(dataclasses.replace(example(), scene=None), name="s") is None


def test_a_jpeg_is_one() -> None:
    with pytest.raises(FileFormatError, match="expected a JPEG file, got another"):
        data_uri(dataclasses.replace(PICTURE, form="jpeg"))
    picture = measured().examples[0].picture
    assert picture is not None
    assert data_uri(picture).startswith("data:image/jpeg;base64,/9j/")


def test_the_page_has_panels_words_and_figures_of_parts() -> None:
    text = page(content(found(), MODELS))
    assert text.count('<div class="scene">') == 2
    assert len(re.findall(r"<strong>Input . after step", text)) == 8
    assert "The boxes of input 2 in words" in text
    assert 'filter="url(#r0-scene1-swap)"' in text
    for title in ("by size of the boxes", "classes 1 to 2 of 2"):
        assert title in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)


def test_markdown_lists_the_boxes_and_figures_of_parts() -> None:
    text = markdown(content(found(), MODELS))
    assert "  - in the picture: cat (across 4 to 45, down 5 to 45);" in text
    assert text.count("  - after step 5: ") == 2
    assert "| large | 10 |" in text


def test_csv_has_figures_of_parts() -> None:
    lines = to_csv(content(found(), MODELS)).splitlines()
    own = [line.partition(",part,")[2] for line in lines if ",part," in line]
    assert own[:3] == ["size small,boxes,0", "size small,AP,", "size small,ann_AP,"]
    assert "class dog,boxes,5" in own
    assert sum(line.startswith("class cat,") for line in own) == 4


def test_names_of_classes_are_only_shown() -> None:
    bad = dataclasses.replace(CAT, name='</svg><script>"&')
    view = scene_view(example(dataclasses.replace(SCENE, steps=((1, (bad,)),))), name="s")
    assert view is not None
    assert "<script>" not in view.panels[0].svg
    assert view.panels[0].svg.count("</svg>") == 1


def test_of_many_classes_the_first_thirty_stand_by_themselves() -> None:
    parts = tuple(PartScore(kind="class", name=f"{i}", boxes=i, ap=0.5) for i in range(1, 43))
    result = dataclasses.replace(measured().lengths[0], tally=None, split=parts)
    first, rest = part_tables(result)
    assert (len(first.rows), len(rest.rows)) == (30, 12)
    assert [first.rows[0][0].text, rest.rows[-1][0].text] == ["42", "1"]
    assert "classes 31 to 42 of 42" in rest.caption
    assert part_tables(classified().lengths[0]) == ()


def test_a_bound_is_called_one() -> None:
    settled = classified("casc").lengths[0]
    words = {name: f"{value} {why}" for name, value, why in latency_figures(settled)}
    assert f"median {settled.ticks_of(0.5)}" in words["Latency"]
    assert f"the bound is {settled.latency_ticks}" in words["Latency"]
    uncounted = dataclasses.replace(settled, at_rest=())
    assert latency_figures(uncounted)[0][1] == f"at most {settled.latency_ticks} ticks"
    assert "at most, 4 of them asleep, with the input off, which is a bound" in pipeline_finding(
        settled
    )


def test_depth_is_what_a_layered_network_takes_its_time_for() -> None:
    assert "3 trains of 4 ticks one behind the other, the input's and those of 2 populations" in (
        pipeline_finding(classified().lengths[0])
    )
