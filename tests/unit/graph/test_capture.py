# SPDX-License-Identifier: Apache-2.0
"""Capture: what is refused, and that the caller's model is left as it was."""

import copy
from collections import deque
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import FileFormatError, ShapeError, UnsupportedModuleError
from spikewright.graph import Program, capture, simplify
from spikewright.graph.decode import decode_graph
from tests.property.random_nets import Call


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Says(nn.Module):
    """Returns whatever a function makes of the input."""

    def __init__(self, fn: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.layer, self.fn = nn.Linear(4, 4), fn

    def forward(self, x: Tensor) -> object:
        return self.fn(self.layer(x).relu())


def test_inputs_that_are_missing_are_told() -> None:
    with pytest.raises(UnsupportedModuleError, match=r"pass example=\(first, second"):
        capture(TwoInputs(), torch.rand(2, 4))


@pytest.mark.parametrize("fn", [lambda x: None, lambda x: 7], ids=["None", "number"])
def test_outputs_that_are_no_tensors_are_refused(fn: Callable[[Tensor], object]) -> None:
    with pytest.raises(UnsupportedModuleError, match="returns tensors"):
        capture(Says(fn), torch.rand(2, 4))


def test_a_result_of_another_class_is_named() -> None:
    """Such as the cache of a language model."""
    with pytest.raises(UnsupportedModuleError, match=r"got \['deque'\]\. .*no cache"):
        capture(Says(lambda x: (x, deque([x]))), torch.rand(2, 4))


def test_control_flow_on_data_is_refused() -> None:
    with pytest.raises(UnsupportedModuleError, match="control flow that depends on data"):
        capture(Says(lambda x: x if x.sum() > 0 else -x), torch.rand(2, 4))


def test_an_example_of_a_wrong_size_is_refused() -> None:
    with pytest.raises(UnsupportedModuleError, match=r"input shape \(2, 5\)"):
        capture(nn.Linear(4, 2), torch.rand(2, 5))


@pytest.mark.parametrize("shape", [(4,), (0, 4)])
def test_an_example_without_a_sample_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected a batch of inputs"):
        capture(nn.Linear(4, 2), torch.zeros(shape))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript_is_refused() -> None:
    scripted = torch.jit.trace(nn.Linear(4, 2), torch.rand(1, 4))
    with pytest.raises(UnsupportedModuleError, match="TorchScript"):
        capture(scripted, torch.rand(2, 4))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_named(value: float) -> None:
    model = small()
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = value
    with pytest.raises(UnsupportedModuleError, match=r"NaN or infinity in 0\.weight"):
        sw.inspect(model, torch.rand(2, 2, 4, 4))
    with pytest.raises(UnsupportedModuleError, match=r"NaN or infinity in 0\.weight"):
        sw.convert(model, calibration=torch.rand(2, 2, 4, 4))


def test_the_model_is_left_as_it_was() -> None:
    """Weights, buffers, gradients, hooks and every training flag, through the whole conversion."""
    model, calls = small(), []
    model[1].train()
    model[0].eval()
    model[2].register_forward_hook(lambda *_: calls.append(1))
    model(torch.rand(4, 2, 4, 4)).sum().backward()
    before = copy.deepcopy(model.state_dict())
    grads = [p.grad.clone() for p in model.parameters()]
    flags = [m.training for m in model.modules()]
    versions = [p._version for p in model.parameters()]
    calls.clear()
    network = sw.convert(model, calibration=torch.rand(4, 2, 4, 4), T=4)
    with torch.no_grad():
        for tensor in network.graph.params.values():
            tensor.zero_()  # the network's tensors are its own
    after = model.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    assert [m.training for m in model.modules()] == flags
    assert [p._version for p in model.parameters()] == versions
    assert len(model[2]._forward_hooks) == 1
    calls.clear()
    model(torch.rand(4, 2, 4, 4))
    assert calls == [1]


def test_training_the_model_later_does_not_change_the_graph() -> None:
    model = nn.Linear(3, 2)
    graph = capture(model, torch.rand(1, 3))
    x = torch.rand(2, 3)
    before = Program(graph)(x)[0]
    with torch.no_grad():
        model.weight.zero_()
    assert torch.equal(Program(graph)(x)[0], before)


def test_any_batch_size_runs_and_gives_the_models_numbers() -> None:
    model = small().eval()
    graph = simplify(capture(model, torch.rand(1, 2, 4, 4)))
    for size in (1, 2, 5):
        x = torch.randn(size, 2, 4, 4)
        with torch.no_grad():
            assert torch.equal(Program(graph)(x)[0], model(x))


def test_nodes_name_their_module_and_source_line() -> None:
    graph = capture(nn.Sequential(nn.Linear(3, 2), Call(torch.relu, "relu")), torch.rand(1, 3))
    (relu,) = [n for n in graph if n.op == "aten.relu.default"]
    assert relu.module == "1"
    assert relu.where().startswith("1 (random_nets.py:")


def test_a_graph_survives_json_and_a_damaged_one_is_refused() -> None:
    graph = capture(small(), torch.rand(1, 2, 4, 4))
    again = decode_graph(graph.to_dict(), graph.params)
    assert again.nodes == graph.nodes
    assert again.outputs == graph.outputs
    damaged = graph.to_dict()
    damaged["nodes"][1]["args"] = [{"ref": "nobody"}]
    with pytest.raises(FileFormatError, match="refers to \\['nobody'\\]"):
        decode_graph(damaged, graph.params)
    with pytest.raises(FileFormatError, match="expected the fields inputs, outputs"):
        decode_graph({"nodes": []}, {})


class OneBatch(nn.Module):
    """Reshapes one input by the batch of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(3, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        b = x.shape[0]
        out: Tensor = self.last(
            self.first(x).relu().reshape(b * 2, 3) + self.second(y).reshape(b * 2, -1).relu()
        )
        return out


def test_the_batch_of_one_input_is_that_of_the_other() -> None:
    torch.manual_seed(0)
    model, x = OneBatch().eval(), (torch.randn(16, 4), torch.randn(16, 4))
    network = sw.convert(model, calibration=[x], T=14)
    for size in (16, 1, 5):
        few = tuple(t[:size] for t in x)
        torch.testing.assert_close(network(*few), model(*few).detach(), rtol=1e-2, atol=1e-2)
