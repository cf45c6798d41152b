# SPDX-License-Identifier: Apache-2.0
"""Simulated Verilog gives the words of the golden vectors, and follows every change of a table."""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import spikewright as sw
from benchmarks._data import case
from spikewright.cli.demo_training import as_tensors, train
from spikewright.data import load_digits
from spikewright.errors import (
    ConfigError,
    UnknownNameError,
    UnsupportedModuleError,
    VerificationError,
)
from spikewright.exports import IntegerProgram, lower, targets
from spikewright.exports.vectors import golden_vectors
from spikewright.exports.verilog import Simulation, simulated, verilog_source
from spikewright.exports.verilog.words import hex_words
from tests.unit.exports.conftest import Deep, Made
from tests.unit.exports.programs import Maker, everything, strip, values_of

needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")
needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="no yosys")


def differ(found: dict[str, Tensor], expected: dict[str, Tensor]) -> int:
    return sum(int((v != expected[n]).sum()) for n, v in found.items())


def inputs_of(program: IntegerProgram, count: int) -> Tensor:
    o = program.of_kind("input", "encode")[0]
    x = torch.randn(count, *o.shape, generator=torch.Generator().manual_seed(7)).double()
    return (x * 4).clamp(-8, 7) if o.kind == "input" else x * 50


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize(
    ("made_by", "lanes", "engine"),
    [(everything, 4, "shared"), (strip, 2, "layer")],
)
def test_every_word_of_every_memory_is_right(
    made_by: Callable[[], IntegerProgram],
    lanes: int,
    engine: str,
    replay: ModuleType,
    tmp_path: Path,
) -> None:
    """Every operation and setting: stride, padding, groups, depthwise, gathers, gates, averages."""
    program = made_by()
    bench = Simulation(verilog_source(program, lanes, engine), tmp_path / "v")
    expected = values_of(program, inputs_of(program, 6), replay)
    inputs = {o.name: expected[o.name] for o in program.of_kind("input", "encode")}
    found, cycles = bench.run(inputs)
    assert len(cycles) == 6
    assert {o.name for o in program.of_kind("fire", "max", "readout")} <= set(found)
    assert all(int(expected[o.name].abs().max()) > 0 for o in program.operations)
    assert differ(found, expected) == 0


@needs_verilator
@pytest.mark.slow
def test_the_digits_network_and_every_change_by_one_are_followed(
    replay: ModuleType, tmp_path: Path
) -> None:
    """A wrong weight, threshold, bias or shortcut factor is seen, and equals the reference's."""
    x, y = as_tensors(load_digits("train"), torch.device("cpu"))
    model = train(x, y, 2, progress=False).model
    snn = sw.convert(model, T=8, calibration=x[:256]).to_integer()
    program = lower(snn)
    tests = as_tensors(load_digits("test"), torch.device("cpu"))[0][:20]
    bench = Simulation(verilog_source(program, engine="shared"), tmp_path / "v")
    vectors = golden_vectors(snn, program, tests)
    said = simulated(program, bench, vectors)
    assert (said["samples"], said["words"]) == (20, 20 * (3 * 28 * 64 + 28 * 16 + 56 * 20 + 10))
    assert 0 < said["cycles"]["least"] <= said["cycles"]["mean"] <= said["cycles"]["most"] < 100_000
    assert said["simulator"].startswith("Verilator ")
    expected = values_of(program, tests, replay)
    inputs = {o.name: expected[o.name] for o in program.of_kind("input")}
    second = program.of_kind("conv")[1].tensors
    fires, scale = program.of_kind("fire")[1].tensors, program.of_kind("scale")[0].tensors
    for name in (second["weight"], fires["threshold"], second["bias"], scale["gain"]):
        wrong = program.tensors[name].clone()
        wrong.view(-1)[int(wrong.abs().argmin())] += 1
        changed = dataclasses.replace(program, tensors={**program.tensors, name: wrong})
        source = verilog_source(changed, engine="shared")
        assert source.files["network.v"] == (tmp_path / "v" / "network.v").read_text()
        bench.write(source)
        found, _ = bench.run(inputs)
        assert differ(found, expected) > 0, name
        assert differ(found, values_of(changed, tests, replay)) == 0, name
    with pytest.raises(VerificationError, match=r"expected the words of the reference, got others"):
        simulated(program, bench, vectors)


