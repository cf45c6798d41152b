# SPDX-License-Identifier: Apache-2.0
"""CASC: misuse, then conversion without loss, counted neuron by neuron against the trained ANN."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.methods.casc import CASC, settling_bound
from spikewright.network import load
from spikewright.preparation.trains import sent
from spikewright.simulators import SynchronousReference, Timefold, settle
from spikewright.simulators.tick_plan import TickPlan
from tests.networks import totals


class Staircase(nn.Module):
    """θ·clip(floor(Q·x/θ + φ)/Q, 0 or -1, 1); keeps the levels that it has sent."""

    def __init__(self, levels: int, cap: float, offset: float = 0.0, signed: bool = False) -> None:
        super().__init__()
        self.register_buffer("cap", torch.tensor(cap))
        self.levels, self.offset, self.signed = levels, offset, signed
        self.sent: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        level = torch.floor(x / self.cap * self.levels + self.offset)
        share = torch.clamp(level / self.levels, -1.0 if self.signed else 0.0, 1.0)
        self.sent = share * self.levels
        return share * self.cap


class Net(nn.Module):
    """Max pooling, a depthwise layer, a linear bottleneck with its signed staircase, a shortcut."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), Staircase(levels, 1.5)
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8), Staircase(levels, 0.75)
        )
        self.narrow = nn.Sequential(nn.Conv2d(8, 6, 1), Staircase(levels, 1.25, 0.5, True))
        self.wide = nn.Conv2d(6, 8, 3, padding=1)
        self.last = Staircase(levels, 1.125)
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.first(x))
        y = self.wide(self.narrow(self.depthwise(x)))
        return self.head(self.last(y + x).flatten(1))


def net(levels: int = 8, seed: int = 0) -> tuple[Net, Tensor]:
    """A network in double precision, where no sum comes within rounding of an edge by accident."""
    torch.manual_seed(seed)
    model, x = Net(levels), torch.randn(32, 3, 8, 8)
    norm = model.first[1]
    with torch.no_grad():
        norm.running_mean.normal_(0.0, 0.3)
        norm.running_var.uniform_(0.5, 2.0)
    return model.eval().double(), x.double()


def trained_levels(model: nn.Module, x: Tensor) -> list[Tensor]:
    """What each activation of the ANN sent, in levels, in order of execution."""
    with torch.no_grad():
        model(x)
    return [m.sent for m in model.modules() if isinstance(m, Staircase) and m.sent is not None]


@pytest.mark.parametrize("T", [4, 16])
def test_another_number_of_steps_than_levels_is_refused(T: int) -> None:
    model, x = net(8)
    with pytest.raises(
        ConfigError, match=rf"expected T = 8, the levels Q .* got T = {T}\. Set T=8"
    ):
        sw.convert(model, "casc", T=T, calibration=x)


def test_two_numbers_of_levels_are_refused() -> None:
    model, x = net(8)
    model.last.levels = 4
    with pytest.raises(ConfigError, match=r"expected one number of levels Q .* got \[4, 8\]"):
        sw.convert(model, "casc", T=8, calibration=x)


def test_other_schedules_do_not_settle() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.rand(8, 3)
    with pytest.raises(ConfigError, match="expected a network with the wake-sleep schedule"):
        settle(sw.convert(model, "burst", calibration=x), x)
    with pytest.raises(ConfigError, match="expected an analog input"):
        settle(sw.convert(model, "casc", calibration=x, input="encoded"), x)


@pytest.mark.parametrize("levels", [1, 4, 8, 16])
@pytest.mark.parametrize("name", ["timefold", "reference"])
def test_every_neurons_total_is_the_trained_level(levels: int, name: str) -> None:
    model, x = net(levels)
    snn = sw.convert(model, "casc", T=levels, calibration=x)
    wanted = trained_levels(model, x)
    found = list(totals(snn, x, name).values())
    assert len(found) == len(wanted) == 4
    for total, level in zip(found, wanted, strict=True):
        # level / Q * Q is the level again up to the last bit of a double
        assert torch.equal(total, level.round())
        assert float((level - level.round()).abs().max()) < 1e-12
    with torch.no_grad():
        assert torch.allclose(sw.simulate(snn, x, simulator=name), model(x), rtol=0, atol=1e-12)


