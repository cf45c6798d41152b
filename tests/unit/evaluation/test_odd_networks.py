# SPDX-License-Identifier: Apache-2.0
"""Accounting of networks and inputs that are not the usual chain with (input, class) batches."""

import math

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.comparison.cells import points
from spikewright.energy import choose_models, energy_of, verdict
from spikewright.errors import ConfigError
from spikewright.evaluation.length import LengthResult
from spikewright.simulators import simulator


class Twice(nn.Module):
    """One linear layer at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores."""
        out: Tensor = self.o(self.a(self.a(x).relu()).relu())
        return out


class TwoOutputs(nn.Module):
    """Read-outs at depths 2 and 3."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.d = nn.Linear(4, 5), nn.Linear(5, 5)
        self.b, self.c = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores of the deep read-out, then of the shallow one."""
        h = self.a(x).relu()
        return self.c(self.d(h).relu()), self.b(h)


def settled() -> LengthResult:
    """Return a CASC network whose last spike comes awake, while the read-out still changes."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 2))
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[2].weight.copy_(torch.tensor([[1.0], [0.0]]))
        net[2].bias.copy_(torch.tensor([0.0, 0.29]))
    snn = sw.convert(net, "casc", T=4, calibration=torch.ones(32, 1), scale=sw.Max())
    return sw.evaluate(snn, [(torch.full((1, 1), 0.2), torch.tensor([1]))]).lengths[0]


@pytest.mark.parametrize("method", ["spikeconverter", "burst", "casc"])
def test_a_module_used_twice_is_two_rows_and_merges(method: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(16, 6)
    snn = sw.convert(Twice(), method, T=4, calibration=x)
    whole = sw.evaluate(snn, x)
    names = [layer.name for layer in whole.lengths[0].layers if layer.kind == "layer"]
    assert names == ["a", "a (2)", "o"]
    parts = sw.evaluate(snn, x[:5]).merge(sw.evaluate(snn, x[5:]))
    assert parts.lengths == whole.lengths


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(16, 1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
        torch.tensor(0),
        torch.zeros(16),
        torch.zeros(16, 3, dtype=torch.int64),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(labels: Tensor) -> None:
    x = torch.rand(16, 6)
    snn = sw.convert(Twice(), T=2, calibration=x)
    with pytest.raises(ConfigError, match=r"batch 0: expected a whole class number for each input"):
        sw.evaluate(snn, [(x, labels)])


def test_labels_beyond_the_outputs_and_in_comparisons_are_refused() -> None:
    x = torch.rand(16, 6)
    model = Twice()
    snn = sw.convert(model, T=2, calibration=x)
    with pytest.raises(ConfigError, match="expected class numbers below 3, the network's outputs"):
        sw.evaluate(snn, [(x, torch.full((16,), 3))])
    with pytest.raises(ConfigError, match="numbers below 0"):
        sw.evaluate(snn, [(x, torch.full((16,), -1))])
    with pytest.raises(ConfigError, match="batch 0: expected a whole class number"):
        sw.compare(model, ["burst@2"], calibration=x, data=[(x, torch.zeros(16, 1).long())])


def test_partly_labelled_inputs_are_told_as_such() -> None:
    x = torch.rand(16, 6)
    model = Twice()
    found = sw.evaluate(
        sw.convert(model, T=2, calibration=x), [(x, model(x).argmax(1)), x], reference=model
    )
    assert "on the 16 labelled inputs" in found.table()
    said = verdict(found.lengths[0], found.reference_accuracy, [])
    assert "% of the 16 labelled of 32 inputs" in said[0]


def test_outputs_at_different_depths_have_an_error_each() -> None:
    torch.manual_seed(0)
    model, x = TwoOutputs(), torch.rand(20, 4)
    snn = sw.convert(model, T=8, calibration=x)
    wanted = [value.detach() for value in model(x)]
    for name in ("collapsed", "reference"):
        found = sw.evaluate(snn, x, reference=model, simulator=name).lengths[0]
        outputs = simulator(snn, name)(x)
        for error, a, b in zip(found.errors, outputs, wanted, strict=True):
            assert error.relative_error() == pytest.approx(
                float((a - b).norm() / b.norm()), rel=1e-4
            )
    diagnosis = sw.diagnose(snn, x, reference=model)
    assert diagnosis.agreement is None
    squared = [x.relative_error for x in diagnosis.layers if x.kind == "output"]
    assert sorted(map(math.sqrt, squared)) == pytest.approx(
        sorted(x.relative_error() for x in found.errors), rel=1e-4
    )


def test_padding_before_a_layer_is_padding() -> None:
    torch.manual_seed(0)
    x = torch.rand(8, 1, 5, 5)
    one, two = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
    inside = nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), nn.Flatten(), nn.Linear(50, 3))
    first, second = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)
    first.load_state_dict(one.state_dict())
    second.load_state_dict(two.state_dict())
    padded = nn.Sequential(
        nn.ZeroPad2d(1), first, nn.ReLU(), nn.ZeroPad2d(1), second, *list(inside)[3:]
    )
    rows = []
    for model in (inside, padded):
        length = sw.evaluate(sw.convert(model, T=4, calibration=x), x).lengths[0]
        layers = [layer for layer in length.layers if layer.kind == "layer"]
        rows.append([(y.macs, y.analog_macs, y.inputs, y.additions) for y in layers])
    assert rows[0] == rows[1]
    assert [row[:3] for row in rows[0]] == [(338, 338, 25), (676, 0, 50), (150, 0, 50)]


def test_a_network_at_rest_while_awake_is_told_to_the_end_of_its_wake() -> None:
    found = settled()
    assert found.correct[:4] == (1, 1, 0, 1)
    assert found.rest_step(1.0) == 3
    assert found.last_step == 4
    assert [p.accuracy for p in points(found)] == [1.0, 1.0, 0.0, 1.0]


def test_without_counting_nothing_is_said_of_work() -> None:
    x = torch.rand(16, 6)
    found = sw.evaluate(sw.convert(Twice(), "casc", T=4, calibration=x), x, counting=False)
    length = found.lengths[0]
    assert length.mean_ticks == length.most_ticks == length.latency_ticks == 8
    assert "additions" not in found.table()
    with pytest.raises(ConfigError, match="counting=True"):
        energy_of(length, choose_models(["fp32"])[0])


def test_a_silent_network_has_no_limit_where_it_pays() -> None:
    net = nn.Sequential(nn.Linear(2, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 3))
    with torch.no_grad():
        for p in net.parameters():
            p.abs_()
        for i in (0, 2, 4):
            net[i].bias.zero_()
    snn = sw.convert(net, "burst", T=32, calibration=torch.rand(16, 2))
    length = sw.evaluate(snn, -torch.ones(4, 2)).lengths[0]
    assert length.spikes == 0
    chip, memory = (energy_of(length, m) for m in choose_models(["loihi", "memory-int8"]))
    assert chip.pays("fp32")
    assert not chip.never_pays("fp32")
    assert chip.break_even("fp32") is None
    assert memory.never_pays("quantised")
    assert (
        "under memory-int8 even a silent network would not"
        in verdict(length, None, [chip, memory])[1]
    )


def test_relays_are_no_comparisons_of_the_original() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 5), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)
    )
    x = torch.rand(16, 6)
    model = choose_models(["fp32"])[0]
    found = energy_of(sw.evaluate(sw.convert(net, T=4, calibration=x), x).lengths[0], model)
    assert found.fp32["comparisons"] == pytest.approx(12 * model.comparison)


def test_a_poisson_input_keeps_nothing() -> None:
    x = torch.rand(16, 6)
    snn = sw.convert(Twice(), "rmp", T=8, calibration=x, input="poisson")
    row = next(y for y in sw.evaluate(snn, x).lengths[0].layers if y.neurons)
    assert (row.potentials, row.constants, row.updates) == (0, 0, 0)
    assert row.comparisons == 6 * 8
