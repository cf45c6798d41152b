# SPDX-License-Identifier: Apache-2.0
"""Simulated Verilog gives the words of the golden vectors, and follows every change of a table."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import Tensor, nn

import spikewright as sw
from spikewright.cli.demo_training import as_tensors, train
from spikewright.data import load_digits
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports import IntegerProgram, lower
from spikewright.exports.verilog import VerilogSource, verilog_source
from spikewright.exports.verilog.text import hex_words
from spikewright.network import SpikingNetwork
from tests.unit.exports.conftest import Deep, Made, Wide

needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")


class Small(Wide):
    """The wide one with even padding alone, an average that ends at the edge, one layer behind."""

    def __init__(self) -> None:
        super().__init__()
        self.d, self.e = nn.Conv2d(12, 6, 1), nn.Linear(12, 3)

    def end(self, d: Tensor) -> Tensor:
        y: Tensor = self.e(F.avg_pool2d(d, 2).mean(2).flatten(1))
        return y


class Bench:
    """A compiled bench, which reads its tables when it starts."""

    def __init__(self, source: VerilogSource, folder: Path) -> None:
        self.folder, self.memories = folder, source.facts["memories"]
        folder.mkdir()
        self.write(source)
        flags = ["-CFLAGS", "-std=c++20 -fcoroutines", "-Wno-fatal", "--top-module", "bench"]
        command = ["verilator", "--binary", *flags, "--Mdir", "obj", "network.v", "bench.v"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    def write(self, source: VerilogSource) -> None:
        for name, text in source.files.items():
            (self.folder / name).write_text(text)

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run numbers "sample *value" of every input; return those of all memories."""
        count = len(next(iter(inputs.values())))
        words = [
            [_word(m, int(n))]
            for k in range(count)
            for m in self.memories
            if m["name"] in inputs
            for n in inputs[m["name"]][k].flatten()
        ]
        (self.folder / "in.txt").write_text(hex_words(words, 32))
        run = subprocess.run(["./obj/Vbench"], cwd=self.folder, check=True, capture_output=True)
        assert run.stdout.count(b"cycles") == count
        found = [int(line, 16) for line in (self.folder / "out.txt").read_text().split()]
        rows = np.array(found).reshape(count, -1)
        values, start = {}, 0
        for m in self.memories:
            size = int(np.prod(m["shape"]))
            values[m["name"]] = _numbers(m, rows[:, start : start + size])
            start += size
        assert start == rows.shape[1]
        return values


def _word(memory: dict[str, Any], number: int) -> int:
    return abs(number) | (number < 0) << (memory["bits"] - 1) if number < 0 else number


def _numbers(memory: dict[str, Any], words: Any) -> Any:
    top = 1 << (memory["bits"] - 1)
    if memory["sign"] == "top bit":
        return np.where(words >= top, -(words - top), words)
    return np.where((words >= top) & (memory["sign"] == "complement"), words - 2 * top, words)


def values_of(
    program: IntegerProgram, snn: SpikingNetwork, x: Tensor, replay: ModuleType
) -> dict[str, Any]:
    """Return what every value stands for, by the reader of the docs; of inputs the numbers."""
    tensors = {n: t.numpy() for n, t in program.tensors.items()}
    inputs = {snn.graph.inputs[0]: x.numpy()}
    plain = json.loads(json.dumps(program.to_dict()))
    values, potentials = replay.replay(plain, tensors, inputs)
    totals = {n: v if program[n].kind == "readout" else replay.total(v) for n, v in values.items()}
    totals |= {o.name: values[o.name][:, 0] for o in program.of_kind("input")}
    totals |= {o.name: potentials[o.name] for o in program.of_kind("readout")}
    return {n: v.reshape(len(x), -1) for n, v in totals.items()}


def differ(found: dict[str, Any], expected: dict[str, Any]) -> int:
    return sum(int((v != expected[n]).sum()) for n, v in found.items())


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "options", "lanes"),
    [(Small, {}, 3), (Deep, {"input": "encoded", "extra_step": True}, 16), (Deep, {}, 1)],
)
def test_every_word_of_every_memory_is_right(
    model: type[nn.Module],
    options: dict[str, Any],
    lanes: int,
    made: Made,
    replay: ModuleType,
    tmp_path: Path,
) -> None:
    snn, x = made(model, **options)
    program = lower(snn)
    bench = Bench(verilog_source(program, lanes), tmp_path / "v")
    expected = values_of(program, snn, x[:20], replay)
    inputs = {o.name: expected[o.name] for o in program.of_kind("input", "encode")}
    found = bench.run(inputs)
    assert {n.name for n in snn.spiking_nodes()} <= set(found)
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
    bench = Bench(verilog_source(program), tmp_path / "v")
    expected = values_of(program, snn, tests, replay)
    inputs = {o.name: expected[o.name] for o in program.of_kind("input")}
    found = bench.run(inputs)
    sw.export(snn, tmp_path / "vectors", to="vectors", inputs=tests)
    vectors = load_file(tmp_path / "vectors" / "vectors.safetensors")
    for node in snn.spiking_nodes():
        golden = replay.total(vectors[f"spikes/{node.name}"].astype(float))
        assert (golden.reshape(20, -1) == found[node.name]).all()
    assert differ(found, expected) == 0
    second = program.of_kind("conv")[1].tensors
    fires, scale = program.of_kind("fire")[1].tensors, program.of_kind("scale")[0].tensors
    for name in (second["weight"], fires["threshold"], second["bias"], scale["gain"]):
        wrong = program.tensors[name].clone()
        wrong.view(-1)[int(wrong.abs().argmin())] += 1
        changed = dataclasses.replace(program, tensors={**program.tensors, name: wrong})
        source = verilog_source(changed)
        assert source.files["network.v"] == (tmp_path / "v" / "network.v").read_text()
        bench.write(source)
        found = bench.run(inputs)
        assert differ(found, expected) > 0, name
        assert differ(found, values_of(changed, snn, tests, replay)) == 0, name


def test_lanes_divide_the_channels_of_a_group(made: Made) -> None:
    text = verilog_source(lower(made(Small)[0]), 3).files["network.v"]
    told = [line for line in text.splitlines() if " channels at once" in line]
    assert [line.split(", ")[1] for line in told if "fire" in line] == [
        "2 of 4 channels at once",
        "2 of 8 channels at once",
        "1 of 8 channels at once",
        "3 of 6 channels at once",
    ]


def test_averages_that_reach_into_padding_are_refused_with_the_place(made: Made) -> None:
    with pytest.raises(UnsupportedModuleError, match=r"averages over windows that reach into pad"):
        verilog_source(lower(made(Wide)[0]))


def test_no_lane_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lanes: expected at least 1, got 0"):
        sw.export(made(Deep)[0], tmp_path / "out", to="verilog", lanes=0)


def test_words_have_the_first_number_lowest() -> None:
    assert hex_words([[1, -1], [0, 2]], 4) == "f1\n20\n"