def test_without_sleep_it_is_not_there_yet() -> None:
    model, x = net(8)
    awake = totals(sw.convert(model, "casc", calibration=x, sleep=0), x)
    wanted = trained_levels(model, x)
    assert any(not torch.equal(a, b.round()) for a, b in zip(awake.values(), wanted, strict=True))


def test_biases_left_on_asleep_break_it() -> None:
    model, x = net(8)
    snn = sw.convert(model, "casc", calibration=x)
    with patch.object(TickPlan, "_asleep", property(lambda plan: plan._every)):
        found = totals(snn, x)
    wanted = trained_levels(model, x)
    assert any(not torch.equal(a, b.round()) for a, b in zip(found.values(), wanted, strict=True))


def test_the_clock_stands_still_asleep() -> None:
    """With a clock that went on, an input above the top would be sent T + sleep times."""
    model = nn.Sequential(nn.Linear(1, 1), Staircase(4, 1.0), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.fill_(0.0)
    x = torch.tensor([[9.0], [0.5], [-1.0]]).double()
    snn = sw.convert(model, "casc", T=4, calibration=x, sleep=50)
    (total,) = totals(snn, x).values()
    assert total.flatten().tolist() == [4.0, 2.0, 0.0]


def test_in_integers_nothing_is_left_to_rounding() -> None:
    model, x = net(8)
    snn = sw.convert(model.float(), "casc", calibration=x.float()).to_integer()
    at_rest = settle(snn, x)
    for name in ("timefold", "reference"):
        found = totals(snn, x, name)
        assert all(torch.equal(found[n], at_rest.counts[n]) for n in found)
        assert torch.equal(sw.simulate(snn, x, simulator=name), at_rest.outputs[0])
    assert sw.verify(snn, x).agrees


def test_float_simulators_agree_apart_from_near_ties() -> None:
    model, x = net(8)
    snn = sw.convert(model.float(), "casc", calibration=x.float())
    assert snn.dtype == torch.float32
    assert sw.verify(snn, x).agrees


def test_a_run_ends_when_all_is_at_rest_and_says_when_that_was() -> None:
    model, x = net(8)
    snn = sw.convert(model, "casc", calibration=x)
    bound = settling_bound(snn.graph, 8)
    # depthwise 8, bottleneck 16 (signed), last 8, after the first, which reads the constant input
    assert bound == 32
    assert snn.code.steps == 8 + bound
    labels = torch.zeros(len(x), dtype=torch.long)
    result = sw.evaluate(snn, [(x, labels)], reference=model).lengths[0]
    assert sum(result.at_rest) == len(x)
    last = result.rest_step(1.0)
    assert last is not None
    assert 8 < last < snn.code.steps
    assert result.agree[last - 1] == len(x)
    assert set(result.agree[last - 1 :]) == {len(x)}
    run: dict[str, Tensor] = {}
    for _ in SynchronousReference(snn).over_time(
        snn.check_input(x), lambda n, t, s: run.update({n: torch.tensor(t)})
    ):
        pass
    assert {int(t) for t in run.values()} == {last + 1}  # one silent tick more


def test_spikes_taken_back_count_as_spikes_and_additions() -> None:
    model, x = net(8)
    snn = sw.convert(model, "casc", calibration=x)
    seen: dict[str, int] = {}

    def add(source: str, first: int, sent: Tensor) -> None:
        seen[source] = seen.get(source, 0) + int(sent.abs().sum())

    for _ in Timefold(snn).over_time(snn.check_input(x), add):
        pass
    result = sw.evaluate(snn, [x]).lengths[0]
    for layer in result.layers:
        if layer.kind == "neurons":
            assert layer.spikes == seen[layer.name]
    net_totals = {n: int(c.abs().sum()) for n, c in totals(snn, x).items()}
    assert any(seen[n] > total for n, total in net_totals.items())


def test_it_takes_a_full_precision_network_by_scales_of_its_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)
    )
    x = torch.randn(256, 6)
    error = []
    for T in (4, 16, 64):
        snn = sw.convert(model, "casc", T=T, calibration=x)
        with torch.no_grad():
            error.append(float((sw.simulate(snn, x) - model(x)).square().mean()))
    # rounding to T levels: the mean square error falls with 1/T²; sixteen times, in expectation
    assert error[0] > 4 * error[1] > 16 * error[2]


