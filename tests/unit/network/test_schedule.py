# SPDX-License-Identifier: Apache-2.0
"""The layered schedule: latency, ticks between inputs, delay lines, all from hand-drawn nets."""

import functools

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError, ShapeError
from spikewright.methods import Prepared
from spikewright.network import DelayLine


@functools.cache
def chain(layers: int) -> Prepared:
    """A calibrated chain of linear layers; none of these tests changes it."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(4, 4), nn.ReLU()]
    return sw.calibrate(nn.Sequential(*parts, nn.Linear(4, 2)), torch.rand(8, 4))


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("T", [1, 4])
@pytest.mark.parametrize("extra", [False, True])
def test_a_chain_decides_after_one_train_more_than_it_has_spiking_layers(
    layers: int, T: int, extra: bool
) -> None:
    """Latency (L + 1)·steps; one input every steps ticks with two membranes, 2·steps with one."""
    network = sw.convert(chain(layers), T=T, extra_step=extra)
    schedule, steps = network.timing(), T + extra
    assert schedule.latency_ticks == (layers + 1) * steps
    assert [schedule.decision_tick(t) for t in (1, steps)] == [
        layers * steps + 1,
        (layers + 1) * steps,
    ]
    assert schedule.ticks_per_input(2) == steps
    assert schedule.ticks_per_input(1) == 2 * steps
    assert schedule.delays == ()


def test_each_population_accumulates_and_then_fires_into_the_next() -> None:
    network = sw.convert(chain(2), T=3)
    a, b = (n.name for n in network.spiking_nodes())
    found = {(p.site, p.action): (p.start, p.stop) for p in network.timing().phases(10)}
    assert found.pop((a, "accumulate")) == (10, 13)
    assert found.pop((a, "fire")) == found.pop((b, "accumulate")) == (13, 16)
    assert found.pop((b, "fire")) == (16, 19)
    assert [(action, when) for (_, action), when in found.items()] == [("accumulate", (16, 19))]


def test_encoded_input_does_not_cost_a_train() -> None:
    network = sw.convert(chain(2), T=3, input="encoded")
    assert network.timing().latency_ticks == 9
    assert network.timing().depth["input/neurons"] == 0


@pytest.mark.parametrize("membranes", [0, 3])
def test_membranes_are_one_or_two(membranes: int) -> None:
    schedule = sw.convert(chain(1), T=3).timing()
    with pytest.raises(ConfigError, match="expected 1 or 2 per neuron"):
        schedule.ticks_per_input(membranes)


class Residual(nn.Module):
    """a → b → c, and a's spikes join at c's input, two trains late; a second time at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x).relu()
        c = (self.c(self.b(a).relu()) + a).relu()
        return self.d(c + a)


def test_a_shortcut_is_held_until_the_main_path_arrives() -> None:
    network = sw.convert(Residual(), calibration=torch.rand(8, 4), T=3)
    schedule = network.timing()
    first = network.spiking_nodes()[0].name
    assert sorted(schedule.depth.values()) == [1, 2, 3, 4]
    assert schedule.delays == (DelayLine(first, 3), DelayLine(first, 6))
    assert schedule.latency_ticks == 12
    assert sw.api.verify(network, torch.rand(4, 4)).agrees


def test_the_schedule_is_data_and_can_be_drawn() -> None:
    network = sw.convert(chain(2), T=3)
    data = network.timing().to_dict()
    assert data["latency_ticks"] == 9
    assert data["ticks_per_input"] == {"one membrane": 6, "two membranes": 3}
    assert len(data["phases"]) == 5
    lines = network.timeline(inputs=2).splitlines()
    assert lines[0].split() == ["depth", "0", "3", "6", "9", "ticks"]
    assert [line.split() for line in lines[1:4]] == [
        ["1", "a0", "f0a1", "f1", "."],
        ["2", ".", "a0", "f0a1", "f1"],
        ["3", ".", ".", "a0", "a1"],
    ]


def test_the_pipeline_refuses_what_does_not_fit() -> None:
    network = sw.convert(chain(2), T=3)
    x = [torch.rand(1, 4)] * 3
    with pytest.raises(ConfigError, match="expected at least one input"):
        sw.run_pipelined(network, [])
    with pytest.raises(ConfigError, match="ticks_per_input: expected ≥ 1, got 0"):
        sw.run_pipelined(network, x, ticks_per_input=0)
    with pytest.raises(ConfigError, match=r"has 1 membrane\(s\) and input 1 arrives"):
        sw.run_pipelined(network, x, membranes=1, ticks_per_input=5)
    with pytest.raises(ShapeError, match=r"expected shape \(batch, 4\), got \(1, 5\)"):
        sw.run_pipelined(network, [torch.rand(1, 5)])