@needs_verilator
@pytest.mark.data
@pytest.mark.slow
def test_resnet8_gives_the_words_of_the_golden_vectors(data_dir: Path, tmp_path: Path) -> None:
    """On one input, one machine for all layers; benchmarks/hardware.py runs more."""
    real = case("resnet8", data_dir)
    snn = sw.convert(real.model, T=8, calibration=real.calibration(64)).to_integer()
    x = next(iter(real.test(1)))[0]
    found = sw.export(snn, tmp_path / "v", to="verilog", inputs=x, engine="shared", simulate=True)
    assert found.manifest["simulation"]["words"] > 70_000


def test_a_simulation_writes_its_cycles_to_the_manifest(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snn, x = made(Deep)
    cycles = {"mean": 1234.5, "least": 1200, "most": 1300}
    found = {"samples": 3, "words": 99, "cycles": cycles, "simulator": "Verilator 5"}
    monkeypatch.setattr(targets, "Simulation", lambda source, folder: (source, folder))
    monkeypatch.setattr(targets, "simulated", lambda program, simulation, vectors: found)
    done = sw.export(snn, tmp_path / "v", to="verilog", inputs=x[:3], lanes=2, simulate=True)
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    assert manifest["simulation"] == found
    assert (manifest["lanes"], manifest["engine"]) == (2, "layer")
    assert "1,234 cycles an inference (mean of 3; 1,200 to 1,300), 99 words" in done.table()


@needs_yosys
@pytest.mark.slow
def test_yosys_synthesises_a_layer(tmp_path: Path) -> None:
    m = Maker(steps=3, seed=0)
    m.readout(m.linear(m.encode(2), 2))
    for name, text in verilog_source(m.program()).files.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["yosys", "-q", "-s", "synth.ys"], cwd=tmp_path, check=True)
    cells = json.loads((tmp_path / "layer1.json").read_text())["design"]["num_cells_by_type"]
    assert min(cells["LUT4"], cells["TRELLIS_FF"]) > 0


def test_channels_are_spread_evenly_over_lanes() -> None:
    told = verilog_source(everything(), 5).files["network.v"].splitlines()
    assert {line.split(", ")[1] for line in told if ": fire, " in line} == {
        "3 of 6 channels at once",
        "4 of 8 channels at once",
        "5 of 14 channels at once",
        "4 of 12 channels at once",
        "5 of 5 channels at once",
    }


def test_windows_that_differ_are_refused_with_the_place() -> None:
    m = Maker(steps=3, seed=0)
    x = m.fire(m.conv(m.input(1, 6, 6), 2))
    pooled = m.sum(x, 2, 2)
    matrix = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 0]])
    m.tensors[f"{pooled}/axis1"] = matrix
    m.readout(pooled)
    with pytest.raises(UnsupportedModuleError, match=f"{pooled}: sums over windows that differ"):
        verilog_source(m.program())


def test_misuse_is_told(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snn, x = made(Deep)
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="lanes: expected at least 1, got 0"):
        sw.export(snn, out, to="verilog", lanes=0)
    with pytest.raises(UnknownNameError, match="engine 'share'"):
        sw.export(snn, out, to="verilog", engine="share")
    with pytest.raises(ConfigError, match="expected inputs to simulate, got none"):
        sw.export(snn, out, to="verilog", simulate=True)
    with pytest.raises(ConfigError, match="simulate: expected the target verilog, got c"):
        sw.export(snn, out, to="c", simulate=True)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="expected verilator on the path, got none"):
        sw.export(snn, out, to="verilog", inputs=x[:2], simulate=True)
    assert list(tmp_path.iterdir()) == []


def test_words_have_the_first_number_lowest() -> None:
    assert hex_words([[1, -1], [0, 2]], 4) == "f1\n20\n"
    assert hex_words([[1, -1]], 70) == f"{((1 << 70) - 1) << 70 | 1:x}\n"
