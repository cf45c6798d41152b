# SPDX-License-Identifier: Apache-2.0
"""Work counted by hand: a net of three layers whose neurons all send full trains, every method."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.evaluation import LayerCount, LengthResult
from spikewright.evaluation.fixed_work import is_shift
from spikewright.methods import methods
from spikewright.network import SpikingNetwork

T = 4


class Hand(nn.Module):
    """Stride, padding, groups, a residual sum and overlapping max pools.

    6×6 → conv 3×3, stride 2, padding 1 → 2×3×3 → conv 3×3, padding 1, two groups, plus its own
    input → 2×3×3 → max pool 2×2, stride 1 → 2×2×2 → linear → 3. All weights are 0 (synapses like
    any other), all biases 1: the first neurons are worth 1, the second 2, whatever comes in.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.second = nn.Conv2d(2, 2, 3, padding=1, groups=2)
        self.last = nn.Linear(8, 3)
        for name, parameter in self.named_parameters():
            nn.init.constant_(parameter, 1.0 if name.endswith("bias") else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x).relu()
        b = (self.second(a) + a).relu()
        return self.last(nn.functional.max_pool2d(b, 2, 1).flatten(1))


def converted(method: str, **options: Any) -> SpikingNetwork:
    if "scale" in methods()[method]().to_dict():  # the others have no choice of scales
        options["scale"] = sw.Max()
    return sw.convert(Hand(), method, T=T, calibration=torch.ones(8, 1, 6, 6), **options)


def counted(method: str, **options: Any) -> LengthResult:
    return sw.evaluate(converted(method, **options), torch.ones(5, 1, 6, 6)).lengths[0]


def by_name(result: LengthResult) -> dict[str, LayerCount]:
    return {x.name: x for x in result.layers}


TRAINED = {"qcfs", "stbp"}  # they take networks that were trained for them
METHODS = [name for name in methods() if name not in TRAINED]


@pytest.mark.parametrize("method", METHODS)
def test_counts_by_hand(method: str) -> None:
    # A 3×3 map under a 3×3 kernel with padding 1: 4 corners reach 4 places, 4 edges 6, the centre
    # 9, together 49 for each of two channels that do not mix (groups). The shortcut wires each
    # neuron once. The 8 pooled values reach 3 read-outs each. Layer one covers 2 + 3 + 3 places
    # along each axis (stride 2, one row of padding), 64 in each of two channels.
    found = counted(method)
    layers = by_name(found)
    symbols = 2 if method == "tsc" else T  # a switch goes on and off; all others send T spikes
    spikes = symbols * found.samples
    first, second = layers["relu"], layers["relu_1"]
    assert (first.spikes, second.spikes) == (18 * spikes, 18 * spikes)
    assert (first.neurons, second.neurons) == (18, 18)
    assert layers["second"].additions == 2 * 49 * spikes
    assert layers["relu_1 (shortcut)"].additions == 18 * spikes
    assert layers["last"].additions == 8 * 3 * spikes
    assert [layers[n].macs for n in ("first", "second", "last")] == [128, 98, 24]
    assert [layers[n].weights for n in ("first", "second", "last")] == [18, 18, 24]
    assert [layers[n].biases for n in ("first", "second", "last")] == [2, 2, 3]
    assert [layers[n].inputs for n in ("first", "second", "last")] == [36, 18, 8]
    assert [layers[n].values for n in ("first", "second", "last")] == [18, 18, 3]
    encoded = [x for x in found.layers if x.kind == "neurons" and x.name.startswith("input")]
    if encoded:
        assert [x.spikes for x in encoded] == [36 * spikes]
        assert layers["first"].additions == 128 * spikes
        assert found.analog_macs == 0
    else:
        assert (layers["first"].additions, found.analog_macs) == (0, 128)
    # Biases, and the current of an analog input, are one addition a neuron and tick awake.
    readout = next(x for x in found.layers if x.kind == "read-out")
    assert [x.constants for x in (first, second, readout)] == [18 * T, 18 * T, 3 * T]
    # Two windows along an axis, overlapping in the middle row: 4 members, 16 on each map.
    gate = next(x for x in found.layers if x.kind == "gate")
    assert (gate.comparisons, gate.values) == (2 * 16 * found.steps, 8)
    assert gate.potentials == 18 + 8
    assert first.delayed == second.delayed == 0


PER_STEP = {"burst": 5, "casc": 4}  # Γ comparators; two thresholds and two bounds
PER_SPIKE = {"casc": 2, "spike-norm": 0}  # N as well; a reset to zero adds nothing


