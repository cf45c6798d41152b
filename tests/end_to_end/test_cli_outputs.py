# SPDX-License-Identifier: Apache-2.0
"""The verbs on a network with two outputs, of which neither is class scores alone."""

import json
from pathlib import Path

import pytest

from spikewright.cli import main

MODELS = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(1, 4, 3), nn.Linear(144, 10), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        h = self.a(x).relu()
        return {"logits": self.b(h.flatten(1)), "map": self.c(h).argmax(1)}

def two():
    return Two()

def one():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
NETWORK = ("--model", "nets.py:two", "--calibration", "digits-train", "--calibration-samples", "16")
DATA = ("--data", "digits-test", "--limit", "20")
MEANINGLESS = ("agrees", "right on", "decisions", "ANN accuracy")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Run a command, check its exit code, and return what it printed."""
    capsys.readouterr()
    assert main([*words, "--quiet"]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_evaluate_and_report(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "evaluate", *NETWORK, *DATA, "--T", "3", "-o", "r.json")
    result = json.loads(Path("r.json").read_text())
    (length,) = result["lengths"]
    error, equal = length["errors"]
    assert (error["name"], equal["name"]) == ("logits", "map")
    assert f"logits:\n  relative error {100 * error['relative_error'][-1]:.3g} %" in text
    assert f"{100 * equal['equality'][0]:.2f} %" in text
    assert "Accuracy is not" in text
    assert not any(words in text for words in MEANINGLESS)
    assert max(map(len, text.splitlines())) <= 80
    assert all(not example["decided"] for example in result["examples"])
    said = run(capsys, "report", "r.json", "-o", "r.html")
    assert "Accuracy is not" in " ".join(said.split())
    assert "Error over steps" in Path("r.html").read_text()


def test_verify_diagnose_and_compare(capsys: pytest.CaptureFixture[str]) -> None:
    proof = run(capsys, "verify", *NETWORK, "--T", "3", "--integer", "--samples", "4")
    assert proof.count("0 elements of integer outputs") == 2
    text = run(capsys, "diagnose", *NETWORK, *DATA, "--method", "burst", "--T", "3")
    assert "% of its elements are the original's" in text
    table = run(capsys, "compare", *NETWORK, *DATA, "--methods", "tsc", "--T", "2", "-o", "c.json")
    head = next(line for line in table.splitlines() if line.startswith("label"))
    assert head.split()[:3] == ["label", "T", "error"]
    for words in MEANINGLESS:
        assert words not in proof + text + table


def test_another_reference_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "convert", *NETWORK, "--T", "3", "-o", "snn.safetensors")
    words = ("evaluate", "--snn", "snn.safetensors", *DATA)
    assert "logits:" in run(capsys, *words, "--reference", "nets.py:two")
    problem = run(capsys, *words, "--reference", "nets.py:one", code=2)
    assert "expected (10,), (6, 6) outputs, got (10,). Name the original model." in problem
