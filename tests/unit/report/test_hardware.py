# SPDX-License-Identifier: Apache-2.0
"""Cycles of an exported network stand beside ticks, if they are of that network."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikewright.energy.energy_model import choose_models
from spikewright.errors import ConfigError, FileFormatError
from spikewright.report.content import content
from spikewright.report.data import to_dict
from spikewright.report.hardware import with_hardware
from spikewright.report.markdown import markdown
from spikewright.report.read import Measured, read
from tests.unit.report.results import comparison, data, measured, write


@pytest.fixture
def found(tmp_path: Path) -> Measured:
    return read([write(tmp_path, "result.json", data())])


def manifest(folder: Path, **changes: Any) -> Path:
    plain = {
        "steps": 4,
        "lanes": 16,
        "engine": "shared",
        "provenance": dict(measured().provenance),
        "simulation": {
            "samples": 3,
            "cycles": {"mean": 12345.5, "least": 12000, "most": 13000},
            "simulator": "Verilator 5",
        },
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps({**plain, **changes}))
    return path


def test_cycles_stand_behind_ticks(found: Measured, tmp_path: Path) -> None:
    report = content(with_hardware(found, manifest(tmp_path)), choose_models())
    text = markdown(report)
    assert (
        "Latency in Verilog: **12,346 cycles** (measured in Verilator 5, mean of 3, 12,000" in text
    )
    assert to_dict(report)["hardware"]["most"] == 13000
    assert "Verilog" not in markdown(content(found, choose_models()))


def test_another_network_several_results_and_other_files_are_refused(
    found: Measured, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="expected the network of the result, got 8 steps"):
        with_hardware(found, manifest(tmp_path, steps=8))
    with pytest.raises(ConfigError, match="got model 'else'"):
        with_hardware(
            found, manifest(tmp_path, provenance={**measured().provenance, "model": "else"})
        )
    several = read([write(tmp_path, "c.json", comparison())])
    with pytest.raises(ConfigError, match="expected one evaluation to add cycles to, got several"):
        with_hardware(several, manifest(tmp_path))
    path = manifest(tmp_path)
    path.write_text("{}")
    with pytest.raises(
        FileFormatError, match=r"expected the manifest\.json of export --to verilog"
    ):
        with_hardware(found, path)
