# SPDX-License-Identifier: Apache-2.0
"""Where the tops of the activations start: from nothing, from the network, from data."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spikewright.calibration import Max, Percentile
from spikewright.data import Preprocess, from_npz, loader
from spikewright.errors import CalibrationError, ShapeError
from spikewright.models import apply_state, load_state, resnet20
from spikewright.training import conversion_ready
from spikewright.training.activations import QCFS, ClipFloor, SignedSteps, ThresholdReLU
from tests.unit.training.nets import built


def caps(network: nn.Module) -> dict[str, float]:
    return {n: float(t) for n, t in network.state_dict().items() if n.endswith(".cap")}


def test_from_scratch_the_tops_are_one_or_the_networks_own() -> None:
    model, x = built("residual")
    assert set(caps(conversion_ready(model, x)).values()) == {1.0}
    model, x = built("bottleneck")  # three ReLU6, two relays
    assert sorted(caps(conversion_ready(model, x)).values()) == [1.0, 1.0, 6.0, 6.0, 6.0]


@pytest.mark.parametrize(
    ("activation", "kind", "learned"),
    [("casc", ClipFloor, False), ("qcfs", QCFS, True), ("threshold-relu", ThresholdReLU, True)],
)
def test_every_activation_has_its_module(activation: Any, kind: type, learned: bool) -> None:
    network = conversion_ready(*built("bottleneck"), activation, 4)
    modules = [m for m in network.sites.values() if not isinstance(m, SignedSteps)]
    assert len(modules) == 3
    assert all(type(m) is kind for m in modules)
    relays = [m for m in network.sites.values() if isinstance(m, SignedSteps)]
    assert len(relays) == (0 if activation == "threshold-relu" else 2)
    names = {n for n, _ in network.named_parameters() if n.startswith("sites.")}
    assert names == (set(caps(network)) if learned else set())
    assert network.training


def test_calibrated_tops_are_those_of_the_values_seen() -> None:
    """The largest value of an activation of the original model, measured by a hook of our own."""
    model, _ = built("residual")
    batches = [torch.randn(6, 2, 8, 8), torch.randn(3, 2, 8, 8)]
    seen: list[float] = []
    hook = model.get_submodule("act").register_forward_hook(
        lambda *found: seen.append(float(found[2].max()))
    )
    with torch.no_grad():
        for batch in batches:
            model(batch)
    hook.remove()
    network = conversion_ready(model, batches[0], "qcfs", 8, calibration=iter(batches), scale=Max())
    found = caps(network)
    assert found["sites.act-relu.cap"] == pytest.approx(max(seen), rel=1e-6)
    pairs = [(batch, torch.zeros(len(batch))) for batch in batches]
    again = conversion_ready(model, batches[0], "qcfs", 8, calibration=pairs, scale=Max())
    assert caps(again) == found
    whole = torch.cat(batches)
    assert caps(conversion_ready(model, whole, "qcfs", 8, calibration=whole, scale=Max())) == found


def test_a_top_never_exceeds_the_networks_own() -> None:
    model, x = built("bottleneck")
    network = conversion_ready(model, x, "casc", 8, calibration=1000 * x, scale=Percentile(100.0))
    clipped = [float(m.cap) for m in network.sites.values() if isinstance(m, ClipFloor)]
    assert clipped == [6.0, 6.0, 6.0]
    signed = [float(m.cap) for m in network.sites.values() if isinstance(m, SignedSteps)]
    assert min(signed) > 6.0


def test_finer_levels_get_a_higher_top_by_least_error() -> None:
    model, x = built("residual")
    tops = [caps(conversion_ready(model, x, "qcfs", n, calibration=x)) for n in (2, 8, 64)]
    for name in tops[0]:
        assert tops[0][name] < tops[1][name] < tops[2][name]


def test_with_many_levels_and_high_tops_it_is_the_model() -> None:
    model, x = built("residual")
    network = conversion_ready(model, x, "qcfs", 4096, calibration=x, scale=Max()).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x), rtol=0.0, atol=2e-3)


def test_unfit_calibration_data_are_refused() -> None:
    model, x = built("residual")
    with pytest.raises(CalibrationError, match="at least one batch"):
        conversion_ready(model, x, calibration=[])
    with pytest.raises(CalibrationError, match="NaN or infinity"):
        conversion_ready(model, x, calibration=x / 0)
    with pytest.raises(ShapeError, match="calibration batch 1"):
        conversion_ready(model, x, calibration=[x, torch.zeros(2, 3, 8, 8)])


@pytest.mark.slow
def test_a_trained_network_survives_eight_levels(data_dir: Path) -> None:
    """ResNet-20 (91.4 % in full precision) before any training, on 500 test images."""
    model = resnet20().eval()
    path = data_dir / "cifar10_resnet20.safetensors"
    apply_state(model, load_state(path), path.name)
    normalised = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    images = from_npz(data_dir / "cifar10_train_25000.npz", preprocess=normalised)
    test = list(loader(from_npz(data_dir / "cifar10_test_500.npz", preprocess=normalised), 100))
    chosen = [x for x, _ in loader(images, 100, limit=100)]

    def top1(activation: Any, scale: Any = None) -> float:
        network = conversion_ready(
            model, chosen[0], activation, 8, calibration=chosen, scale=scale
        ).eval()
        with torch.no_grad():
            right = sum(int((network(x).argmax(1) == y).sum()) for x, y in test)
        return right / 5.0

    assert top1("qcfs") > 85.0  # rounding loses about 3 points
    floored = top1("casc")
    assert floored > 40.0  # flooring loses half a level everywhere: this is what training mends
    assert floored > top1("casc", Percentile(99.9))  # why least error is the default
