# SPDX-License-Identifier: Apache-2.0
"""However many ticks are folded together: every spike, sum and output of the tick-by-tick run."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.simulators import Simulator, SynchronousReference, Timefold


def network(method: str) -> SpikingNetwork:
    """A network of integers with a max pool, so that no order of sums can matter."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 6), nn.ReLU()
    )
    model = nn.Sequential(*model, nn.Linear(6, 3)).eval()
    return sw.convert(model, method, T=7, calibration=torch.rand(16, 2, 6, 6)).to_integer()


def run(simulator: Simulator, x: Tensor) -> dict[str, Any]:
    """Return every train, what entered and left every population, and the outputs at each step."""
    steps = simulator.network.code.steps
    found: dict[str, Any] = {}

    def count(name: str, t: int, sent: Tensor) -> None:
        train = found.setdefault(f"train of {name}", torch.zeros(steps, *sent.shape[1:]))
        assert not bool(train[t - 1 :].any())
        train[t - 1 : t - 1 + len(sent)] = sent

    def probe(name: str, entered: Tensor, sent: Tensor) -> None:
        found[f"into {name}"], found[f"out of {name}"] = entered, sent

    outputs = simulator.over_time(simulator.network.check_input(x), count, probe)
    found["outputs"] = torch.stack([o[0].clone() for o in outputs])
    assert len(found["outputs"]) == steps
    return found


@pytest.mark.parametrize("method", ["burst", "casc"])
def test_every_spike_is_that_of_the_ticks(method: str) -> None:
    snn, x = network(method), torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    wanted = run(SynchronousReference(snn), x)
    assert len([name for name in wanted if name.startswith("train")]) == 3
    assert len([name for name in wanted if name.startswith("into")]) == 3
    for chunk in (1, 3, None):
        found = run(Timefold(snn, chunk=chunk), x)
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, msg=f"{name}, {chunk} ticks")
        torch.testing.assert_close(Timefold(snn, chunk=chunk)(x.double())[0], wanted["outputs"][-1])


def test_ticks_that_are_folded_together_fit_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    snn = network("burst")
    largest = 4 * 4 * 4
    assert Timefold(snn).chunk(5) == snn.code.steps
    assert Timefold(snn, chunk=50).chunk(5) == snn.code.steps
    monkeypatch.setattr("spikewright.simulators.timefold.FOLDED_ELEMENTS", 3 * 5 * largest)
    assert Timefold(snn).chunk(5) == 3
    assert Timefold(snn).chunk(1000) == 1
    assert Timefold(snn, chunk=1).chunk(1000) == 1
    assert [len(part) for part in Timefold(snn, chunk=3).split(torch.rand(12, 2, 6, 6))] == [4] * 3


def test_there_is_at_least_one_tick() -> None:
    with pytest.raises(ConfigError, match="at least 1 tick, got 0"):
        Timefold(network("burst"), chunk=0)
