# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis suggests: faults planted on purpose, and every suggestion of every method."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import MinError
from spikewright.diagnosis.suggestions import Setup, Suggestion, advice_against
from spikewright.errors import ConfigError
from spikewright.methods import MethodConfig, Prepared, configure, methods
from spikewright.methods.synchronous import SynchronousConfig
from spikewright.network import SpikingNetwork
from spikewright.training.activations import QCFS

NARROW = sw.Percentile(50.0, nonzero=True)
CAUSES = ("inactivated", "clipping", "residual", "pooling", "encoding")


def net(act: type[nn.Module] = nn.ReLU, **options: Any) -> nn.Module:
    """A convolution, a max pool and two layers behind it."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        act(**options),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 6),
        act(**options),
        nn.Linear(6, 3),
    )


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.rand(24, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def plain(inputs: Tensor) -> Prepared:
    return sw.calibrate(net(), inputs)


@pytest.fixture(scope="module")
def trained(inputs: Tensor) -> Prepared:
    return sw.calibrate(net(QCFS, levels=4), inputs)


def setup_of(snn: SpikingNetwork, levels: tuple[int, ...] = ()) -> Setup:
    return Setup(
        T=snn.T,
        k=snn.code.k,
        schedule=snn.schedule.name,
        neuron=snn.neuron_name,
        config=snn.provenance["config"],
        levels=levels,
    )


def offered(setup: Setup) -> list[Suggestion]:
    """All that could be suggested, whatever the cause."""
    return [s for c in CAUSES for a in advice_against(c, setup) for s in a.suggestions]


# Misuse.
def test_a_network_from_a_file_cannot_be_converted_again(plain: Prepared, tmp_path: Path) -> None:
    snn = sw.convert(plain, "burst", T=4)
    snn.save(tmp_path / "snn.safetensors")
    again = Suggestion("T=8", "burst", {"T": 8})
    with pytest.raises(ConfigError, match=r"apply: .* got one from a file or an integer one"):
        sw.apply(sw.load(tmp_path / "snn.safetensors"), again)
    assert sw.apply(snn, again).T == 8
    with pytest.raises(ConfigError, match="unknown option"):
        sw.apply(snn, Suggestion("", "burst", {"reset": "hard"}))


# Faults planted on purpose: method, its settings, and the first thing to try.
FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "scale too small": ("rueckauer", {"T": 64, "scale": NARROW}, "scale=percentile q=95"),
    "threshold too low": ("rmp", {"T": 64, "threshold_factor": 0.1}, "threshold_factor=1"),
    "floored": ("burst", {"T": 4, "scale": sw.Max()}, "v_init=0.5"),
    "floored trains": ("spikeconverter", {"T": 3, "rounding": False}, "rounding=True"),
    "hard reset": ("rueckauer", {"T": 32, "reset": "hard"}, "reset=subtract"),
    "random input": ("burst", {"T": 64, "input": "poisson", "v_init": 0.5}, "input=analog"),
    "too short": ("threshold-relu", {"T": 4, "per_channel": True}, "T=8"),
    "too short a code": ("spikeconverter", {"T": 3}, "T=5"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_suggestion_mends_a_planted_fault(
    fault: str, plain: Prepared, inputs: Tensor
) -> None:
    method, options, text = FAULTS[fault]
    snn = sw.convert(plain, method, **options)
    before = sw.diagnose(snn, inputs)
    first = before.suggestions[0]
    assert first.text.startswith(text)
    mended = sw.apply(snn, first)
    after = sw.diagnose(mended, inputs)
    assert after.output.snr_db > before.output.snr_db + 1.0
    kept = {k: v for k, v in snn.provenance["config"].items() if k not in first.changes}
    assert kept.items() <= mended.provenance["config"].items()


def test_the_first_suggestion_mends_one_scale_for_unequal_channels() -> None:
    """The second channel has a hundredth of the first one's range, and counts as much behind it."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.diag(torch.tensor([1.0, 0.01])))
        model[2].weight.copy_(torch.tensor([[1.0, 100.0]]))
    x = torch.rand(32, 2, generator=torch.Generator().manual_seed(2))
    snn = sw.convert(model, "threshold-relu", T=16, calibration=x)
    before = sw.diagnose(snn, x)
    assert before.layer("1/relu").dead == 0  # no value of the second channel is worth a unit
    first = before.suggestions[0]
    assert first.text == "per_channel=True"
    after = sw.diagnose(sw.apply(snn, first), x)
    assert after.output.snr_db > before.output.snr_db + 10.0


