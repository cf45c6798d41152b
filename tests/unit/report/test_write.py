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
