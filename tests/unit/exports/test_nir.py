# SPDX-License-Identifier: Apache-2.0
"""What is said in NIR, and what is refused because it has no word there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports import nir_model
from spikewright.network import SpikingNetwork

X = torch.rand(8, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def chain(*middle: nn.Module, **options: Any) -> SpikingNetwork:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), *middle, nn.Conv2d(4, 3, 3), nn.ReLU())
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    return sw.convert(model, calibration=X, **{"method": "rueckauer", "T": 4, **options})


def test_a_hard_reset_is_one_node_with_the_next_smaller_threshold(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    found = sw.export(chain(reset="hard", v_init=0.25), tmp_path / "out", to="nir")
    graph = nir.read(tmp_path / "out" / "network.nir")
    assert found.manifest["steps"] == 4
    assert found.program is None
    assert "network.nir" in found.table()
    for said in found.manifest["populations"].values():
        node = graph.nodes[said["node"]]
        assert said["form"] == type(node).__name__ == "IF"
        assert set(node.v_reset.flatten()) == {np.float32(-0.25)}
        assert set(node.v_threshold.flatten()) == {np.nextafter(np.float32(0.75), np.float32(0))}
        assert np.allclose(node.r * found.manifest["dt"], 1)


def test_a_soft_reset_is_an_integrator_that_its_spikes_are_taken_from(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    found = sw.export(chain(), tmp_path / "out", to="nir")
    graph = nir.read(tmp_path / "out" / "network.nir")
    for said in found.manifest["populations"].values():
        name = said["node"]
        assert said["form"] == "I, Threshold, Scale"
        assert {type(graph.nodes[n]) for n in (name, f"{name}_v", f"{name}_reset")} == {
            *(nir.Threshold, nir.I, nir.Scale)
        }
        loop = {(f"{name}_v", name), (name, f"{name}_reset"), (f"{name}_reset", f"{name}_v")}
        assert loop <= set(graph.edges)
        assert set(graph.nodes[f"{name}_reset"].scale.flatten()) == {-1.0}


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, :2], x[:, 2:] * 0.5), 1)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: chain(method="burst"), r"of burst neurons: each sends several spikes in a step"),
        (lambda: chain(input="poisson"), r"of poisson neurons: each draws random numbers"),
        (lambda: chain(nn.MaxPool2d(2)), r"NIR has no maximum; use average pooling"),
        (lambda: chain(nn.Conv2d(4, 4, 1)), r"relay .*sends signed spikes; NIR's are 0 or 1"),
        (
            lambda: chain(nn.Conv2d(4, 4, 1), analog_relays=("all",)),
            r"relay left analog sends no spikes",
        ),
        (lambda: chain(nn.Conv2d(4, 4, 1, groups=2), nn.ReLU()), r"in groups, whose shapes"),
        (lambda: chain(nn.Conv2d(4, 4, (3, 1)), nn.ReLU()), r"nir .* does not take the graph"),
        (lambda: chain(Twice()), r"NIR moves no elements, it only flattens"),
    ],
)
def test_what_nir_has_no_word_for_is_refused_with_the_reason(
    make: Callable[[], SpikingNetwork], why: str, tmp_path: Path
) -> None:
    pytest.importorskip("nir")
    with pytest.raises(UnsupportedModuleError, match=why):
        sw.export(make(), tmp_path / "out", to="nir")
    assert list(tmp_path.iterdir()) == []


def test_other_kinds_of_networks_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("nir")
    for snn, why in (
        (chain(method="spikeconverter"), r"expected the synchronous schedule, .* layered"),
        (chain(method="casc"), r"expected the synchronous schedule, .* wake-sleep"),
        (chain().to_integer(), r"one in integers, whose inputs are rounded"),
    ):
        with pytest.raises(ConfigError, match=why):
            sw.export(snn, tmp_path / "out", to="nir")


def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    snn = chain()
    monkeypatch.setattr(nir_model, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install spikewright\[nir\]"):
        sw.export(snn, tmp_path / "out", to="nir")
