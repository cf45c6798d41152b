# SPDX-License-Identifier: Apache-2.0
"""Reports as files, from what is in memory and from files."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import ConfigError, FileFormatError
from tests.unit.report.results import data, measured, write


@pytest.mark.parametrize("ending", [".html", ".md", ".json", ".csv"])
def test_a_result_in_memory_and_its_file_give_the_same(tmp_path: Path, ending: str) -> None:
    stored = write(tmp_path, "result", data())
    one, two = tmp_path / f"one{ending}", tmp_path / f"two{ending}"
    said = sw.write_report(measured(), one, energy=["fp32"], data=data()["data"])
    assert sw.write_report([stored], two, energy=["fp32"]) == said
    assert one.read_text() == two.read_text()
    assert len(said) == 3


def test_a_comparison_in_memory(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.rand(20, 6), torch.arange(20) % 3
    found = sw.compare(model, ["burst@4", "tsc@2,4"], calibration=x, data=[(x, y)])
    said = sw.write_report(found, tmp_path / "c.json")
    plain = json.loads((tmp_path / "c.json").read_text())
    assert plain["verdict"] == list(said)
    assert [run["label"] for run in plain["runs"]] == ["burst T=4", "tsc T=2", "tsc T=4"]


def test_a_wrong_name_or_result_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"report\.pdf: .* ends in \.html, \.md"):
        sw.write_report(measured(), tmp_path / "report.pdf")
    with pytest.raises(FileFormatError, match=r"missing\.json"):
        sw.write_report([tmp_path / "missing.json"], tmp_path / "report.html")
    with pytest.raises(ConfigError, match="at least one result file"):
        sw.write_report([], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("correct", [31, 31, 31, 31], "more is right than was run"),
        ("steps", 0, "has no steps"),
        ("largest", 1e308, "a code that there is not"),
        ("k", -1.0, "a code that there is not"),
        ("samples", 10**400, "no whole number"),
        ("plan", {}, "of another kind"),
    ],
)
def test_impossible_numbers_are_refused(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    found = data()
    found["lengths"][0][key] = value
    with pytest.raises(FileFormatError, match=rf"odd: .*{message}"):
        sw.write_report([write(tmp_path, "odd", found)], tmp_path / "report.md")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    with pytest.raises(FileFormatError, match=r"deep\.json: .* cut off or no JSON"):
        sw.write_report(deep, tmp_path / "report.md")


def test_what_was_not_compared_is_not_drawn(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(20, 6)
    found = sw.evaluate(sw.convert(model, T=4, calibration=x), x)
    said = sw.write_report(found, tmp_path / "r.html")
    assert said[0] == "The spiking network was run on 20 inputs, with nothing to compare it with."
    page = (tmp_path / "r.html").read_text()
    assert "Nothing to compare with: no labels, and the ANN was not run." in page
    assert "0.0 % at 1" not in page


def test_of_equals_the_one_that_needs_least_is_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(20, 6)
    y = model(x).argmax(1)
    found = sw.compare(model, ["spikeconverter@8,12", "burst@2"], calibration=x, data=[(x, y)])
    ends = {
        (c.method, c.T): (c.result.accuracy(), c.result.additions_per_sample) for c in found.cells
    }
    assert ends["spikeconverter", 8][0] == ends["spikeconverter", 12][0] == 1.0
    assert ends["burst", 2][0] != 1.0
    sw.write_report(found, tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    assert "At its end burst T=2 needs least" in text
    assert "spikeconverter T=8 is highest with 100.0 %" in text
