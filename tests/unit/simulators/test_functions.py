# SPDX-License-Identifier: Apache-2.0
"""Functions and products of values: simulators fire the same trains, near the network itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.network import SpikingNetwork
from spikewright.simulators.collapsed import Collapsed
from spikewright.simulators.layered import LayeredReference
from tests.unit.simulators.functions import FUNCTIONS, NETWORKS, Net, of

ALL = {**{f"function: {name}": of(fn) for name, fn in FUNCTIONS.items()}, **NETWORKS}
X = torch.rand(24, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 2 - 1


def converted(fn: Callable[[Any, Tensor], Any], **options: Any) -> tuple[nn.Module, SpikingNetwork]:
    model = Net(fn).double().eval()
    return model, sw.convert(model, calibration=[X], **{"T": 20, **options})


def tensors(values: Any) -> tuple[Tensor, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)


@pytest.mark.parametrize("name", ALL)
def test_long_trains_compute_the_network_itself(name: str) -> None:
    model, snn = converted(ALL[name])
    with torch.no_grad():
        wanted, got = tensors(model(X)), tensors(snn(X))
    for w, g in zip(wanted, got, strict=True):
        assert float((g - w).norm() / w.norm()) < 1e-4


@pytest.mark.parametrize("name", ALL)
def test_simulators_fire_the_same_trains(name: str, tmp_path: Path) -> None:
    """Also after the network has been to a file."""
    _, snn = converted(ALL[name], T=6)
    verification = sw.verify(snn, X[:8])
    assert verification.agrees, verification.table()
    ticked = LayeredReference(snn)(X)
    for a, b in zip(Collapsed(snn)(X), ticked, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    snn.save(tmp_path / "snn")
    for a, b in zip(tensors(sw.load(tmp_path / "snn")(X)), tensors(snn(X)), strict=True):
        assert torch.equal(a, b)