def test_the_first_suggestion_mends_a_gate_by_counts() -> None:
    """Of 1, 1, 1, 1 and 0, 3, 0, 3 the gate passes 5 spikes on, not 6; see test_diagnose.py."""
    eye = torch.eye(2)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    model = model.extend([nn.ReLU(), nn.Unflatten(1, (1, 2)), nn.MaxPool1d(2), nn.Flatten()])
    model = model.append(nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(eye)
        model[2].weight.copy_(torch.diag(torch.tensor([1.0, 3.0])))
        model[7].weight.fill_(1.0)
    seen = torch.tensor([[1.0, 0.0], [0.0, 1 / 3]])
    options: dict[str, Any] = {"T": 4, "scale": sw.Max(), "pool": "accumulated-count"}
    snn = sw.convert(model, "burst", calibration=seen, **options)
    x = torch.tensor([[1.0, 0.5]])
    before = sw.diagnose(snn, x)
    first = before.suggestions[0]
    assert (first.text, first.cause) == ("pool=lateral-inhibition", "pooling")
    after = sw.diagnose(sw.apply(snn, first), x)
    assert before.output.relative_error == pytest.approx((0.25 / 1.5) ** 2)
    assert after.output.relative_error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("method", "T", "enough"), [("spikeconverter", 2, 3), ("tsc", 2, 4)])
def test_trains_as_long_as_the_trained_levels_send_each_of_them(
    method: str, T: int, enough: int
) -> None:
    """4 levels and none: ⌈log2 5⌉ = 3 binary steps, or 4 of equal weight."""
    torch.manual_seed(0)
    layers = (nn.Linear(8, 16), QCFS(4), nn.Linear(16, 16), QCFS(4), nn.Linear(16, 3))
    x = torch.randn(64, 8)
    snn = sw.convert(nn.Sequential(*layers), method, T=T, input="analog", calibration=x)
    first = sw.diagnose(snn, x).suggestions[0]
    assert (first.method, first.changes) == (method, {"T": enough})
    assert sw.diagnose(sw.apply(snn, first), x).output.relative_error < 1e-9


@pytest.mark.parametrize(("method", "T"), [("rueckauer", 8), ("qcfs", 6)])
def test_a_network_trained_with_levels_settles_on_them(
    method: str, T: int, trained: Prepared, inputs: Tensor
) -> None:
    snn = sw.convert(trained, method, T=T)
    found = sw.diagnose(snn, inputs)
    assert {x.levels for x in found.layers if x.kind == "neurons"} == {4}
    first = next(s for s in found.suggestions if s.cause == "residual")
    assert (first.method, first.changes) == ("casc", {"T": 4})
    assert sw.diagnose(sw.apply(snn, first), inputs).output.relative_error < 1e-9


def test_too_little_sleep_is_prolonged() -> None:
    """Large weights of both signs make neurons correct themselves after the input is off."""
    torch.manual_seed(0)
    layers = [m for _ in range(3) for m in (nn.Linear(8, 8), QCFS(8))]
    model = nn.Sequential(*layers, nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6.0)
    x = torch.rand(24, 8)
    snn = sw.convert(model, "casc", T=8, sleep=0, calibration=x)
    found = sw.diagnose(snn, x)
    (first,) = found.suggestions
    assert first.changes == {"sleep": "settle"}
    assert found.output.relative_error > 1e-3
    assert sw.diagnose(sw.apply(snn, first), x).output.relative_error < 1e-9


# Every method.
@pytest.mark.parametrize("method", methods().names())
def test_what_is_suggested_for_a_method_converts_and_runs(
    method: str, plain: Prepared, trained: Prepared, inputs: Tensor
) -> None:
    prepared, levels = (trained, (4,)) if method == "qcfs" else (plain, ())
    short = {f: 8 for f in ("balance_steps", "samples") if hasattr(methods()[method], f)}
    snn = sw.convert(prepared, method, T=6, **short)
    found = offered(setup_of(snn, levels))
    assert bool(found) == (method != "stbp")  # which keeps the settings of its training
    for suggestion in found:
        network = sw.apply(snn, suggestion)
        assert network.provenance["config"] != snn.provenance["config"]
        assert network.provenance["method"] == suggestion.method
        assert bool(sw.simulate(network, inputs[:2]).isfinite().all())
        again = Suggestion(**json.loads(json.dumps(suggestion.to_dict())))
        assert again == suggestion


CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("spikeconverter", {"T": 24}),
    ("spikeconverter", {"T": 23, "extra_step": True}),
    ("spikeconverter", {"T": 36, "k": 1.5}),
    ("spikeconverter", {"T": 8, "k": 1.1, "rounding": False, "per_channel": False}),
    ("spikeconverter", {"T": 8, "scale": sw.Max()}),
    ("tsc", {"T": 100, "scale": sw.Percentile(100.0)}),
    ("burst", {"gamma": 1, "v_init": 0.5, "per_channel": True}),
    ("burst", {"T": 64, "input": "poisson", "analog_relays": ("all",)}),
    ("rueckauer", {"reset": "hard", "scale": MinError(unseen=0.5)}),
    ("rueckauer", {"pool": "lateral-inhibition", "input": "encoded"}),
    ("rmp", {"threshold_factor": 1.0, "balance_samples": 128}),
    ("spike-norm", {"balance_samples": 100}),
    ("snn-calibration", {"scale": sw.Percentile(99.0)}),
    ("casc", {"v_init": 0.0, "sleep": 3, "adapt": True}),
    ("qcfs", {"T": 5}),
]


@pytest.mark.parametrize(("method", "options"), CONFIGS)
@pytest.mark.parametrize("levels", [(), (4,), (4, 8)])
def test_only_what_is_in_range_and_a_change_is_suggested(
    method: str, options: dict[str, Any], levels: tuple[int, ...]
) -> None:
    """Settings are checked when they are built, so building them is the test."""
    config = configure(method, **options)
    if method == "spikeconverter" and hasattr(config, "k"):
        k, schedule, neuron = config.k or 2.0, "layered", "inverse-lif"
    elif method == "tsc":
        k, schedule, neuron = 1.0, "layered", "inverse-lif"
    else:
        k, schedule, neuron = 1.0, _schedule(config), _neuron(config)
    setup = Setup(
        T=getattr(config, "T", 0),
        k=k,
        schedule=schedule,
        neuron=neuron,
        config=config.to_dict(),
        levels=levels,
    )
    for suggestion in offered(setup):
        own = suggestion.method == method
        changed = configure(config if own else suggestion.method, **suggestion.changes)
        assert changed != config
        if suggestion.cause not in ("pooling", "encoding"):
            continue
        assert own
        assert set(suggestion.changes) <= {"pool", "input", "T"}


def _schedule(config: MethodConfig) -> str:
    return str(config.schedule().name) if isinstance(config, SynchronousConfig) else ""


def _neuron(config: MethodConfig) -> str:
    return str(getattr(config, "neuron", str)())


def test_the_first_of_each_finding_come_first(plain: Prepared, inputs: Tensor) -> None:
    """Percentile 85 clips, 3 steps leave charge: either cause has a suggestion among the two."""
    snn = sw.convert(plain, "rueckauer", T=3, scale=sw.Percentile(85.0))
    found = sw.diagnose(snn, inputs)
    causes = [f.suggestions[0].cause for f in found.found if f.suggestions]
    assert sorted(causes) == ["clipping", "residual"]
    assert [s.cause for s in found.suggestions[:2]] == causes
    assert found.to_dict()["suggestions"] == [s.to_dict() for s in found.suggestions]
    changes = [(s.method, s.changes) for s in found.suggestions]
    assert all(changes.count(c) == 1 for c in changes)


def test_advice_that_a_method_cannot_take_is_not_given() -> None:
    def words(method: str, cause: str, **facts: Any) -> str:
        config = configure(method).to_dict()
        given = {"T": 8, "k": 1.0, "schedule": "synchronous", "neuron": "if-soft", **facts}
        return "; ".join(a.text for a in advice_against(cause, Setup(config=config, **given)))

    assert words("stbp", "residual", neuron="lif") == "the settings that it was trained with"
    assert "v_init" not in words("qcfs", "residual")
    assert "scale" not in words("spike-norm", "clipping", neuron="if-hard")
    assert words("spike-norm", "clipping") == "more inputs to balance on (now 32)"
