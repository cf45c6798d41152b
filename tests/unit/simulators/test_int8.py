# SPDX-License-Identifier: Apache-2.0
"""Integer networks on bytes: equal to float64 to the last spike, or run in float64 and say so."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.integers import IntegerProgram, Operation, lower
from spikewright.network import SpikingNetwork
from spikewright.simulators import Collapsed, LayeredReference
from spikewright.simulators.int8 import kernels, missing
from spikewright.simulators.int8.terms import Unfused, sum_of
from spikewright.simulators.int8.values import from_numbers, moved, moves, numbers, pooled

needs_bytes = pytest.mark.skipif(bool(missing()), reason=f"int8: {missing()}")


class Mixed(nn.Module):
    """A shortcut, a signed relay in front of groups and of a pool, a max gate, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.c, self.d = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 3, groups=2, stride=2)
        self.e, self.f = nn.Conv2d(8, 8, 3, padding="same", groups=8), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        a = F.relu(self.b(a) + a)
        d = F.relu(self.d(self.c(a)))
        d = torch.cat((F.max_pool2d(d, 3, 1, 1), F.relu6(self.e(d))), 1)
        y: Tensor = self.f(d.mean((2, 3)))
        return y


def made(T: int = 8, **options: object) -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(5)
    x = torch.randn(6, 2, 9, 8)
    snn = sw.convert(Mixed().eval(), calibration=x, T=T)
    return snn.to_integer(**options), snn.to_integer(**options).check_input(x)


def in_float64(network: SpikingNetwork, monkeypatch: pytest.MonkeyPatch) -> Collapsed:
    monkeypatch.setattr("spikewright.simulators.int8.engine.kernels.missing", lambda: "a test")
    simulator = Collapsed(network)
    assert simulator.engine is None
    monkeypatch.undo()
    return simulator


def trains(simulator: Collapsed, x: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    simulator(x, lambda name, n: found.update({name: n.clone()}))
    return found


@needs_bytes
@pytest.mark.parametrize("T", [1, 5, 8])
def test_every_train_and_output_equals_those_of_float64(
    T: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    snn, x = made(T)
    plain, fast = in_float64(snn, monkeypatch), Collapsed(snn)
    assert fast.engine is not None
    expected, found = trains(plain, x), trains(fast, x)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert all(torch.equal(a, b) for a, b in zip(fast(x), plain(x), strict=True))
    for a, b in zip(fast.over_time(x), LayeredReference(snn).over_time(x), strict=True):
        assert torch.equal(a[0], b[0])


@needs_bytes
def test_it_says_what_runs_on_bytes_and_what_does_not() -> None:
    snn, _ = made()
    assert f"arithmetic  {Collapsed(snn).arithmetic}" in snn.summary()
    assert Collapsed(snn).arithmetic.startswith("8-bit integers (in float64: ")
    assert "f/linear: not of bytes" in Collapsed(snn).arithmetic  # it reads a mean
    assert "trains have 9 steps, bytes hold 8" in Collapsed(made(T=9)[0]).arithmetic
    float32 = sw.convert(Mixed().eval(), calibration=torch.randn(4, 2, 9, 8), T=4)
    assert Collapsed(float32).arithmetic == "float32"


@needs_bytes
def test_wide_weights_are_left_to_float64_and_agree() -> None:
    snn, x = made(weight_bits=12)
    simulator = Collapsed(snn)
    assert "a layer that does not run on bytes" in simulator.arithmetic
    assert sw.verify(snn, x.float()).agrees


@needs_bytes
def test_an_input_beyond_its_range_is_run_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    snn, x = made()
    far = x * 3
    (found,), (expected,) = Collapsed(snn)(far), in_float64(snn, monkeypatch)(far)
    assert torch.equal(found, expected)


@needs_bytes
def test_sums_of_the_largest_bytes_are_exact() -> None:
    weight = torch.tensor([[127] * 400, [-127] * 400], dtype=torch.int8)
    x = torch.full((3, 400), 255, dtype=torch.uint8)
    assert kernels.linear(weight)(x).tolist() == [[12954000.0, -12954000.0]] * 3


def test_a_processor_without_such_sums_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturated(weight: Tensor, **_: object) -> kernels.Layer:
        return lambda x: torch.full((len(x), len(weight)), 32767.0)

    monkeypatch.setattr(kernels, "linear", saturated)
    kernels.missing.cache_clear()
    assert missing()
    kernels.missing.cache_clear()


def program_of(threshold: int, weight: int) -> tuple[IntegerProgram, Operation]:
    """Return one layer of ten trains of 8 steps and its population."""
    train = Operation(
        name="train", kind="fire", inputs=(), shape=(10,), low=0, high=255, depth=1,
        settings={"signed": False},
    )  # fmt: skip
    most = weight * 10 * 255
    layer = dataclasses.replace(
        train, name="layer", kind="linear", inputs=("train",), shape=(1,), high=most, depth=2,
        settings={"rows": 1}, tensors={"weight": "weight"},
    )  # fmt: skip
    fire = dataclasses.replace(
        layer, name="fire", kind="fire", inputs=("layer",), high=255,
        settings={"signed": False}, tensors={"threshold": "threshold", "pre_bias": "zero"},
    )  # fmt: skip
    tensors = {
        "weight": torch.full((1, 10), weight),
        "threshold": torch.tensor(threshold),
        "zero": torch.tensor(0),
    }
    return IntegerProgram(steps=8, operations=(train, layer, fire), tensors=tensors), fire


def test_float32_is_scaled_only_where_it_is_proved() -> None:
    coarse = sum_of(*program_of(1000, 100), lambda o: True)
    fine = sum_of(*program_of(60_000, 100), lambda o: True)
    assert coarse.scaled
    assert not fine.scaled
    with pytest.raises(Unfused, match="sums beyond 2\\^24"):
        sum_of(*program_of(60_000, 10_000), lambda o: True)


def test_a_pair_keeps_its_sign_through_bytes_and_pools() -> None:
    n = torch.tensor([[[[-5.0, -3.0], [-255.0, -7.0]]], [[[0.0, -3.0], [255.0, 0.0]]]])
    assert torch.equal(numbers(from_numbers(n, True), True, (1, 2, 2)), n.double())
    how = {
        "input": (1, 2, 2), "output": (1, 1, 1), "kernel": (2, 2), "stride": (2, 2),
        "dilation": (1, 1), "padding": ((0, 0), (0, 0)),
    }  # fmt: skip
    largest = numbers(pooled(from_numbers(n, True), 2, how), True, (1, 1, 1))
    assert largest.flatten().tolist() == [-3.0, 255.0]


def test_slices_with_zeros_around_them_are_found_in_an_index() -> None:
    x = torch.arange(48, dtype=torch.uint8).reshape(1, 3, 4, 4)
    cut = F.pad(x[:, 1:, ::2, 1:], (0, 1, 2, 0, 1, 0))
    index = F.pad(x[:, 1:, ::2, 1:].long() + 1, (0, 1, 2, 0, 1, 0))[0] - 1
    axes = moves(index, (3, 4, 4))
    assert axes is not None
    assert torch.equal(moved(x, axes), cut)
    assert moves(index.flip(2), (3, 4, 4)) is None
    assert moves(index.permute(2, 0, 1), (3, 4, 4)) is None


def test_other_schedules_have_no_such_form() -> None:
    with pytest.raises(ConfigError, match="layered schedule"):
        lower(sw.convert(Mixed().eval(), "rueckauer", calibration=torch.randn(4, 2, 9, 8), T=4))
