# SPDX-License-Identifier: Apache-2.0
"""``spikewright train`` on a small network: misuse, training, going on, converting the result."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikewright.cli import main
from spikewright.training.checkpoint import read, read_run, write

MODELS = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(288, 10))

def nine():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU())
"""
NET = ("--model", "nets.py:net")
DATA = ("--data", "digits-train")
SHORT = ("--epochs", "2", "--batch-size", "64", "--lr", "0.1")
LAST = "run/last.safetensors"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets.py").write_text(MODELS)
    (tmp_path / "settings.toml").write_text(
        'epochs = 2\n[train]\nlr = 0.1\nbatch_size = 64\nlabel-smoothing = 0.0\nfolder = "run"\n'
    )
    (tmp_path / "wrong.toml").write_text("[train]\nrate = 0.1\n")
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short run leaves."""
    place = tmp_path_factory.mktemp("trained")
    (place / "nets.py").write_text(MODELS)
    with contextlib.chdir(place):
        assert main(["train", *NET, *DATA, *SHORT, "--folder", "run", "--quiet"]) == 0
    return place / LAST


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(words))
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (NET, "--data: expected labelled inputs to train on, got none."),
        (DATA, "--model: expected a model, got none."),
        ((*NET, "--data", "random"), "--data: expected labelled inputs, got random noise."),
        ((*NET, *DATA, "--validation", "random"), "--validation: expected labelled inputs, got"),
        ((*NET, *DATA, "--epochs", "0"), "training.epochs: expected at least 1, got 0."),
        ((*NET, *DATA, "--lr", "-1"), "training.lr: expected a finite number above 0, got -1.0."),
        ((*NET, *DATA, "--levels", "0"), "levels: expected at least 1, got 0."),
        ((*NET, *DATA, "--augment", "mixup"), "--augment"),
        ((*NET, *DATA, "--size", "9"), "expected a model and inputs that fit"),
        ((*NET, *DATA, *SHORT, "--folder", "file"), "file: expected a folder for checkpoints"),
        (("--model", "nets.py:nine", *DATA, *SHORT), "dataset: expected classes 0 to 8, as many"),
        ((*NET, *DATA, "--config", "wrong.toml"), "wrong.toml [train]: option 'rate': not known"),
        (("--model", "trained:none", *DATA), "none: expected a checkpoint, got no file."),
    ],
)
def test_misuse(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    code, out, err = run(capsys, "train", *words, "--quiet")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_from_training_to_a_spiking_network(capsys: pytest.CaptureFixture[str]) -> None:
    train = (
        "train",
        *NET,
        *DATA,
        "--config",
        "settings.toml",
        "--activation",
        "qcfs",
        "--levels",
        "4",
    )
    code, out, err = run(capsys, *train, "--validation", "digits-test")
    assert (code, err) == (0, "")
    assert max(len(line) for line in out.splitlines() if line[:5] != "next:") <= 80
    assert "epoch 1/2: loss" in out
    assert "trained: qcfs, levels 4, on 1,352 inputs of digits-train" in out
    assert f"convert --model trained:{LAST}:nets.py:net --method qcfs --T 4 --calib" in out
    assert Path("run/best.safetensors").is_file()
    assert read_run(Path(LAST))["note"]["model"] == "nets.py:net"
    assert read_run(Path(LAST))["config"]["label_smoothing"] == 0.0

    code, out, _ = run(capsys, *train, "--validation", "digits-test", "--json")  # nothing to do
    data: dict[str, Any] = json.loads(out)
    assert (code, data["schema"]) == (0, "spikewright.training/1")
    assert [r["epoch"] for r in data["history"]] == [1, 2]
    assert data["history"][-1]["validation"] > 60
    assert (data["data"]["name"], data["cost"]["images"]) == ("digits-train", 2 * 1352)

    trained = ("--model", f"trained:{LAST}:nets.py:net")
    chosen = ("--calibration", "digits-train", "--calibration-samples", "64")
    spiking = ("--method", "qcfs", "--T", "4", "--data", "digits-test", "--json")
    code, out, _ = run(capsys, "evaluate", *trained, *chosen, *spiking)
    report = json.loads(out)
    assert code == 0
    assert report["reference_accuracy"] == pytest.approx(data["history"][-1]["validation"] / 100)
    # one layer of neurons under a constant current computes the trained levels
    assert report["lengths"][0]["agreement"][-1] > 0.99
    code, out, err = run(capsys, "evaluate", *trained, *chosen, *spiking, "--weights", "x")
    assert code == 2
    assert "--weights: expected none with --model trained:" in err


def test_other_settings_need_another_folder_or_a_new_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = ("train", *NET, *DATA, *SHORT, "--folder", "run")
    assert run(capsys, *train)[0] == 0
    code, _, err = run(capsys, *train, "--seed", "1", "--quiet")
    assert code == 2
    assert "got one with seed 0, not 1. Name another folder, or start anew" in err
    code, out, _ = run(capsys, *train, "--seed", "1", "--anew", "--quiet")
    assert code == 0
    assert out.startswith("epoch ")
    assert "epoch 1/2" not in out  # quiet: the result only
    again = ("train", "--model", f"trained:{LAST}:nets.py:net", *DATA, *SHORT, "--folder", "more")
    assert run(capsys, *again)[0] == 0
    assert read_run(Path("more/last.safetensors"))["note"]["model"] == "nets.py:net"
    code, _, err = run(capsys, *again[:3], *DATA, "--levels", "4", "--quiet")
    assert code == 2
    assert "expected no levels for a network that has its activations" in err


def test_a_directly_trained_network_converts(capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", *NET, *DATA, *SHORT, "--activation", "stbp", "--levels", "2")
    assert run(capsys, *train, "--folder", "run")[0] == 0
    converted = ("--calibration", "digits-train", "--calibration-samples", "32", "--method", "stbp")
    words = (
        "convert",
        "--model",
        f"trained:{LAST}:nets.py:net",
        *converted,
        "--T",
        "2",
        "-o",
        "snn.safetensors",
    )
    code, _, err = run(capsys, *words)
    assert (code, err) == (0, "")


def test_a_checkpoint_made_in_python_has_no_model(
    capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    found = read(checkpoint)
    write(Path("mine.safetensors"), replace(found, run={**found.run, "note": {}}))
    code, _, err = run(capsys, "train", "--model", "trained:mine.safetensors", *DATA, "--quiet")
    assert code == 2
    assert "expected a checkpoint that says which model was trained" in err


@pytest.mark.parametrize("model", ["os:abort", "nets.py:net", "mine.pt2", "net.graph.json"])
def test_a_checkpoint_does_not_decide_what_code_is_run(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, model: str
) -> None:
    """It may name networks of this package and of torchvision; others the user has to name."""
    found = read(checkpoint)
    Path(LAST).parent.mkdir()
    write(Path(LAST), replace(found, run={**found.run, "note": {"model": model}}))
    marker = Path("called")
    touch = "\nfrom pathlib import Path\nPath('called').touch()\n"
    Path("nets.py").write_text(MODELS + touch)
    for words in (("inspect", *DATA), ("convert", "--calibration", "digits-train")):
        code, _, err = run(capsys, *words, "--model", f"trained:{LAST}")
        assert code == 2
        assert "a file does not decide what code is run. If you trust it, name it yourself" in err
        assert f"--model trained:{LAST}:{model}." in err
    assert not marker.exists()
    code, _, err = run(capsys, "inspect", *DATA, "--model", f"trained:{LAST}:nets.py:net")
    assert (code, err) == (0, "")
    assert marker.exists()


@pytest.mark.slow
def test_processes_report_once() -> None:
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "spikewright"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            *launcher,
            "train",
            *NET,
            *DATA,
            *SHORT,
            "--folder",
            "run",
            "--json",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cost"]["images"] == 2 * 1352
    assert read_run(Path(LAST))["processes"] == 2


def test_the_model_itself_may_be_imitated(capsys: pytest.CaptureFixture[str]) -> None:
    """From weights normalised channel by channel; the result opens and says what it was."""
    words = ("--task", "imitation", "--per-channel", "--calibration", "digits-train")
    code, _, _ = run(capsys, "train", *NET, *DATA, *SHORT, "--folder", "run", *words)
    assert code == 0
    facts = read_run(Path(LAST))
    assert facts["objective"]["name"] == "imitation"
    assert facts["activation"]["per_channel"] is True
    opened = ("--model", f"trained:{LAST}:nets.py:net", "--shape", "1,8,8")
    code, out, error = run(capsys, "inspect", *opened)
    assert code == 0, error
    assert "8 levels" in out
    code, _, error = run(capsys, "train", *NET, *DATA, *SHORT, "--folder", "run", "--per-channel")
    assert code == 2
    assert "per_channel: expected calibration inputs" in error
