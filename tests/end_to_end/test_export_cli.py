# SPDX-License-Identifier: Apache-2.0
"""``spikewright export`` from a saved network to files, and its one-line errors."""

import json
from pathlib import Path

import pytest
import torch

import spikewright as sw
from spikewright.cli import main
from spikewright.data import load_digits
from spikewright.models import digits_cnn


@pytest.fixture
def snn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    items = load_digits("train")
    x = torch.stack([items[i][0] for i in range(64)])
    sw.convert(digits_cnn().eval(), T=6, calibration=x).save(tmp_path / "snn.safetensors")
    return tmp_path / "snn.safetensors"


def test_a_float_network_is_rounded_and_its_vectors_written(
    snn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        *("export", "snn.safetensors", "--to", "vectors", "--data", "digits-test"),
        *("--samples", "3", "-o", "out", "--json"),
    )
    assert main([*words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "spikewright.export/1"
    assert (said["samples"], said["steps"]) == (3, 6)
    written = {p.name for p in (snn.parent / "out").iterdir()}
    assert written == {*said["files"], "manifest.json"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--to vectors -o out", "export: expected inputs for golden vectors, got none."),
        (
            "--to verilog --lanes 4 --engine shared --simulate -o out",
            "export: expected inputs to simulate, got none.",
        ),
        ("--to c -o .", ".: exists already. Remove it, or choose another folder."),
        ("--to c -o no/out", "no/out: expected a folder no to write to, got none."),
    ],
)
def test_misuse_is_one_line_and_writes_nothing(
    options: str, message: str, snn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "snn.safetensors", *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"error: {message}")
    assert [p.name for p in snn.parent.iterdir()] == ["snn.safetensors"]
