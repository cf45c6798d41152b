# SPDX-License-Identifier: Apache-2.0
"""Small networks in integers that hold every operation, and the reader that the docs print."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.network import SpikingNetwork


class Wide(nn.Module):
    """Strides, padding, dilation, groups, depthwise, a projected shortcut, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.b = nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2)
        self.c = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8)
        self.short = nn.Conv2d(4, 8, 1)
        self.d = nn.Conv2d(12, 6, 2, padding="same")
        self.e = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.c(F.relu(self.b(a))) + self.short(a))
        both = torch.cat((F.max_pool2d(a, 3, 1, 1), b), 1)
        return self.end(F.relu(self.d(F.channel_shuffle(both, 3))))

    def end(self, d: Tensor) -> Tensor:
        y: Tensor = self.e(F.avg_pool2d(d, 2, padding=1).mean((2, 3)))
        return y


class Deep(nn.Module):
    """A shortcut that waits for two layers, a signed relay, max over everything."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(2, 3, 3), nn.Conv1d(3, 3, 3, padding=1), nn.Linear(3, 5)
        self.d = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.relu(self.b(a))) + a)
        y: Tensor = self.d(self.c(b.amax(2)))
        return y


class Gated(nn.Module):
    """Products element by element, of a gate that broadcasts, and of two matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b = F.relu(self.a(x)), self.b(x)
        gated = a * F.hardsigmoid(b.mean(1, keepdim=True)) + a
        y: Tensor = self.c((gated @ (b.mT @ a)).mean(1))
        return y


SHAPES: dict[str, tuple[int, ...]] = {
    "Wide": (2, 9, 8),
    "Deep": (2, 12),
    "Small": (2, 8, 7),
    "Gated": (3, 6),
}
Made = Callable[..., tuple[SpikingNetwork, Tensor]]


@pytest.fixture(scope="session")
def made() -> Made:
    """Return a function from a model and settings to its network in integers and inputs."""

    def make(model: type[nn.Module], *, integer: bool = True, **options: object):  # noqa: ANN202
        torch.manual_seed(3)
        x = torch.randn(24, *SHAPES[model.__name__])
        snn = sw.convert(model().eval(), calibration=x, **{"T": 5, **options})
        return (snn.to_integer() if integer else snn), x

    return make


@pytest.fixture(scope="session")
def replay() -> ModuleType:
    """Load the reader of the docs, which knows nothing of this package."""
    path = Path(__file__).parents[3] / "docs" / "replay.py"
    spec = importlib.util.spec_from_file_location("replay", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
