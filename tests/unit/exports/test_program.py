# SPDX-License-Identifier: Apache-2.0
"""The program says every bit of the network, and its ranges hold."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports import lower
from spikewright.integers.program import bits_of
from spikewright.integers.ranges import weighted
from tests.unit.exports.conftest import Deep, Gated, Made, Wide

CASES: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (Wide, {}),
    (Wide, {"input": "encoded", "per_channel": True, "T": 8}),
    (Deep, {"extra_step": True}),
    (Deep, {"rounding": False, "T": 1, "input": "encoded"}),
    (Gated, {"T": 6}),
    (Gated, {"T": 4, "input": "encoded", "per_channel": False}),
]


def read(folder: Path, replay: ModuleType) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Replay a folder; return the program, the vectors and the values."""
    program = json.loads((folder / "program.json").read_text())
    vectors = load_file(folder / "vectors.safetensors")
    inputs = {n.removeprefix("input/"): v for n, v in vectors.items() if n.startswith("input/")}
    values, _ = replay.replay(program, load_file(folder / "tensors.safetensors"), inputs)
    return program, vectors, values


@pytest.mark.parametrize(("model", "options"), CASES)
def test_the_reader_of_the_docs_finds_every_spike_and_potential(
    model: type[nn.Module], options: dict[str, Any], made: Made, replay: ModuleType, tmp_path: Path
) -> None:
    snn, x = made(model, **options)
    sw.export(snn, tmp_path / "v", to="vectors", inputs=x)
    assert replay.main(tmp_path / "v") == 0
    _, vectors, _ = read(tmp_path / "v", replay)
    spiking = {f"spikes/{n.name}" for n in snn.spiking_nodes()}
    gates = {f"spikes/{n.name}" for n in snn.graph if "max" in n.op}
    assert {n for n in vectors if n.startswith("spikes/")} == spiking | gates
    assert all(vectors[n].shape[:2] == (20, snn.steps) and vectors[n].any() for n in spiking)


@pytest.mark.parametrize(("model", "options"), CASES)
def test_no_value_leaves_its_range(
    model: type[nn.Module], options: dict[str, Any], made: Made, replay: ModuleType, tmp_path: Path
) -> None:
    snn, x = made(model, **options)
    program = sw.export(snn, tmp_path / "v", to="vectors", inputs=x).program
    _, vectors, values = read(tmp_path / "v", replay)
    for name, value in values.items():
        operation = program[name]
        total = value if operation.kind == "readout" else replay.total(value)
        total = value[:, 0] if operation.kind == "hold" else total
        assert operation.low <= total.min() <= total.max() <= operation.high, name
    for operation in program.of_kind("fire"):
        low, high = operation.settings["potential"]
        v = vectors[f"potential/{operation.name}"]
        assert low <= v.min() <= v.max() <= high


def test_a_range_is_reached_by_partial_sums_with_and_without_the_bias() -> None:
    weight, bias = torch.tensor([[3, -2, 5], [1, 1, 1]]), torch.tensor([-4, 1])
    corners = torch.cartesian_prod(*[torch.tensor([0, 7])] * 3) @ weight.T
    reached = torch.cat((corners, corners + bias))
    assert weighted(weight, (0, 7), bias) == (int(reached.min()), int(reached.max()))


def test_bits_hold_the_ends_of_a_range_and_no_more() -> None:
    for bits in range(2, 12):
        assert bits_of(-(1 << (bits - 1)), 0) == bits_of(-1, (1 << (bits - 1)) - 1) == bits
        assert bits_of(0, (1 << bits) - 1) == bits


