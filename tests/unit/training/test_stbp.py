# SPDX-License-Identifier: Apache-2.0
"""Directly trained networks: the neuron against its equations, and what is trained is what runs."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import spikewright as sw
from spikewright.neurons import Firing, stepping
from spikewright.training import TrainConfig, conversion_ready, load_trained, train
from spikewright.training.stbp import LIF


def net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 4, 2),
    )


def data(count: int = 128) -> tuple[Tensor, Tensor]:
    """Bright left or bright right halves."""
    torch.manual_seed(5)
    y = torch.arange(count) % 2
    x = torch.rand(count, 1, 8, 8)
    x[y == 0, :, :, :4] += 0.7
    x[y == 1, :, :, 4:] += 0.7
    return x, y


@pytest.mark.parametrize("leak", [0.0, 0.5, 1.0])
def test_forward_is_the_neuron_that_simulators_step(leak: float) -> None:
    torch.manual_seed(0)
    currents = torch.randn(6, 3, 5) + 0.3
    neuron, firing = stepping("lif"), Firing(leak=leak)
    state = neuron.begin(currents[0], firing)
    wanted = [neuron.step_(state, c, firing, torch.empty_like(c)) for c in currents]
    found = LIF(6, leak)(currents.flatten(0, 1)).unflatten(0, (6, 3))
    assert torch.equal(found, torch.stack(wanted))
    assert 0 < float(found.mean()) < 1


def test_the_gradient_is_that_of_the_surrogate_written_out() -> None:
    """T = 2, one neuron, θ = 1, τ = ½: v1 = I1, v2 = ½·v1·(1 - s1) + I2, h(v) = [|v - 1| < ½]."""
    i1, i2, leak = 0.75, 0.5, 0.5
    x = torch.tensor([[i1], [i2]], requires_grad=True)
    (LIF(2, leak)(x) * torch.tensor([[2.0], [3.0]])).sum().backward()
    # s1 = 0 as 0.75 < 1; v2 = 0.875; both lie in the window, h = 1.
    # d s2/d v1 = ½·(1 - s1) - ½·v1·h(v1)
    by_first = 2.0 + 3.0 * (leak * 1.0 - leak * i1)
    assert x.grad is not None
    assert x.grad.flatten().tolist() == pytest.approx([by_first, 3.0])


def test_far_from_the_threshold_there_is_no_gradient() -> None:
    x = torch.tensor([[0.4], [0.4], [3.0]], requires_grad=True)
    LIF(3, 0.0)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.0, 0.0, 0.0]


def test_it_learns_is_kept_and_runs_as_a_spiking_network(tmp_path: Path) -> None:
    model, (x, y) = net(), data()
    config = TrainConfig(epochs=6, batch_size=32, lr=0.05, label_smoothing=0.0)
    result = train(
        model, TensorDataset(x, y), activation="stbp", levels=4, config=config, folder=tmp_path
    )
    assert result.history[-1].loss < 0.5 * result.history[0].loss
    with torch.no_grad():
        scores = result.model(x)
    assert float((scores.argmax(1) == y).float().mean()) > 0.9
    again = load_trained(tmp_path / "last.safetensors", model)
    with torch.no_grad():
        assert torch.equal(again(x), scores)

    plain = copy.deepcopy(model)
    plain.load_state_dict(result.model.weights())
    exact = result.model.double()
    snn = sw.convert(plain.double().eval(), "stbp", T=4, calibration=x.double())
    with torch.no_grad():
        wanted = exact(x.double())
    for simulator in ("timefold", "reference"):
        found = sw.simulate(snn, x.double(), simulator=simulator)
        assert torch.allclose(found, wanted, rtol=0, atol=1e-12)


def test_time_steps_are_the_levels_of_a_mean() -> None:
    network = conversion_ready(net(), torch.zeros(2, 1, 8, 8), "stbp", 3).eval()
    sent: list[Tensor] = []
    for site in network.sites.values():
        site.register_forward_hook(lambda m, i, out: sent.append(out))
    with torch.no_grad():
        network(data(4)[0])
    assert [len(s) for s in sent] == [12, 12]  # 3 steps of 4 inputs
    assert all(set(s.unique().tolist()) <= {0.0, 1.0} for s in sent)
