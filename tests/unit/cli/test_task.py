# SPDX-License-Identifier: Apache-2.0
"""Options that say what a network is for, and the demo of detection."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikewright.cli import demo_detection, main
from spikewright.cli.options import TaskOptions
from spikewright.cli.task import check_task, task_of
from spikewright.cli.verbs.demo import EPOCHS, OUTPUTS
from spikewright.detection import Custom, DflYolo
from spikewright.errors import ConfigError, UnknownNameError
from spikewright.tasks import Detection, Segmentation


def test_nothing_given_leaves_the_task_open() -> None:
    assert task_of(TaskOptions()) is None
    assert task_of(TaskOptions(task="outputs")) == "outputs"


def test_a_decoder_means_detection_with_the_datas_classes() -> None:
    task = task_of(TaskOptions(decode="yolov8", iou=0.6, least_score=0.05), ("cat", "dog"))
    assert isinstance(task, Detection)
    assert isinstance(task.decode, DflYolo)
    assert task.classes == ("cat", "dog")
    assert (task.decode.suppression.iou, task.decode.suppression.least) == (0.6, 0.05)


def test_classes_are_a_file_or_a_number(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("sky\nroad\n")
    options = TaskOptions(task="segmentation", classes=str(tmp_path / "names.txt"))
    assert task_of(options) == Segmentation(classes=2)
    assert task_of(TaskOptions(task="segmentation", classes="21")) == Segmentation(classes=21)


def test_a_function_of_ones_own_decodes(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def decode(outputs, size):\n    return [size]\n")
    task = task_of(TaskOptions(decode=f"{tmp_path / 'mine.py'}:decode", classes="3"))
    assert isinstance(task, Detection)
    assert isinstance(task.decode, Custom)
    assert task.decode.function([], (4, 4)) == [(4, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TaskOptions(classes="3"), "--classes: expected with --task detection"),
        (TaskOptions(task="outputs", iou=0.5), "--iou: expected with .* got outputs"),
        (TaskOptions(task="segmentation", decode="yolov8"), "--decode: expected with"),
        (TaskOptions(task="detection"), "--decode: expected how boxes are read off"),
        (TaskOptions(decode="mine.py:decode", iou=0.5), "which suppresses boxes itself"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    options: TaskOptions, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_task(options)


def test_missing_classes_and_unknown_decoders_are_refused() -> None:
    with pytest.raises(ConfigError, match="--classes: expected the names of the classes"):
        task_of(TaskOptions(decode="yolov8"))
    with pytest.raises(UnknownNameError, match="yolov88"):
        check_task(TaskOptions(decode="yolov88"))


def test_the_two_demos_are_not_in_each_others_way() -> None:
    assert OUTPUTS.keys() == EPOCHS.keys()
    assert len(set(OUTPUTS.values())) == len(OUTPUTS)


@pytest.mark.slow
def test_the_demo_of_detection_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With few scenes, so that nothing is learnt; what must hold holds all the same."""
    for name, value in {"SCENES": 32, "TESTED": 8, "TICKED": 2, "EXAMPLES": 1, "SIDE": 32}.items():
        monkeypatch.setattr(demo_detection, name, value)
    folder = tmp_path / "out"
    options: list[Any] = ["demo", "--task", "detection", "--epochs", "1", "-o", str(folder)]
    assert main(options) == 0
    assert {path.name for path in folder.iterdir()} == set(demo_detection.FILES)
    found = json.loads((folder / "demo.json").read_text())
    assert found["casc"]["equal"]
    assert found["casc"]["largest_difference"] < 1e-9
    said = " ".join(capsys.readouterr().out.split())
    assert "1. Train the detector" in said
    assert "the largest difference of any number in its three maps is" in said