class Two(nn.Module):
    """Two inputs, of which one is moved before a layer reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z: Tensor = self.c(F.relu(self.a(x.transpose(1, 2).flatten(1)) + self.b(y)))
        return z


def test_networks_of_several_inputs_are_replayed(replay: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = (torch.randn(16, 2, 3), torch.randn(16, 5))
    snn = sw.convert(Two().eval(), T=4, calibration=[x]).to_integer()
    sw.export(snn, tmp_path / "v", to="vectors", inputs=x, samples=7)
    assert replay.main(tmp_path / "v") == 0
    assert {o.settings["source"] for o in lower(snn).of_kind("input")} == set(snn.graph.inputs)


@pytest.mark.parametrize(
    ("role", "by"), [("weight", 1), ("bias", 1), ("threshold", 1), ("gain", 1), ("pre_bias", 99)]
)
def test_one_wrong_number_is_seen(
    role: str, by: int, made: Made, replay: ModuleType, tmp_path: Path
) -> None:
    snn, x = made(Deep, T=8)
    sw.export(snn, tmp_path / "v", to="vectors", inputs=x)
    tensors = load_file(tmp_path / "v" / "tensors.safetensors")
    name = next(
        n for n, t in sorted(tensors.items()) if n.endswith(f"/{role}") and "input" not in n
    )
    changed = tensors[name].astype("int64")
    changed.flat[0] += by
    save_file({**tensors, name: changed}, tmp_path / "v" / "tensors.safetensors")
    assert replay.main(tmp_path / "v") > 0


def test_shortcuts_say_how_long_they_wait_and_gates_keep_the_clock(made: Made) -> None:
    snn, _ = made(Deep)
    program = lower(snn)
    first = snn.spiking_nodes()[0].name
    assert program.delays == {first: program.steps}
    assert program.ticks == snn.timing().latency_ticks


def test_memory_counts_each_train_while_somebody_needs_it(made: Made) -> None:
    program = lower(made(Deep)[0])
    memory = program.memory()
    sizes = [o.size * program.steps * (1 + o.signed) for o in program.operations if o.is_train]
    assert memory["train_bits"] == sum(sizes)
    assert max(sizes) < memory["live_train_bits"] < sum(sizes)


def test_a_network_in_floating_point_is_refused(made: Made) -> None:
    with pytest.raises(ConfigError, match=r"expected a network in integers, got one in floating"):
        lower(made(Deep, integer=False)[0])


def test_another_k_is_refused_with_the_population(made: Made) -> None:
    snn, _ = made(Deep, integer=False, k=1.5)
    with pytest.raises(
        ConfigError, match=r"population '.*relu.*': expected radix trains with k = 2"
    ):
        lower(snn)


def test_another_schedule_is_refused() -> None:
    x = torch.rand(8, 4)
    snn = sw.convert(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), "burst", T=4, calibration=x)
    with pytest.raises(ConfigError, match=r"layered schedule, got synchronous"):
        lower(snn)


class Refused(nn.Module):
    """Two operators that a program cannot say, and one between that it can."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(1, 2, 2, stride=2), nn.Conv3d(1, 1, 1)
        self.out = nn.Linear(72, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.up(x))
        x = F.relu(self.conv(x.unsqueeze(1)))
        y: Tensor = self.out(x.flatten(1))
        return y


def test_every_operator_outside_the_set_is_named_with_its_place() -> None:
    x = torch.rand(8, 1, 3, 3)
    snn = sw.convert(Refused().eval(), T=4, calibration=x).to_integer()
    with pytest.raises(UnsupportedModuleError) as caught:
        lower(snn)
    assert "up (" in str(caught.value)
    assert "transposed" in str(caught.value)
    assert "conv (" in str(caught.value)


def test_work_in_front_of_the_network_is_refused() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.second(F.relu(self.first(torch.tanh(x))))
            return y

    snn = sw.convert(Normalised(), T=4, calibration=torch.rand(8, 4)).to_integer()
    with pytest.raises(UnsupportedModuleError, match="outside the model"):
        lower(snn)


@pytest.mark.parametrize("target", ["c", "verilog", "onnx"])
def test_targets_without_products_refuse_them_with_their_places(
    target: str, made: Made, tmp_path: Path
) -> None:
    snn, _ = made(Gated)
    with pytest.raises(UnsupportedModuleError, match=r"two values: .*mul.*matmul.*integers"):
        sw.export(snn, tmp_path / "out", to=target)
    assert not (tmp_path / "out").exists()


def test_registers_hold_what_enters_them_and_are_counted(made: Made) -> None:
    program = lower(made(Gated)[0])
    held = program.of_kind("hold")
    assert len(held) == len(program.of_kind("product")) == 3
    assert program.memory()["held_bits"] == sum(o.size * o.bits for o in held)
    for product in program.of_kind("product"):
        assert program[product.inputs[product.settings["held"]]].kind == "hold"
