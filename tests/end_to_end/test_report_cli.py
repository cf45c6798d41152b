# SPDX-License-Identifier: Apache-2.0
"""``spikewright report`` from files that ``evaluate`` and ``compare`` wrote to files for people."""

import json
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest

from spikewright.cli import main
from tests.unit.report.results import comparison, data, write

NETS = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
"""
MEASURED = (
    *("--model", "nets.py:net", "--calibration", "digits-train", "--calibration-samples", "16"),
    *("--data", "digits-test", "--limit", "20", "--quiet"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "r.json", data())
    write(tmp_path, "other.json", data("burst"))
    write(tmp_path, "seed.json", data(seed=1))
    (tmp_path / "cut.json").write_text((tmp_path / "r.json").read_text()[:999])
    (tmp_path / "foreign.json").write_text('{"schema": "other.tool/1"}')
    (tmp_path / "net.safetensors").write_bytes(b"\x94\xff\x00")
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "model.toml").write_text('title = "x"')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "report: expected a result file, got none."),
        ("no.json", "no.json: expected the result of an evaluation or comparison, got no file"),
        ("net.safetensors", "net.safetensors: expected the result of an evaluation"),
        ("cut.json", "cut.json: expected the result of an evaluation or comparison, got a file"),
        ("foreign.json", "foreign.json: expected the result of an evaluation"),
        ("r.json seed.json", "r.json and seed.json: expected results of one checkpoint"),
        ("r.json --energy loihy", "energy model 'loihy': not known. Did you mean 'loihi'"),
        ("r.json --energy model.toml", "model.toml: expected a text source"),
        ("r.json --energy fp32 --energy fp32", "energy: got 'fp32' twice."),
        ("r.json -o r.pdf", "r.pdf: expected a name that ends in .html, .md, .json, .cs"),
        ("r.json -o r.json --force", "--output r.json: expected another file than the results."),
        ("r.json -o r.md --open", "--open: expected a page to show, got r.md."),
        ("r.json -o no/r.html", "expected a folder no to write to, got none."),
    ],
)
def test_misuse(line: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(["report", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_no_defect() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "spikewright", "list", "energy"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "standard output: no space left" in run.stderr


def test_the_page_lies_beside_the_result_and_is_not_replaced_unasked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "runs").mkdir()
    write(folder / "runs", "r.json", data())
    assert main(["report", "runs/r.json"]) == 0
    out, err = capsys.readouterr()
    assert (max(map(len, out.splitlines())) <= 80, err) == (True, "")
    assert "written: runs/report.html" in out
    assert "1. After 4 steps the spiking network is right on" in out
    page = folder / "runs" / "report.html"
    whole = page.read_text(encoding="utf-8")
    assert main(["report", "runs/r.json", "other.json"]) == 2
    assert "report.html: exists already" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == whole
    assert main(["report", "runs/r.json", "other.json", "--force"]) == 0
    assert "2 results compared" in page.read_text(encoding="utf-8")


def test_the_ending_chooses_the_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", "r.json", "--energy", "memory-int8", "--energy", "loihi", "-o"]
    for name in ("a.md", "a.csv", "a.json", "a.html"):
        assert main([*words, name]) == 0
    assert (folder / "a.md").read_text(encoding="utf-8").startswith("# Sequential as a spiking")
    assert (folder / "a.csv").read_text().startswith("run,table,row,quantity,value\n")
    plain = json.loads((folder / "a.json").read_text())
    assert [e["model"] for e in plain["runs"][0]["energies"]] == ["memory-int8", "loihi"]
    assert (folder / "a.html").read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")
    capsys.readouterr()
    assert main([*words, "a.json", "--force", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("written") == "a.json"
    assert printed == plain


def test_open_shows_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []

    def remembered(address: str) -> bool:
        shown.append(address)
        return len(shown) == 1

    monkeypatch.setattr(webbrowser, "open", remembered)
    assert main(["report", "r.json", "--open"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["report", "r.json", "--open", "--force"]) == 0
    assert "no browser was found" in capsys.readouterr().err
    assert shown == [(folder / "report.html").as_uri()] * 2


def test_from_measuring_to_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *MEASURED, "--T", "4", "-o", "e.json"]) == 0
    assert main(["compare", *MEASURED, "--methods", "burst@3", "tsc@2,4", "-o", "c.json"]) == 0
    capsys.readouterr()
    assert main(["report", "c.json", "-o", "c.html"]) == 0
    assert "Sequential as a spiking network: 2 methods compared" in capsys.readouterr().out
    text = (folder / "c.html").read_text(encoding="utf-8")
    assert "On 20 inputs of digits-test" in text.replace("\n", " ")
    assert main(["report", "e.json", "c.json", "-o", "both.md"]) == 0
    text = (folder / "both.md").read_text(encoding="utf-8")
    for label in ("spikeconverter T=4", "burst T=3", "tsc T=2", "tsc T=4"):
        assert f"### {label}, step by step" in text


def test_a_comparison_of_the_shape_that_the_unit_tests_use(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *MEASURED, "--methods", "burst@2", "--json"]) == 0
    real, ours = json.loads(capsys.readouterr().out), comparison()
    assert set(ours) <= set(real)
    for key in ("provenance", "ann"):
        assert set(ours[key]) <= set(real[key])
    assert set(ours["cells"][0]) <= set(real["cells"][0])
    assert set(ours["entries"][0]) <= set(real["entries"][0])


def test_the_help_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for option in ("--output", "--energy", "--open", "--force", "RESULTS"):
        assert option in out
