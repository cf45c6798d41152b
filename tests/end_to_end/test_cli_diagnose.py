# SPDX-License-Identifier: Apache-2.0
"""``spikewright diagnose`` on a small network: misuse, on the fly, from a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikewright.cli import main

MODELS = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))

def other():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
"""
CONVERTED = (
    *("--model", "nets.py:net", "--calibration", "digits-train", "--calibration-samples", "32"),
    *("--method", "burst", "--T", "8"),
)
DATA = ("--data", "digits-test", "--limit", "40")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["diagnose", *words])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--data: expected inputs to diagnose on, got none."),
        (DATA, "--snn, --model: expected a network, got none."),
        ((*DATA, "--snn", "x"), "--snn: expected --reference SPEC with it, got none."),
        ((*CONVERTED, *DATA[:2], "--limit", "0"), "--limit: expected at least 1, got 0."),
        ((*CONVERTED, *DATA, "--simulator", "collapsed"), "expected 'timefold' or 'reference'"),
        ((*CONVERTED, *DATA, "--reference", "nets.py:other"), "expected the weights that"),
        ((*CONVERTED, *DATA, "--try", "-1"), "--try: expected 0 suggestions or more, got -1."),
        ((*DATA, "--snn", "x", "--reference", "y", "--try", "1"), "--try: expected --model with"),
        ((*CONVERTED, *DATA, "--reference-weights", "x"), "--reference-weights: expected --ref"),
    ],
)
def test_misuse(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    code, out, err = run(capsys, *words, "--quiet")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_on_the_fly_and_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *CONVERTED, *DATA)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "Sequential converted by burst" in out
    assert "digits-test, 40 of its 445 inputs" in out
    assert "inherited" in out
    assert "Most goes wrong in 1/relu" in out
    code, out, _ = run(capsys, *CONVERTED, *DATA, "--json")
    data: dict[str, Any] = json.loads(out)
    assert (code, data["schema"]) == (0, "spikewright.diagnosis/2")
    assert (data["samples"], data["data"]["samples"], data["T"]) == (40, 40, 8)
    assert [layer["kind"] for layer in data["layers"]] == ["neurons", "output"]
    assert main(["convert", *CONVERTED, "-o", "snn.safetensors", "--quiet"]) == 0
    saved = ("--snn", "snn.safetensors", "--reference", "nets.py:net", "--json")
    code, out, _ = run(capsys, *DATA, *saved)
    assert (code, json.loads(out)["layers"]) == (0, data["layers"])


def test_suggestions_are_tried_on_the_same_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *CONVERTED, *DATA, "--try", "2")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "as it is" in out
    assert "Best: " in out
    code, out, _ = run(capsys, *CONVERTED, *DATA, "--try", "2", "--json")
    data: dict[str, Any] = json.loads(out)
    trials, best = data["tried"]["trials"], data["tried"]["best"]
    assert [t["suggestion"] for t in trials] == [None, *data["suggestions"][:2]]
    assert {t["samples"] for t in trials} == {40}
    assert trials[0]["output_snr_db"] == data["layers"][-1]["snr_db"]
    errors = [t["output_relative_error"] for t in trials]
    assert errors[best] == min(errors) < errors[0]
