# SPDX-License-Identifier: Apache-2.0
"""A program is traced again only where something has to be opened; the graph is the same."""

import copy
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.graph import Graph, capture, simplify
from spikewright.graph.program import Program


class Net(nn.Module):
    """A convolution with batch norm, then what the test says, then a linear layer."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(48, 5)
        self.between = between
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.between(self.norm(self.conv(x))).flatten(1))
        return y


def residual_(x: Tensor) -> Tensor:
    y = x.relu()
    y += x
    return y.relu_()


def twice(x: Tensor) -> Tensor:
    """``x`` itself is read after it was written: both readers see what was written."""
    return x.relu_() + 2 * x


def thrice(x: Tensor) -> Tensor:
    y = 3 * x
    return x.relu_() + y


def through_a_view(x: Tensor) -> Tensor:
    x.flatten(2).relu_()
    return x


AT_ONCE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "in place": F.relu_,
    "residual in place": residual_,
    "read after it was written": twice,
    "dropout": lambda x: F.dropout(x.relu(), 0.5, False),
    "reshape": lambda x: x.relu().reshape(-1, 12, 4).unflatten(1, (3, 4)),
    "merged with the batch": lambda x: x.reshape(-1, 4).relu().reshape(-1, 48),
    "max pool": lambda x: F.max_pool2d(x.relu(), 3, 1, 1),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x.relu(), 4),
    "adaptive average": lambda x: F.adaptive_avg_pool2d(x.relu(), 4),
}
OPENED_FIRST: dict[str, Callable[[Tensor], Tensor]] = {
    "read before and after it was written": thrice,
    "through a view": through_a_view,
    "a gate": lambda x: F.glu(torch.cat((x, x), 1), 1).relu(),
    "other names": lambda x: x.moveaxis(1, 3).relu().moveaxis(3, 1).contiguous(),
}


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with every second trace."""
    found: list[int] = []
    original = torch.export.ExportedProgram.run_decompositions

    def counted(self: torch.export.ExportedProgram, table: object) -> torch.export.ExportedProgram:
        found.append(1)
        return original(self, table)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", counted)
    return found


def as_always_opened(model: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> Graph:
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[capture.__module__], "needs_opening", lambda _: True)
        return capture(copy.deepcopy(model), x)  # a graph of the model itself would be kept


@pytest.mark.parametrize("name", [*AT_ONCE, *OPENED_FIRST])
def test_the_graph_computes_the_model(
    name: str, traces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = Net((AT_ONCE | OPENED_FIRST)[name]).eval(), torch.randn(3, 2, 6, 6)
    graph = capture(model, x)
    assert len(traces) == (name in OPENED_FIRST)
    with torch.no_grad():
        wanted = model(x)
    for found in (graph, as_always_opened(model, x, monkeypatch)):
        for form in (found, simplify(found)):
            torch.testing.assert_close(Program(form)(x)[0], wanted)


@pytest.mark.parametrize("name", AT_ONCE)
def test_it_is_the_graph_that_a_second_trace_would_give(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = Net(AT_ONCE[name]).eval(), torch.randn(3, 2, 6, 6)
    at_once, opened = simplify(capture(model, x)), simplify(as_always_opened(model, x, monkeypatch))
    assert [(n.op, n.shape) for n in at_once] == [(n.op, n.shape) for n in opened]
