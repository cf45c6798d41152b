# SPDX-License-Identifier: Apache-2.0
"""``spikewright compare`` from options to tables, files and exit codes, on the digits."""

import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikewright.cli import main
from spikewright.data import loader, named
from spikewright.evaluation import evaluate as _evaluate
from spikewright.models import digits_cnn

WORDS = (
    *("compare", "--model", "digits-cnn", "--weights", "digits.safetensors"),
    *("--calibration", "digits-train", "--calibration-samples", "32"),
    *("--data", "digits-test", "--limit", "60", "--batch-size", "20"),
)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Weights of the small network after one pass over the training set."""
    torch.manual_seed(0)
    model = digits_cnn().train()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for x, y in loader(named("digits-train"), 32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, torch.Tensor]
) -> Iterator[Path]:
    save_file(weights, tmp_path / "digits.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "--methods: expected methods to compare, got none."),
        ("--methods burts", "method 'burts': not known. Did you mean 'burst'"),
        ("--methods burst:gama=2", "burst: option 'gama': not known. Did you mean 'gamma'"),
        ("--methods burst --T 0", "burst: expected time steps T ≥ 1, got T=0."),
        ("--methods burst@0", "expected time steps T ≥ 1 behind @, got '0'"),
        ("--methods burst burst@8", "expected every label once, got 'burst' twice."),
        ("--methods burst", "--data: expected inputs to measure on, got none."),
        ("--methods burst --data digits-test", "--calibration: expected data to choose the scale"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_misuse(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--quiet", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_files_are_not_replaced_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "steps.csv").write_text("mine")
    (folder / "figures").mkdir()
    (folder / "figures" / "accuracy-ticks.png").write_text("mine")
    words = [*WORDS, "--methods", "tsc@2"]
    assert main([*words, "--csv", "steps.csv"]) == 2
    assert "steps.csv: exists already" in capsys.readouterr().err
    assert main([*words, "--figures", "figures", "--figure-format", "png"]) == 2
    assert "accuracy-ticks.png: exists already" in capsys.readouterr().err
    assert main([*words, "--figures", "steps.csv"]) == 2
    assert "expected a folder, got a file" in capsys.readouterr().err
    assert main([*words, "--figures", "no/where"]) == 2
    assert "expected a folder no to make it in" in capsys.readouterr().err
    assert (folder / "steps.csv").read_text() == "mine"
    more = ["--figures", "figures", "--figure-format", "png", "--force", "--quiet"]
    assert main([*words, "--csv", "steps.csv", *more]) == 0
    assert (folder / "steps.csv").read_text().startswith("label,method,T,t,tick,accuracy")
    assert (folder / "figures" / "accuracy-ticks.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_whole_command_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS, "--methods", "burst", "two=tsc:rounding=true@4,8", "--T", "3,12"]
    words += ["--methods", "threshold-relu@6", "--store", "cells"]
    assert main([*words, "--csv", "a.csv", "--figures", "figures"]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert "DigitsCNN: 3 methods compared" in out
    assert "on 32 inputs of digits-train" in out
    assert "digits-test, 60 of its 445 inputs" in out
    assert "are counted apart" in out
    assert err.count("figure written to") == 5
    assert ">two</text>" in (folder / "figures" / "accuracy-steps.svg").read_text()
    files = {p: p.stat().st_mtime_ns for p in (folder / "cells").rglob("*.json")}
    assert len(files) == 1 + 1 + 2 + 1  # ANN, burst, tsc twice, threshold-relu

    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {p: p.stat().st_mtime_ns for p in (folder / "cells").rglob("*.json")} == files
    assert [(r["label"], r["T"]) for r in data["rows"]] == [
        ("burst", 3),
        ("burst", 12),
        ("two", 4),
        ("two", 8),
        ("threshold-relu", 6),
    ]
    assert data["data"]["samples"] == data["ann"]["labelled"] == 60
    for row in data["rows"]:
        assert f"{100 * row['accuracy']:.2f} %" in out
    lines = list(csv.DictReader((folder / "a.csv").read_text().splitlines()))
    by_step = [float(x["accuracy"]) for x in lines if x["label"] == "burst"]
    assert by_step == data["cells"][0]["result"]["accuracy"]
    assert by_step[2] == data["rows"][0]["accuracy"]

    single = ["evaluate", *WORDS[1:], "--method", "tsc", "--set", "rounding=true", "--T", "8"]
    assert main([*single, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["lengths"][0] == data["cells"][2]["result"]
    assert alone["reference_accuracy"] == data["ann"]["accuracy"]


@pytest.mark.slow
def test_settings_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run.toml").write_text('[compare]\nmethods = ["tsc", "x=tsc:rounding=true"]\nT = [2]')
    assert main([*WORDS, "--config", "run.toml", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(r["label"], r["T"]) for r in data["rows"]] == [("tsc", 2), ("x", 2)]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = 0

    def second_is_stopped(networks: Any, batches: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1

        def stopping() -> Iterator[Any]:
            for batch in batches:
                if calls == 2:
                    signal.raise_signal(signal.SIGINT)
                yield batch

        return _evaluate(networks, stopping(), **options)

    monkeypatch.setattr("spikewright.comparison.run.evaluate", second_is_stopped)
    words = [*WORDS, "--methods", "tsc@2,3", "--store", "cells", "--csv", "a.csv", "--quiet"]
    assert main(words) == 130
    assert "interrupted: only what was finished is shown" in capsys.readouterr().out
    assert len(list((folder / "cells").rglob("*.json"))) == 2
    assert main([*words, "--force", "--json"]) == 0
    assert calls == 3
    assert json.loads(capsys.readouterr().out)["interrupted"] is False


def test_the_help_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for option in ("--methods", "--T", "--store", "--csv", "--figures", "--limit"):
        assert option in out


@pytest.mark.slow
def test_a_method_takes_a_network_that_was_trained_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = [
        *("train", "--model", "digits-cnn", "--weights", "digits.safetensors"),
        *("--data", "digits-train", "--activation", "stbp", "--levels", "3"),
        *("--epochs", "1", "--lr", "0.02", "--folder", "spikes", "--quiet"),
    ]
    assert main(training) == 0
    capsys.readouterr()
    words = [*WORDS, "--methods", "burst@4", "direct=stbp@3", "--json"]
    assert main([*words, "--networks", "dierct=resnet20"]) == 2
    assert "--networks: label 'dierct': not known. Did you mean 'direct'" in capsys.readouterr().err
    assert main([*words, "--networks", "direct"]) == 2
    assert "--networks: expected LABEL=MODEL, got 'direct'." in capsys.readouterr().err
    assert main([*words, "--networks", "direct=trained:spikes/last.safetensors"]) == 0
    data = json.loads(capsys.readouterr().out)
    by_label = {row["label"]: row for row in data["rows"]}
    assert by_label["burst"]["training"] == ""
    assert by_label["direct"]["training"].startswith("1 epochs, ")
    assert main([*words]) == 0  # the same method on the weights that were trained with ReLU
    converted = json.loads(capsys.readouterr().out)["rows"][1]
    assert converted["training"] == ""
    assert converted["accuracy"] < by_label["direct"]["accuracy"]
