# SPDX-License-Identifier: Apache-2.0
"""The trainable copy computes and learns what the original would, and converts like it."""

import copy

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedModuleError
from spikewright.graph import fold_batch_norm, ops, simplify
from spikewright.graph.capture import capture
from spikewright.graph.sites import find_activations, place_sites
from spikewright.training import TrainableNetwork, conversion_ready
from spikewright.training.activations import QCFS, ClipFloor, SignedSteps
from tests.unit.training.nets import NAMES, Bottleneck, Residual, built


def plain(model: nn.Module, x: Tensor) -> TrainableNetwork:
    return conversion_ready(model, x, "relu")


@pytest.mark.parametrize("name", NAMES)
def test_names_parameters_and_buffers_are_those_of_the_model(name: str) -> None:
    model, x = built(name)
    network = plain(model, x)
    assert network.state_dict().keys() == model.state_dict().keys()
    mine, theirs = network.named_parameters(), model.named_parameters()
    assert {n for n, _ in mine} == {n for n, _ in theirs}
    for key, tensor in model.state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor)
    trained = conversion_ready(model, x, "qcfs", 4)
    new = trained.state_dict().keys() - model.state_dict().keys()
    assert new
    assert all(n.startswith("sites.") and n.endswith(".cap") for n in new)


@pytest.mark.parametrize("name", NAMES)
def test_in_evaluation_it_is_the_model(name: str) -> None:
    model, x = built(name)
    with torch.no_grad():
        torch.testing.assert_close(plain(model, x).eval()(x), model(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_in_training_it_is_the_model(name: str) -> None:
    """Outputs, gradients and running statistics after two steps, in float64."""
    model, x = built(name)
    model, x = model.double().train(), x.double()
    network = plain(model, x).train()
    for step in range(2):
        for one in (model, network):
            one.zero_grad()
            one(x * (step + 1)).square().sum().backward()
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(network.get_parameter(key).grad, parameter.grad)
    for key, buffer in model.named_buffers():
        torch.testing.assert_close(network.get_buffer(key), buffer)


def test_the_model_stays_as_it_was() -> None:
    model, x = built("residual")
    model.train()
    before = copy.deepcopy(model.state_dict())
    network = conversion_ready(model, x, "casc", 4).train()
    network(x).sum().backward()
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_frozen_layers_stay_frozen_and_shared_ones_shared() -> None:
    model, x = built("residual")
    model.get_submodule("conv1").requires_grad_(False)
    network = plain(model, x)
    frozen = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1.weight"}
    tied = plain(*built("tied"))
    assert tied.get_parameter("again.weight") is tied.get_parameter("first.weight")


def test_weights_made_of_weights_are_refused_by_name() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.ReLU())
    with pytest.raises(UnsupportedModuleError, match=r"0\.parametrizations\.weight\.original0"):
        conversion_ready(model, torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["sites", "constants"])
def test_names_that_are_taken_are_refused(name: str) -> None:
    model = nn.Sequential()
    model.add_module(name, nn.Linear(2, 2))
    model.add_module("act", nn.ReLU())
    with pytest.raises(UnsupportedModuleError, match=f"{name}.*taken"):
        conversion_ready(model, torch.zeros(2, 2))


def test_a_model_without_activations_is_refused() -> None:
    with pytest.raises(UnsupportedModuleError, match="at least one activation"):
        conversion_ready(nn.Linear(2, 2), torch.zeros(2, 2))


def test_an_own_staircase_is_replaced_with_its_top() -> None:
    model = nn.Sequential(nn.Linear(3, 4), QCFS(16, 2.5), nn.Linear(4, 2))
    network = conversion_ready(model, torch.zeros(2, 3), "casc", 4)
    (site,) = network.sites.values()
    assert isinstance(site, ClipFloor)
    assert (float(site.cap), site.levels) == (2.5, 4)
    with torch.no_grad():
        x = torch.randn(5, 3)
        expected = model[2](ClipFloor(4, 2.5)(model[0](x)))
        assert torch.equal(network.eval()(x), expected)


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("residual", "casc"),
        ("residual", "qcfs"),
        ("bottleneck", "casc"),
        ("bottleneck", "qcfs"),
        ("resnet20", "casc"),
    ],
)
def test_captured_again_every_site_is_found_and_equal(name: str, activation: str) -> None:
    """Also with batch norms folded: the sites lie where conversion would put them."""
    model, x = built(name)
    network = conversion_ready(model, x, activation, 8, calibration=x).eval()  # type: ignore[arg-type]
    graph = find_activations(simplify(capture(network, x)))
    sites = {n.module: n for n in graph if ops.kind(n) == "site"}
    assert sites.keys() == {f"sites.{n}" for n in network.sites}
    for path, node in sites.items():
        module = network.get_submodule(path)
        assert node.kwargs["cap"] == float(module.cap.detach())  # type: ignore[union-attr, operator]
        assert node.kwargs["levels"] == 8
    placed = place_sites(find_activations(fold_batch_norm(simplify(capture(network, x)))))
    spiking = [n for n in placed if n.op in ops.SPIKING_OPS]
    assert {n.module for n in spiking} == sites.keys()  # no relay was missing