@pytest.mark.parametrize("method", METHODS)
def test_the_neurons_own_arithmetic_by_hand(method: str) -> None:
    found = counted(method)
    layers = by_name(found)
    layered = found.schedule == "layered"
    readout = next(x for x in found.layers if x.kind == "read-out")
    for layer in (layers["relu"], layers["relu_1"]):
        assert layer.comparisons == 18 * found.steps * PER_STEP.get(method, 1)
        assert layer.per_spike == PER_SPIKE.get(method, 1)
        assert layer.updates == 18 * found.steps * (2 if layered else 1)
        kept = 2 if method in ("casc", "tsc") else 1  # N; the sum of what is switched on
        assert layer.potentials == 18 * kept
    assert readout.comparisons == 0
    if method == "spikeconverter":  # k = 2: three inflations while taking in, three while sending
        assert layers["relu"].shifts == layers["relu_1"].shifts == 18 * 6
        assert readout.shifts == 3 * 3
        assert found.total("factors") == 0
    else:
        assert found.total("shifts") == found.total("factors") == 0


def test_an_inflation_that_is_no_shift_is_a_multiplication() -> None:
    found = counted("spikeconverter", k=1.5)
    assert (found.total("shifts"), found.total("factors")) == (0, 2 * 18 * 6 + 9)


def test_a_hard_reset_adds_nothing() -> None:
    assert by_name(counted("rueckauer", reset="hard"))["relu"].per_spike == 0
    assert by_name(counted("rueckauer", reset="subtract"))["relu"].per_spike == 1


def test_asleep_there_are_no_constants_but_neurons_and_gates_go_on() -> None:
    found = counted("casc", sleep=3)
    layers = by_name(found)
    assert found.steps == T + 3
    assert layers["relu"].constants == 18 * T
    assert layers["relu"].comparisons == 18 * (T + 3) * 4
    assert not found.settles
    assert (found.mean_ticks, found.most_ticks) == (T + 3, T + 3)


def test_a_run_that_settles_ends_with_the_first_silent_tick_asleep() -> None:
    found = counted("casc")
    assert found.settles
    assert found.at_rest[T] == found.samples  # the last spikes come in the last tick awake
    assert (found.mean_ticks, found.most_ticks, found.worked_ticks) == (T, T, T + 1)


def test_a_shortcut_over_two_layers_is_delayed() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            a = self.layers[0](x).relu()
            b = self.layers[1](a).relu()
            return self.layers[3]((self.layers[2](b) + a).relu())

    x = torch.rand(16, 6)
    snn = sw.convert(Skip(), T=T, calibration=x)
    layers = by_name(sw.evaluate(snn, x).lengths[0])
    assert [layers[n].delayed for n in ("relu", "relu_1", "relu_2")] == [6 * T, 0, 0]


def test_a_layer_used_three_times_is_stored_three_times_with_other_scales() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.one(self.one(self.one(x).relu()).relu())

    x = torch.rand(16, 6)
    found = sw.evaluate(sw.convert(Twice(), T=T, calibration=x), x).lengths[0]
    used = [x for x in found.layers if x.kind == "layer"]
    assert [x.macs for x in used] == [36, 36, 36]
    assert (found.total("weights"), found.total("biases")) == (3 * 36, 3 * 6)


def test_bits_of_the_opponent() -> None:
    """T for a binary radix code, ⌈log2(T + 1)⌉ for a rate code, and bursts reach Γ times as far."""
    assert counted("spikeconverter").bits == T
    assert counted("rueckauer").bits == 3
    assert counted("burst", gamma=5).bits == 5  # values 0..20
    assert not is_shift(3.0)


def test_more_inputs_than_narrow_sums_can_hold() -> None:
    """Counts are added up in 8, then in 16 bits; 20,000 inputs of up to 4 spikes are above both."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(100, 3)
    snn = sw.convert(model, T=T, calibration=x)
    few = sw.evaluate(snn, x).lengths[0]
    many = sw.evaluate(snn, [x.repeat(150, 1), x.repeat(50, 1)]).lengths[0]
    assert few.spikes > 0
    assert many.spikes == 200 * few.spikes
    assert many.total("additions") == 200 * few.total("additions")


class Largest(nn.Module):
    """The first layer of ``Hand``, and the largest value of each of its two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).relu().amax((2, 3)))


@pytest.mark.parametrize("method", ["spikeconverter", "burst"])
def test_the_largest_of_a_whole_map_has_each_place_once(method: str) -> None:
    found = sw.evaluate(
        sw.convert(Largest(), method, T=T, calibration=torch.rand(8, 1, 6, 6)),
        torch.rand(5, 1, 6, 6),
    ).lengths[0]
    (gate,) = (x for x in found.layers if x.kind == "gate")
    assert (gate.comparisons, gate.values, gate.potentials) == (18 * found.steps, 2, 20)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_counts_do_not_depend_on_the_callers_gradient_mode(mode: Callable[[], Any]) -> None:
    """Fan-out is found by gradients: without them a detector once had 0 multiply-adds."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)).eval()
    x = torch.rand(4, 1, 6, 6)
    snn = sw.convert(model, calibration=x, T=4)
    (wanted,) = sw.evaluate(snn, x).lengths
    with mode():
        (found,) = sw.evaluate(snn, x).lengths
    assert found == wanted
    assert found.macs == 16 * 3 * 9 + 48 * 2
