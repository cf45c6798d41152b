# SPDX-License-Identifier: Apache-2.0
"""Our reset rules equal those of SpikingJelly, a second implementation, spike for spike.

Its ``IFNode`` subtracts the threshold with ``v_reset=None`` and resets to zero with ``v_reset=0.``.
It fires where v - θ >= 0, so that ties fire as they do here. It is installed by the extra
``peers``; without it these tests are skipped and the run says so.
"""

import importlib
import importlib.util
from types import ModuleType

import pytest
import torch
from torch import Tensor

from spikewright.neurons import Firing, stepping

RESETS = {"if-soft": None, "if-hard": 0.0}


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    """Return SpikingJelly's neurons; skip, with the reason, where it is not installed."""
    if importlib.util.find_spec("spikingjelly") is None:
        pytest.skip('spikingjelly is not installed: pip install "spikewright[peers]"')
    return importlib.import_module("spikingjelly.activation_based.neuron")


def ours(name: str, currents: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return spikes and potentials of every step."""
    neuron, firing = stepping(name), Firing(threshold=threshold)
    state, spikes, potentials = neuron.begin(currents[0], firing), [], []
    for current in currents:
        spikes.append(neuron.step_(state, current, firing, torch.empty_like(current)))
        potentials.append(state["v"].clone())
    return torch.stack(spikes), torch.stack(potentials)


def theirs(peer: ModuleType, name: str, currents: Tensor, threshold: float) -> tuple:
    node = peer.IFNode(v_threshold=threshold, v_reset=RESETS[name]).eval()
    spikes, potentials = [], []
    with torch.no_grad():
        for current in currents:
            spikes.append(node(current))
            potentials.append(node.v.clone())
    return torch.stack(spikes), torch.stack(potentials)


@pytest.mark.parametrize("threshold", [1.0, 0.75, 3.0])
@pytest.mark.parametrize("name", RESETS)
def test_random_currents(peer: ModuleType, name: str, threshold: float) -> None:
    currents = torch.randn(64, 8, 50) * threshold + 0.2
    mine, v = ours(name, currents, threshold)
    other, u = theirs(peer, name, currents, threshold)
    assert torch.equal(mine, other)
    assert torch.equal(v, u)
    assert 0.05 < float(mine.mean()) < 0.95


@pytest.mark.parametrize("threshold", [1.0, 0.5, 1.25])
@pytest.mark.parametrize("name", RESETS)
def test_currents_that_hit_the_threshold_exactly(
    peer: ModuleType, name: str, threshold: float
) -> None:
    """Eighths: every sum is exact, and a good part of the potentials are ties."""
    currents = torch.randint(-4, 9, (64, 8, 50)) / 8
    mine, v = ours(name, currents, threshold)
    other, u = theirs(peer, name, currents, threshold)
    assert torch.equal(mine, other)
    assert torch.equal(v, u)
    before = torch.cat([torch.zeros_like(v[:1]), v[:-1]]) + currents
    assert int((before == threshold).sum()) > 500


@pytest.mark.parametrize("name", RESETS)
def test_the_peer_fires_at_a_tie(peer: ModuleType, name: str) -> None:
    """Should it ever change its rule, this says so before the comparisons above do."""
    tie = torch.ones(1, 1, 1)
    assert theirs(peer, name, tie, 1.0)[0].item() == 1.0
    below = torch.nextafter(tie, torch.zeros(1, 1, 1))
    assert theirs(peer, name, below, 1.0)[0].item() == 0.0


def test_the_two_resets_differ(peer: ModuleType) -> None:
    """The comparison could not fail if the peer ignored its setting."""
    currents = torch.rand(32, 4, 20)
    soft, hard = (theirs(peer, name, currents, 1.0)[0] for name in RESETS)
    assert not torch.equal(soft, hard)
