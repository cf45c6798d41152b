# SPDX-License-Identifier: Apache-2.0
"""``spikewright train --task detection``: from boxes to a checkpoint that every verb takes."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from spikewright.cli import main
from spikewright.data import pasted_digits
from spikewright.training.checkpoint import read_run

MODEL = ("--model", "casc-yolo-vgg16", "--width", "0.0625", "--stride", "8")
DATA = ("--data", "boxes:train.json", "--size", "32")
TASK = ("--task", "detection")
RECIPE = ("--batch-size", "4", "--optimizer", "adamw", "--lr", "0.003", "--clip-grad", "50")
FIRST = "first/last.safetensors"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part, count in (("train", 12), ("val", 4)):
        written(part, count)


def written(part: str, count: int) -> None:
    """Write scenes of digits as COCO: pictures and one JSON file."""
    scenes = pasted_digits("train", count, size=32, seed=len(part))
    images, marks = [], []
    for number in range(count):
        x, given = scenes[number]
        name = f"{part}{number}.png"
        Image.fromarray((255 * x).round().to(torch.uint8).permute(1, 2, 0).numpy()).save(name)
        images.append({"id": number, "file_name": name, "width": 32, "height": 32})
        for (left, top, right, bottom), label in zip(
            given.boxes.tolist(), given.labels.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            mark = {"id": len(marks) + 1, "image_id": number, "category_id": label + 1}
            marks.append({**mark, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    kinds = [{"id": i + 1, "name": str(i)} for i in range(10)]
    content = {"images": images, "annotations": marks, "categories": kinds}
    Path(f"{part}.json").write_text(json.dumps(content))


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Run a command, check its exit code, and return what it printed."""
    capsys.readouterr()
    assert main([*words, "--quiet"]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_from_scratch_then_fine_tuned_then_boxes_from_spikes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = ("train", *TASK, *DATA, *RECIPE)
    scratch = (*train, *MODEL, "--activation", "relu", "--epochs", "2", "--folder", "first")
    checked = ("--validation", "boxes:val.json", "--sizes", "32,48", "--ema", "0.5")
    text = run(capsys, *scratch, *checked, "--augment", "flip")
    assert "val %" in text
    assert "on 12 inputs of train" in text
    assert f"convert --model trained:{FIRST} --method spikeconverter" in text
    kept = read_run(Path(FIRST))
    assert all(0 <= epoch["validation"] <= 100 for epoch in kept["history"])
    assert (kept["objective"]["stride"], kept["objective"]["sizes"]) == (8, [32, 48])
    assert kept["note"]["model"] == "casc-yolo-vgg16:classes=10,width=0.0625,stride=8"
    assert Path("first/best.safetensors").is_file()

    calibration = ("--calibration", "boxes:train.json", "--size", "32")
    tuned = ("--model", f"trained:{FIRST}", "--levels", "4", "--folder", "second", "--epochs", "1")
    text = run(capsys, *train, *tuned, "--calibration", "boxes:train.json")
    assert "trained: casc, levels 4" in text
    second = ("--model", "trained:second/last.safetensors", "--method", "casc", "--T", "4")

    run(capsys, "convert", *second, *calibration, "-o", "snn.safetensors")
    scored = ("evaluate", "--data", "boxes:val.json", "--decode", "anchor-free", "--json")
    report = json.loads(run(capsys, *scored, *second, *calibration))
    (length,) = report["lengths"]
    figures = {each["name"]: each for each in length["series"]}
    assert figures["AP50"]["values"][-1] is not None
    assert length["task"] == "detection"
    saved = json.loads(run(capsys, *scored, "--snn", "snn.safetensors"))
    assert saved["lengths"][0]["layers"] == length["layers"]
    shown = ("evaluate", "--snn", "snn.safetensors", "--data", "boxes:val.json", "--by-class")
    assert "class  boxes" in run(capsys, *shown, "--decode", "anchor-free")
    assert "--by-class: expected with --decode" in run(capsys, *shown, code=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (*TASK, "--data", "digits-train", *MODEL),
            "--data: expected pictures with boxes",
        ),
        (
            (*DATA, *MODEL[:2], "--stride", "8"),
            "--stride: expected with --task detection, got classification.",
        ),
        (
            (*DATA, *MODEL[:2], "--sizes", "32"),
            "--sizes: expected with --task detection or imitation, got classification.",
        ),
        (
            (*TASK, *DATA, "--model", "resnet20", "--width", "0.5"),
            "--width: expected with --model casc-yolo-resnet50 or casc-yolo-vgg16, got resnet20.",
        ),
        ((*TASK, *DATA, "--model", "resnet20"), "--model: expected a detector that returns maps"),
        ((*TASK, *DATA, *MODEL[:-1], "7"), "casc_yolo_vgg16.stride: expected 8, 16 or 32, got 7."),
        ((*TASK, *DATA, *MODEL, "--sizes", "36"), "multiples of it, got stride 8 and sizes (36,)."),
        ((*TASK, *DATA, *MODEL, "--augment", "crop-flip"), "expected 'none' or 'flip' for images"),
    ],
)
def test_misuse(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    text = run(capsys, "train", *words, code=2)
    assert message in text
    assert text.count("\n") == 1
