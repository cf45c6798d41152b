# SPDX-License-Identifier: Apache-2.0
"""What every method must hold to, and what the rate-coded ones must.

The first part runs over every method there is, so a new one is tested by being there. Networks
trained with quantised activations are built for the methods that take nothing else.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import (
    CalibrationError,
    ConfigError,
    UnknownNameError,
    UnsupportedModuleError,
)
from spikewright.graph import ops
from spikewright.methods import MethodConfig, Prepared, configure, methods
from spikewright.methods.synchronous import SynchronousConfig
from spikewright.simulators import simulator
from tests.property.random_nets import Residual

ALL = sorted(methods())
SCALED = sorted(n for n in ALL if "scale" in {f.name for f in dataclasses.fields(methods()[n])})
RATE = sorted(n for n in ALL if issubclass(methods()[n], SynchronousConfig))
QUANTISED = {"qcfs"}  # methods that take only networks trained with a quantised activation
ON_SPIKES = ["rmp", "snn-calibration", "spike-norm"]  # run the spiking network to calibrate
QUICK: dict[str, dict[str, Any]] = {  # fewer steps and inputs than the defaults to calibrate on
    "rmp": {"balance_steps": 10, "balance_samples": 8},
    "spike-norm": {"balance_steps": 10, "balance_samples": 8},
    "snn-calibration": {"samples": 8},
}
LEVELS = 8


class QCFSAct(nn.Module):
    """θ·clip(floor(L·x/θ + ½)/L, 0, 1), Bu et al. 2022, equation 8."""

    def __init__(self, theta: float = 1.5) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta]))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.floor(x / self.theta * LEVELS + 0.5) / LEVELS
        return torch.clamp(y, 0, 1) * self.theta


Act = Callable[[], nn.Module]


def mlp(act: Act) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), act(), nn.Linear(16, 5))


def conv_pool(act: Act) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        act(),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(6, 8, 3),
        act(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def residual(act: Act) -> nn.Module:
    body = nn.Sequential(
        nn.Conv2d(6, 6, 3, padding=1), act(), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
    )
    return nn.Sequential(
        nn.Conv2d(2, 6, 3),
        act(),
        Residual(body, nn.Identity(), act()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


NETS = {
    "mlp": (mlp, (6,)),
    "conv and max pool": (conv_pool, (2, 6, 5)),
    "residual": (residual, (2, 6, 5)),
}


def case(name: str, net: str) -> tuple[nn.Module, Tensor, Prepared]:
    """A network that the method takes, data of both signs, and what calibration finds."""
    return _case(QCFSAct if name in QUANTISED else nn.ReLU, net)


@functools.cache
def _case(act: Act, net: str) -> tuple[nn.Module, Tensor, Prepared]:
    torch.manual_seed(4)
    build, shape = NETS[net]
    model = build(act).eval()
    data = torch.randn(24, *shape)
    return model, data, sw.calibrate(model, data)


@functools.cache
def network_of(name: str, net: str) -> sw.SpikingNetwork:
    return sw.convert(case(name, net)[2], name, T=8, **QUICK.get(name, {}))


def error(network: sw.SpikingNetwork, model: nn.Module, data: Tensor) -> Tensor:
    with torch.no_grad():
        return (sw.simulate(network, data) - model(data)).abs()


def counts(network: sw.SpikingNetwork, data: Tensor) -> dict[str, Tensor]:
    """Count the spikes of every source up to each step, signs kept: "time batch *neuron"."""
    trains: dict[str, list[Tensor]] = {}

    def watch(name: str, t: int, train: Tensor) -> None:
        trains.setdefault(name, []).append(train.clone())

    with torch.no_grad():
        for _ in simulator(network, "reference").over_time(network.check_input(data), watch):
            pass
    return {name: torch.cat(found).cumsum(0) for name, found in trains.items()}


# Every method


@pytest.mark.parametrize("name", ALL)
def test_settings_survive_json(name: str) -> None:
    options: dict[str, Any] = {"T": 7, "analog_relays": ("a", "re:b.*")}
    if name in SCALED:
        options |= {"scale": sw.Max(), "per_channel": True}
    if name in RATE:
        options |= {"pool": "accumulated-count", "input": "poisson", "seed": 3}
    config = configure(name, **options)
    plain = json.loads(json.dumps(config.to_dict()))
    assert plain["name"] == name
    assert (plain["version"], plain["T"]) == (config.version, 7)
    assert type(config).from_dict(plain) == config
    assert dataclasses.replace(configure(config, T=9), T=7) == config


@pytest.mark.parametrize("name", ALL)
def test_the_model_stays_as_it_was(name: str) -> None:
    torch.manual_seed(1)
    model = conv_pool(QCFSAct if name in QUANTISED else nn.ReLU).train()
    model[1].eval()  # flags of its own
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [m.training for m in model.modules()]
    wants = [p.requires_grad for p in model.parameters()]
    sw.convert(model, name, T=4, calibration=torch.randn(8, 2, 6, 5), **QUICK.get(name, {}))
    assert [m.training for m in model.modules()] == flags
    assert [p.requires_grad for p in model.parameters()] == wants
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", ALL)
def test_small_networks_convert_and_both_simulators_agree(name: str, net: str) -> None:
    """The fast simulator sums in another order than the tick-by-tick one: rounding, 1e-5."""
    model, data, _ = case(name, net)
    network = network_of(name, net)
    assert network.provenance["method"] == name
    assert network.T == 8
    fast = sw.simulate(network, data)
    assert fast.shape == model(data).shape
    assert bool(fast.isfinite().all())
    torch.testing.assert_close(
        fast, sw.simulate(network, data, simulator="reference"), rtol=0.0, atol=1e-5
    )
    result = sw.evaluate(network, data, reference=model).lengths[0]
    assert sum(layer.spikes for layer in result.layers) > 0


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_spikes(name: str) -> None:
    model, data, _ = case(name, "conv and max pool")
    options = {"T": 5, "calibration": data, **QUICK.get(name, {})}
    first, second = (sw.convert(model, name, **options) for _ in range(2))
    assert first.provenance == second.provenance
    for network in (first, second):
        torch.manual_seed(int(network is first))  # no other random numbers take part
        assert torch.equal(sw.simulate(network, data), sw.simulate(first, data))
    if name in RATE:
        again = counts(second, data)
        for source, train in counts(first, data).items():
            assert torch.equal(train, again[source])


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", ALL)
def test_a_saved_network_gives_the_same_output(name: str, net: str, tmp_path: Path) -> None:
    data, network = case(name, net)[1], network_of(name, net)
    network.save(tmp_path / "snn.safetensors")
    again = sw.load(tmp_path / "snn.safetensors")
    assert torch.equal(sw.simulate(again, data), sw.simulate(network, data))
    assert again.provenance == network.provenance
    assert (again.neuron_name, again.gate, again.code) == (
        network.neuron_name,
        network.gate,
        network.code,
    )


@pytest.mark.parametrize("name", ALL)
def test_a_batch_equals_its_samples_one_by_one(name: str) -> None:
    data, network = case(name, "residual")[1][:6], network_of(name, "residual")
    alone = torch.cat([sw.simulate(network, data[i : i + 1]) for i in range(len(data))])
    torch.testing.assert_close(sw.simulate(network, data), alone, rtol=0.0, atol=1e-5)


# How large the error may be


ONE_UNIT: dict[str, dict[str, Any]] = {
    "burst": {"scale": sw.Max()},
    "qcfs": {},
    "rmp": {"threshold_factor": 1.0},
    "rueckauer": {"scale": sw.Max()},
    "snn-calibration": {"scale": sw.Max()},
    "spikeconverter": {"scale": sw.Max()},
    "threshold-relu": {},
    "tsc": {"scale": sw.Max(), "input": "analog"},
}


@pytest.mark.parametrize(
    ("name", "T"),
    [
        (n, T)
        for n in sorted(ONE_UNIT)
        for T in ((3, 10) if n == "spikeconverter" else (3, 64, 256))
    ],
)
def test_one_hidden_layer_errs_by_less_than_one_spike_a_neuron(name: str, T: int) -> None:
    """Nothing clipped, analog input: |λ·N/T - a| ≤ λ/T in every neuron, so |Δy| ≤ |W|·λ/T.

    λ/S for SpikeConverter. QCFS networks differ from their own staircase by half a level more.
    """
    model, data, prepared = case(name, "mlp")
    network = sw.convert(prepared, name, T=T, **ONE_UNIT[name])
    (node,) = (n for n in network.spiking_nodes() if n.op == ops.RECTIFY)
    scale = network.sites[node.name].scale.expand(16)
    unit = scale / network.code.max_value + (scale / (2 * LEVELS) if name in QUANTISED else 0.0)
    allowed = model[2].weight.abs() @ unit
    assert bool((error(network, model, data) <= allowed * 1.0001 + 1e-5).all())


def test_one_hidden_layer_of_hard_reset_errs_by_what_it_throws_away() -> None:
    """Constant a ≤ θ fires every ceil(θ/a) steps: |N/T - a/θ| ≤ ½ + 1/T, at any T."""
    for name, options in (
        ("rueckauer", {"reset": "hard", "scale": sw.Max()}),
        ("spike-norm", {"input": "analog"}),
    ):
        model, data, prepared = case(name, "mlp")
        network = sw.convert(prepared, name, T=64, **options)
        (node,) = network.spiking_nodes()
        scale = network.sites[node.name].scale.expand(16)
        allowed = model[2].weight.abs() @ (scale * (0.5 + 1 / 64))
        assert bool((error(network, model, data) <= allowed * 1.0001).all())
        soft = sw.convert(case("rueckauer", "mlp")[2], "rueckauer", T=64, scale=sw.Max())
        assert error(network, model, data).mean() > 3 * error(soft, model, data).mean()


@pytest.mark.parametrize("net", ["conv and max pool", "residual"])
@pytest.mark.parametrize("name", ["burst", "rmp", "rueckauer", "threshold-relu"])
def test_deep_networks_approach_the_original_with_time(name: str, net: str) -> None:
    """Error falls about as 1/T; at T = 128 it is below 6/T of the largest output."""
    model, data, prepared = case(name, net)
    data = data[:8]
    errors = [
        float(error(sw.convert(prepared, name, T=T, **ONE_UNIT[name]), model, data).mean())
        for T in (16, 128)
    ]
    with torch.no_grad():
        assert errors[1] < 6 / 128 * float(model(data).abs().max())
    assert errors[1] < errors[0] / 3


def test_qcfs_at_its_own_number_of_levels_is_the_trained_network() -> None:
    """T = L, constant current, v_0 = θ/2: the same count in every neuron of the first layer."""
    model, data, prepared = case("qcfs", "mlp")
    network = sw.convert(prepared, "qcfs", T=LEVELS)
    assert float(error(network, model, data).max()) < 1e-5
    (node,) = network.spiking_nodes()
    assert network.sites[node.name].scale.item() == 1.5
    assert network.sites[node.name].pre_bias.item() == 0.5


def test_qcfs_takes_the_trained_top_whatever_the_data_reach() -> None:
    model, data, _ = case("qcfs", "mlp")
    network = sw.convert(model, "qcfs", T=LEVELS, calibration=data / 100)
    (node,) = network.spiking_nodes()
    assert network.sites[node.name].scale.item() == 1.5
    signed = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 16), QCFSAct(), nn.Linear(16, 5)).eval()
    network = sw.convert(signed, "qcfs", T=LEVELS, calibration=data)
    relay, rectified = network.spiking_nodes()
    assert (relay.op, rectified.op) == (ops.RELAY, ops.RECTIFY)
    largest = float(signed[0](data).detach().abs().max())
    assert 0.5 * largest < network.sites[relay.name].scale.item() <= largest * 1.01
    assert network.sites[relay.name].pre_bias.item() == 0.0


def test_the_shift_turns_flooring_into_rounding() -> None:
    """Deng & Gu: θ/(2T) a step halves the error of soft reset with the same θ."""
    model, data, prepared = case("threshold-relu", "mlp")
    plain = sw.convert(prepared, "rueckauer", T=16, scale=sw.Max())
    shifted = sw.convert(prepared, "threshold-relu", T=16)
    assert error(shifted, model, data).mean() < 0.7 * error(plain, model, data).mean()


def test_correcting_biases_takes_away_the_mean_error() -> None:
    """Li et al. 2021: with few steps, the corrected network is nearer to the original."""
    model, data, prepared = case("snn-calibration", "conv and max pool")
    with_it, without = (
        sw.convert(prepared, "snn-calibration", T=6, correct_bias=c) for c in (True, False)
    )
    assert error(with_it, model, data).mean() < error(without, model, data).mean()


# Rate-coded methods


@pytest.mark.parametrize("pool", ["lateral-inhibition", "accumulated-count"])
@pytest.mark.parametrize("enter", ["analog", "encoded", "poisson"])
@pytest.mark.parametrize("name", RATE)
def test_every_input_and_pool(name: str, enter: str, pool: str) -> None:
    _, data, prepared = case(name, "conv and max pool")
    options = {"input": enter, "pool": pool, **QUICK.get(name, {})}
    network, data = sw.convert(prepared, name, T=4, **options), data[:6]
    assert network.gate == pool
    inputs = [n for n in network.graph if n.op == ops.INPUT_SITE]
    assert len(inputs) == (enter != "analog")
    torch.testing.assert_close(
        sw.simulate(network, data),
        sw.simulate(network, data, simulator="reference"),
        rtol=0.0,
        atol=1e-5,
    )
    for source, train in counts(network, data).items():
        assert torch.equal(train, train.round()), source
        if source in network.sites:
            most = network.sites[source].gamma * torch.arange(1, len(train) + 1).reshape(-1, 1)
            assert bool((train.flatten(1).abs() <= most).all()), source


@pytest.mark.parametrize("name", RATE)
def test_another_seed_gives_other_poisson_spikes_of_the_same_mean(name: str) -> None:
    prepared = case(name, "mlp")[2]
    first, other = (
        sw.convert(prepared, name, T=400, input="poisson", seed=seed, **QUICK.get(name, {}))
        for seed in (0, 1)
    )
    x = torch.linspace(-1, 1, 6).unsqueeze(0)
    a, b = (counts(n, x)["input/neurons"] for n in (first, other))
    assert not torch.equal(a, b)
    scale = first.sites["input/neurons"].scale
    p = (x / scale).abs()
    sigma = (p * (1 - p) / 400).sqrt()
    for train in (a, b):
        assert bool(((train[-1] / 400 - x / scale).abs() <= 5 * sigma + 1e-6).all())


@pytest.mark.parametrize("name", [n for n in RATE if methods()[n].anytime])
def test_a_run_contains_all_shorter_ones(name: str) -> None:
    _, data, prepared = case(name, "residual")
    data, quick = data[:6], QUICK.get(name, {})
    long = sw.convert(prepared, name, T=9, **quick)
    every = [y[0] for y in simulator(long).over_time(long.check_input(data))]
    for T in (1, 4, 9):
        short = sw.convert(prepared, name, T=T, **quick)
        torch.testing.assert_close(sw.simulate(short, data), every[T - 1], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "gamma"),
    [
        ("burst", 1),
        ("burst", 2),
        ("burst", 5),
        *((n, 1) for n in RATE if n not in {"burst", "casc", "stbp", *QUANTISED}),
    ],
)
def test_no_train_carries_more_than_the_clip_of_the_network(name: str, gamma: int) -> None:
    """ReLU6: λ·N_t/t ≤ 6 + λ/t at every step, also for inputs far beyond the calibrated ones."""
    options = {"gamma": gamma} if name == "burst" else {}
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Linear(6, 16), nn.ReLU6(), nn.Linear(16, 16), nn.ReLU6(), nn.Linear(16, 3)
    ).eval()
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.mul_(8)
    data = torch.randn(24, 6)
    network = sw.convert(model, name, T=20, calibration=data, **options)
    steps = torch.arange(1, 21).reshape(-1, 1, 1)
    trains = counts(network, 4 * data)
    rectified = [n.name for n in network.graph if n.op == ops.RECTIFY]
    assert len(rectified) == 2
    for site in rectified:
        unit = network.sites[site].scale
        value = unit * trains[site] / steps
        assert bool((value <= 6.0 + unit / steps + 1e-5).all())
        if name == "burst":
            assert float(unit) == pytest.approx(6.0 / gamma)
            assert float(value[-1].max()) == pytest.approx(6.0)  # and the clip is reached


def test_a_burst_reaches_beyond_its_scale() -> None:
    """Γ·λ is the most a burst neuron can say; a soft-reset neuron stops at λ."""
    _, data, prepared = case("burst", "mlp")
    largest = {}
    for gamma in (1, 3):
        network = sw.convert(prepared, "burst", T=30, gamma=gamma, scale=sw.Percentile(80.0))
        (node,) = network.spiking_nodes()
        sent = network.sites[node.name].scale * counts(network, data)[node.name][-1] / 30
        largest[gamma] = float((sent / network.sites[node.name].scale).max())
    assert largest[1] == pytest.approx(1.0)
    assert 1.0 < largest[3] <= 3.0


# Misuse


@pytest.mark.parametrize("name", ALL)
def test_a_misspelt_method_names_the_nearest(name: str) -> None:
    wrong = name[:-1] + "x"
    with pytest.raises(UnknownNameError, match=rf"method '{wrong}': not known\. Did you mean") as e:
        configure(wrong)
    assert repr(name) in str(e.value).split("Known:")[0]


@pytest.mark.parametrize("name", ALL)
def test_unknown_options_are_named_with_the_known(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: unknown option\(s\) tau\. Known: .*\bT\b"):
        configure(name, tau=2.0)


@pytest.mark.parametrize("T", [0, -1, 2.5, True])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.usefixtures("unchecked")
def test_time_steps_below_one_are_refused(name: str, T: object) -> None:
    with pytest.raises(ConfigError, match=f"expected a whole number of time steps T .*got T={T}"):
        configure(name, T=T)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("burst", {"gamma": 0}, "gamma: expected a whole number, 1 or more, got 0"),
    ("burst", {"gamma": -2}, "gamma: .* 1 or more, got -2"),
    ("burst", {"gamma": 1.5}, r"gamma: .* 1 or more, got 1\.5"),
    ("rueckauer", {"reset": "soft"}, "reset: expected 'subtract' or 'hard', got 'soft'"),
    ("rmp", {"threshold_factor": 0.0}, r"threshold_factor: expected a number in \(0, 1\], got 0"),
    ("rmp", {"threshold_factor": 1.1}, r"in \(0, 1\], got 1\.1"),
    ("rmp", {"threshold_factor": math.nan}, r"in \(0, 1\], got nan"),
    ("rmp", {"balance_steps": 0}, "balance_steps: .* 1 or more, got 0"),
    ("spike-norm", {"balance_samples": 0}, "balance_samples: .* got 0"),
    ("snn-calibration", {"samples": 0}, "samples: expected a whole number, 1 or more, got 0"),
    ("casc", {"samples": 0}, "samples: expected a whole number, 1 or more, got 0"),
    ("casc", {"sleep": -1}, "steps asleep, 0 or more, got sleep=-1"),
    ("casc", {"sleep": "deep"}, "expected a number of steps or 'settle', got 'deep'"),
    ("stbp", {"leak": 1.5}, r"leak: expected the share of the potential that is left, in \[0, 1\]"),
    ("stbp", {"threshold": 0.0}, "threshold: expected θ > 0, got 0.0"),
    ("stbp", {"v_init": 0.5}, "v_init: expected 0, where trained neurons start"),
    ("snn-calibration", {"v_init": 0.5}, r"v_init: expected 0, the shift of θ/\(2T\)"),
    ("tsc", {"input": "poisson"}, "input: expected 'analog' or 'encoded', got 'poisson'"),
]
NO_RULE = r"scale: expected MinError\(\), Percentile\(q\) or Max\(\), got 99\.9"
EVERY_RATE: list[tuple[dict[str, Any], str]] = [
    ({"v_init": 1.0}, r"v_init: expected a share of the threshold in \[0, 1\), got 1\.0"),
    ({"v_init": -0.1}, r"in \[0, 1\), got -0\.1"),
    ({"v_init": math.nan}, r"in \[0, 1\), got nan"),
    ({"pool": "max"}, "pool: expected 'lateral-inhibition' or .*, got 'max'"),
    ({"input": "spikes"}, "input: expected 'analog' or 'encoded' or 'poisson', got 'spikes'"),
    ({"analog_relays": "all"}, "analog_relays: expected a list of module paths, got the text"),
]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *WRONG,
        *((n, options, message) for n in RATE for options, message in EVERY_RATE),
        *((n, {"scale": 99.9}, NO_RULE) for n in SCALED),
        *((n, {"scale": sw.Max()}, "unknown option") for n in ALL if n not in SCALED),
        ("qcfs", {"v_init": 0.5}, "v_init: expected 0, the trained offset takes its place"),
        ("snn-calibration", {"v_init": 0.5}, "v_init: expected 0, the shift"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_out_of_range_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(name, **options)


@pytest.mark.parametrize("q", [0.0, -1.0, 100.1, math.nan])
def test_percentiles_outside_their_range_are_refused(q: float) -> None:
    with pytest.raises(ConfigError, match=r"percentile rule: expected q in \(0, 100\], got q="):
        sw.Percentile(q)
    with pytest.raises(ConfigError, match=r"percentile rule: expected q in \(0, 100\], got q="):
        configure("burst", scale={"name": "percentile", "q": q})


def test_the_settings_of_one_method_are_not_those_of_another() -> None:
    plain = configure("burst").to_dict()
    with pytest.raises(ConfigError, match="rmp: expected settings of 'rmp' version 1, got 'burst'"):
        methods()["rmp"].from_dict(plain)
    with pytest.raises(ConfigError, match="got 'burst' version 99"):
        methods()["burst"].from_dict({**plain, "version": 99})


@pytest.mark.parametrize("net", NETS)
def test_qcfs_refuses_networks_that_were_not_trained_quantised(net: str) -> None:
    _, _, prepared = case("burst", net)
    number = {"mlp": 1, "conv and max pool": 2, "residual": 3}[net]
    with pytest.raises(UnsupportedModuleError) as refusal:
        sw.convert(prepared, "qcfs")
    text = str(refusal.value)
    assert f"got {number} that were not" in text
    places = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    assert len(places) == number
    wanted = {"mlp": ["1"], "conv and max pool": ["2", "5"], "residual": ["1", "2.body.1", "2.act"]}
    for place, module in zip(places, wanted[net], strict=True):
        assert place.startswith(f"{module} ")


@pytest.mark.parametrize("name", ON_SPIKES)
def test_methods_that_need_the_inputs_themselves_say_so(name: str) -> None:
    _, _, prepared = case(name, "mlp")
    for without in (None, (torch.zeros(0, 6),)):
        bare = dataclasses.replace(prepared, inputs=without)
        with pytest.raises(CalibrationError, match=f"{name}: expected calibration inputs to run"):
            sw.convert(bare, name, T=4)


@pytest.mark.parametrize("name", sorted(set(ALL) - set(ON_SPIKES)))
def test_the_others_need_statistics_only(name: str) -> None:
    _, data, prepared = case(name, "mlp")
    bare = dataclasses.replace(prepared, inputs=None)
    network = sw.convert(bare, name, T=4)
    assert torch.equal(
        sw.simulate(network, data), sw.simulate(sw.convert(prepared, name, T=4), data)
    )


def test_the_base_alone_converts_nothing() -> None:
    with pytest.raises(NotImplementedError):
        MethodConfig().convert(case("burst", "mlp")[2])