def test_adaptive_thresholds_bring_the_means_back() -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(5):
        layers += [nn.Linear(24, 24), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(24, 4))
    x = torch.randn(256, 24)
    gaps = []
    for adapt in (False, True):
        # a low percentile: what is clipped off is missing in the mean
        rule = sw.Percentile(80.0)
        snn = sw.convert(model, "casc", T=4, calibration=x, adapt=adapt, scale=rule)
        with torch.no_grad():
            gaps.append(float((sw.simulate(snn, x).mean(0) - model(x).mean(0)).abs().max()))
    assert gaps[1] < 0.7 * gaps[0]


def test_it_is_saved_and_read_back(tmp_path: Any) -> None:
    model, x = net(8)
    snn = sw.convert(model, "casc", calibration=x, sleep=12)
    snn.save(tmp_path / "snn.safetensors")
    again = load(tmp_path / "snn.safetensors")
    assert (again.schedule.name, again.code, again.neuron_name) == (
        "wake-sleep",
        snn.code,
        snn.neuron_name,
    )
    assert again.timing().to_dict() == snn.timing().to_dict()
    assert again.timing().latency_ticks == 20
    assert torch.equal(sw.simulate(again, x), sw.simulate(snn, x))


def test_relays_of_plain_networks_round_to_nearest() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    x = torch.randn(64, 4).double()
    snn = sw.convert(model, "casc", T=16, calibration=x)
    (relay,) = [n for n in snn.graph if n.op == ops.RELAY]
    total = totals(snn, x)[relay.name]
    with torch.no_grad():
        wanted = (model[0](x) / snn.sites[relay.name].scale.double() * 16 + 0.5).floor()
    assert torch.equal(total, wanted.clamp(-16, 16))
    assert bool((total < 0).any())


def test_preparation_takes_neurons_for_what_they_settle_on_and_brings_outputs_nearer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    ).double()
    x, others = torch.randn(2, 1024, 8).double()
    prepared = sw.calibrate(model, x)
    plain, *changed = (
        sw.convert(prepared, "casc", T=3, per_channel=True, prepare=way)
        for way in ("none", "bias", "refit")
    )
    counts = settle(plain, x).counts
    (relay,) = [n for n in plain.graph if n.op == ops.RELAY]
    front = next(n for n in counts if n != relay.name)
    site = plain.sites[front]
    read = counts[front] * site.scale.double() / 3
    with torch.no_grad():
        found = sent(plain.sites[relay.name], model[2](read))
        wanted = model(others)
    assert torch.allclose(found, counts[relay.name] * plain.sites[relay.name].scale.double() / 3)
    assert bool((found < 0).any())
    errors = [float((snn(others) - wanted).square().mean()) for snn in (plain, *changed)]
    assert max(errors[1:]) < errors[0], errors
    for snn, step in zip(changed, ("bias", "refit"), strict=True):
        assert snn.prepared_by == (step,)
        assert sw.verify(snn, others[:8]).agrees


def test_means_are_corrected_in_one_way() -> None:
    with pytest.raises(ConfigError, match="expected adapt or prepare, got both"):
        CASC(adapt=True, prepare="bias")
