# SPDX-License-Identifier: Apache-2.0
"""Small networks around one spelling, converted and compared with themselves."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import Program, capture, find_activations, fold_batch_norm, normalise, ops
from spikewright.graph import simplify as simplified
from spikewright.graph.activation import activate
from spikewright.graph.ir import Graph

Middle = Callable[[Any, Tensor], Tensor]

INPUTS: dict[int, tuple[int, ...]] = {1: (6,), 2: (5, 6), 3: (3, 6, 6)}
"""Shape of a sample by the axes of what the middle gets: 8 features, 5 tokens of 8, 8 channels."""


class Net(nn.Module):
    """A layer with unequal channels, ReLU, the middle, and a linear layer that reads all of it."""

    def __init__(self, axes: int, middle: Middle, act: bool = True, **tensors: Tensor) -> None:
        super().__init__()
        gain = torch.logspace(-1, 1, 8)
        if axes == 3:
            self.first: nn.Module = nn.Conv2d(3, 8, 3, padding=1)
            gain = gain.view(8, 1, 1, 1)
        else:
            self.first = nn.Linear(6, 8)
            gain = gain.view(8, 1)
        with torch.no_grad():
            self.first.weight.mul_(gain)  # type: ignore[operator, union-attr]
        for name, tensor in tensors.items():
            if isinstance(tensor, nn.Module):
                self.add_module(name, tensor)
            elif isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)
        self.middle, self.act = middle, act
        with torch.no_grad():
            size = self.inner(torch.rand(2, *INPUTS[axes])).shape[1]
        self.last = nn.Linear(size, 4)

    def inner(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = self.middle(self, y.relu() if self.act else y)
        return y.reshape(x.shape[0], -1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.inner(x))
        return out


def inputs(axes: int, batch: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(axes)
    return torch.randn(batch, *INPUTS[axes], generator=generator)


def prepared(model: nn.Module, x: Tensor) -> Graph:
    """Return a model's graph as conversion prepares it."""
    return find_activations(fold_batch_norm(normalise(simplified(capture(model.eval(), x)))))


def check_equal(model: nn.Module, x: Tensor, limit: float = 3e-3, T: int = 14) -> Graph:
    """Fail unless the graph and the converted network compute the model, whatever the batch."""
    model = model.eval()
    ready = sw.calibrate(model, x)
    graph = ready.graph
    analog = [ops.describe(n) for n in graph if ops.kind(n) == "analog"]
    assert not analog, analog
    network = sw.convert(ready, T=T)
    with torch.no_grad():
        size = float(model(x).norm()) / len(x) ** 0.5  # of one sample's outputs
    for batch in (x, x[:1], x[3:10]):
        with torch.no_grad():
            wanted = model(batch.clone())
            (exact,) = Program(graph, site=activate)(batch)
        torch.testing.assert_close(exact, wanted, rtol=1e-4, atol=1e-4)
        found = sw.simulate(network, batch)
        assert found.shape == wanted.shape
        assert float((found - wanted).norm()) / len(batch) ** 0.5 < limit * size
    return graph


def check_rewritten(model: nn.Module, *example: Tensor) -> Graph:
    """Fail unless the passes leave what a model computes, whatever the batch; return the graph."""
    graph = find_activations(
        fold_batch_norm(normalise(simplified(capture(model.eval(), tuple(example)))))
    )
    for size in (1, len(example[0])):
        batch = [x[:size] for x in example]
        with torch.no_grad():
            wanted = model(*batch)
            (found,) = Program(graph, site=activate)(*batch)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    return graph
