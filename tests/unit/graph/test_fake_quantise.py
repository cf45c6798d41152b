# SPDX-License-Identifier: Apache-2.0
"""Networks of quantisation-aware training: torch's quantisers are staircases."""

import pytest
import torch
from torch import Tensor, nn
from torch.ao import quantization as ao

import spikewright as sw
from spikewright.graph import capture, find_activations, fold_batch_norm, normalise, ops, simplify
from spikewright.graph.fake_quantise import elementary_quantisers, fake_quantised
from tests.unit.graph.spellings import Net, check_equal, inputs, prepared

X = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([0.25, -0.25, 0.75])])


@pytest.mark.parametrize(("scale", "zero", "low", "high"), [(0.5, 0, 0, 7), (0.1, 10, 0, 255)])
def test_the_arithmetic_is_torchs(scale: float, zero: int, low: int, high: int) -> None:
    wanted = torch.fake_quantize_per_tensor_affine(X, scale, zero, low, high)
    torch.testing.assert_close(fake_quantised(X, scale, zero, low, high), wanted)


def test_a_quantised_relu_is_a_site_with_levels() -> None:
    def middle(s: object, y: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(y, 0.1, 0, 0, 255)

    graph = check_equal(Net(1, middle), inputs(1))
    (site,) = [n for n in graph if ops.kind(n) == "site"]
    assert site.kwargs == {"cap": pytest.approx(25.5), "levels": 255, "offset": 0.5}


def test_levels_below_zero_are_moved() -> None:
    def middle(s: object, y: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(y, s.step, s.zero, 0, 63)  # type: ignore[attr-defined]

    zero = torch.tensor(20, dtype=torch.int32)
    model = Net(1, middle, act=False, step=torch.tensor(0.125), zero=zero)
    # 63 levels are those of the longest train; the relay behind rounds to a part of a level.
    graph = check_equal(model, inputs(1), limit=1e-2, T=6)
    (site,) = [n for n in graph if ops.kind(n) == "site"]
    assert site.kwargs == {"cap": 63 * 0.125, "levels": 63, "offset": 0.5}


def trained() -> nn.Module:
    """Return a network after quantisation-aware training, its observers off."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    net.qconfig = ao.get_default_qat_qconfig("fbgemm")  # type: ignore[assignment]
    net = ao.prepare_qat(net.train())
    net(inputs(1, 256))
    return net.eval().apply(ao.disable_observer)


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_quantised_training_converts() -> None:
    model, x = trained(), inputs(1)
    state = {n: t.clone() for n, t in model.state_dict().items()}
    graph = prepared(model, x)
    assert all("levels" in n.kwargs for n in graph if ops.kind(n) == "site")
    network = sw.convert(model, calibration=x, T=10)
    with torch.no_grad():
        wanted = model(x)
    assert float((sw.simulate(network, x) - wanted).norm() / wanted.norm()) < 0.05
    assert all(torch.equal(t, state[n]) for n, t in model.state_dict().items())
    assert not any("forward" in vars(m) for m in model.modules())


@pytest.mark.filterwarnings("ignore")
def test_a_quantiser_that_is_off_does_nothing_and_errors_leave_no_trace() -> None:
    model = trained().apply(ao.disable_fake_quant)
    x = inputs(1)
    graph = find_activations(fold_batch_norm(normalise(simplify(capture(model, x)))))
    assert not any("levels" in n.kwargs for n in graph)
    with pytest.raises(RuntimeError, match="stop"), elementary_quantisers(model):
        raise RuntimeError("stop")
    assert not any("forward" in vars(m) for m in model.modules())