def test_relays_stand_behind_the_batch_norm() -> None:
    model, x = built("bottleneck")
    assert isinstance(model, Bottleneck)
    network = conversion_ready(model, x, "casc", 8).eval()
    relays = {n: m for n, m in network.sites.items() if isinstance(m, SignedSteps)}
    assert len(relays) == 2  # behind the stem, and behind the sum
    seen: list[Tensor] = []
    first = next(iter(relays.values()))
    first.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    with torch.no_grad():
        network(x)
        torch.testing.assert_close(seen[0], model.stem(x))
    assert not any(
        isinstance(m, SignedSteps) for m in conversion_ready(model, x, relays=False).sites.values()
    )


@pytest.mark.parametrize("name", ["residual", "bottleneck"])
def test_it_converts_and_verifies(name: str) -> None:
    model, x = built(name)
    network = conversion_ready(model, x, "qcfs", 4, calibration=x).eval()
    for method, options in (("qcfs", {"T": 4}), ("spikeconverter", {"T": 8})):
        snn = sw.convert(network, method, calibration=x, **options)
        assert sw.verify(snn, x).agrees


def test_one_layer_of_neurons_computes_the_trained_staircase() -> None:
    """Under a constant current v(0) = θ/2 gives the staircase exactly; only sums are rounded."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3)), torch.randn(20, 6)
    network = conversion_ready(model, x, "qcfs", 4, calibration=x).eval()
    snn = sw.convert(network, "qcfs", T=4, calibration=x)
    with torch.no_grad():
        torch.testing.assert_close(sw.simulate(snn, x), network(x), rtol=1e-5, atol=1e-6)


def test_a_threshold_relu_converts_to_its_clip() -> None:
    """Deng & Gu's shift makes T steps round to T levels, the top is the trained one."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3)), torch.randn(20, 6)
    network = conversion_ready(model, x, "threshold-relu", calibration=x / 2).eval()
    (site,) = network.sites.values()
    top = float(site.cap.detach())  # type: ignore[operator, union-attr]
    with torch.no_grad():
        hidden = model[0](x).clamp(0, top)
        torch.testing.assert_close(network(x), model[2](hidden))
        assert float(model[0](x).max()) > top  # something is clipped
        snn = sw.convert(network, "threshold-relu", T=512, calibration=x)
        bound = model[2].weight.abs().sum(1).max() * top / 512  # half a level in every neuron
        assert (sw.simulate(snn, x) - network(x)).abs().max() < bound


def test_layers_keep_their_names() -> None:
    model, x = built("residual")
    network = conversion_ready(model, x, "casc", 8).eval()
    modules = {n.module for n in capture(network, x)}
    assert {"conv1", "bn1", "pool", "conv2", "bn2", "head"} <= modules


def test_a_copy_is_independent_and_digests_tell_architectures_apart() -> None:
    model, x = built("residual")
    network = conversion_ready(model, x, "casc", 8)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        twin.get_parameter("head.weight").zero_()
    assert bool(network.get_parameter("head.weight").any())
    assert twin.digest() == network.digest()
    assert conversion_ready(model, x, "casc", 4).digest() != network.digest()
    wider = Residual()
    wider.pool = nn.MaxPool2d(2, stride=1)
    assert conversion_ready(wider.eval(), x, "casc", 8).digest() != network.digest()
