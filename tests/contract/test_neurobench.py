# SPDX-License-Identifier: Apache-2.0
"""Additions and multiply-adds against NeuroBench, an independent counter.

The spikes of a tick-by-tick run are fed to the layers that receive them, and NeuroBench's own
hooks and metric count. Where its definitions are ours, every number is equal: synaptic operations
of unit spikes through convolutions (strides, padding, groups) and linear layers. They differ where
its metric looks at a layer's input alone, and each difference is tested here:

* a burst of s spikes is one multiply-add a synapse to it and s additions here;
* an analog input counts in every tick and without its zeros; here once and with them;
* a weight of value zero is no synapse to it; here it is;
* it does not see wires without a layer: shortcuts and average pooling have no synapses to it.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.evaluation import LengthResult
from spikewright.network import SpikingNetwork
from spikewright.simulators import LayeredReference, simulator

pytest.importorskip("neurobench", reason="NeuroBench is not installed (extra: crosscheck)")

from types import SimpleNamespace

from neurobench.hooks.layer import LayerHook
from neurobench.metrics.workload import SynapticOperations


class Net(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=bias)
        self.two = nn.Conv2d(4, 6, 3, padding=2, groups=2)
        self.three = nn.Conv2d(6, 5, (2, 3), stride=(1, 2), dilation=(2, 1))
        self.last = nn.Linear(5 * 5 * 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.three(self.two(self.one(x).relu()).relu()).relu()
        return self.last(x.flatten(1))


def spikes_of(snn: SpikingNetwork, x: Tensor) -> dict[str, list[Tensor]]:
    """Return every population's spikes, tick by tick, shaped for the layer that reads them."""
    found: dict[str, list[Tensor]] = {}

    def watch(name: str, t: int, sent: Tensor) -> None:
        found.setdefault(name, []).append(sent.clone())

    given = snn.check_input(x)
    if snn.schedule.name == "layered":
        LayeredReference(snn)(given, watch)
    else:
        run = simulator(snn, "reference").over_time(given, lambda n, t, s: watch(n, t, s[0]))
        assert len(list(run)) == snn.code.steps
    return found


def neurobench(
    layers: Sequence[nn.Module], trains: Sequence[Sequence[Tensor]], samples: int
) -> dict[str, float]:
    """Let NeuroBench count what trains do in the layers that read them."""
    hooks = [LayerHook(layer) for layer in layers]
    with torch.no_grad():
        for layer, train in zip(layers, trains, strict=True):
            for spikes in train:
                layer(spikes.flatten(1) if isinstance(layer, nn.Linear) else spikes)
    metric = SynapticOperations()
    found: dict[str, float] = metric(
        SimpleNamespace(connection_hooks=hooks), None, (torch.empty(samples),)
    )
    return found


def setting(method: str, **options: object) -> tuple[Net, SpikingNetwork, Tensor, LengthResult]:
    torch.manual_seed(3)
    model, x = Net(), torch.rand(6, 2, 10, 10)
    snn = sw.convert(model, method, calibration=x, **options)
    return model, snn, x, sw.evaluate(snn, x).lengths[0]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("spikeconverter", {"T": 5}),
        ("rueckauer", {"T": 12, "reset": "hard"}),
        ("rmp", {"T": 12}),
        ("burst", {"T": 12, "gamma": 1}),
        ("casc", {"T": 6}),  # its spikes of both signs, and those asleep
    ],
)
def test_additions_of_unit_spikes_are_equal(method: str, options: dict[str, object]) -> None:
    model, snn, x, found = setting(method, **options)
    sent = spikes_of(snn, x)
    trains = [sent[name] for name in ("relu", "relu_1", "relu_2")]
    theirs = neurobench([model.two, model.three, model.last], trains, len(x))
    ours = sum(layer.additions for layer in found.layers)
    assert ours > 0
    assert theirs["Effective_ACs"] * len(x) == ours
    assert theirs["Effective_MACs"] == 0


def test_multiply_adds_of_the_original_are_equal() -> None:
    """Where no input and no weight is zero, and padding counts for nothing, to both."""
    model, _, x, found = setting("spikeconverter", T=4)
    values: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(lambda m, args: values.append(args[0] + 1.5))
        for layer in (model.one, model.two, model.three, model.last)
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    layers = [model.one, model.two, model.three, model.last]
    theirs = neurobench(layers, [[v] for v in values], len(x))
    assert theirs["Effective_MACs"] == found.macs


def test_a_burst_is_one_multiply_add_to_it_and_several_additions_here() -> None:
    model, snn, x, found = setting("burst", T=12, gamma=4, scale=sw.Percentile(q=60.0))
    sent = spikes_of(snn, x)
    trains = [sent[name] for name in ("relu", "relu_1", "relu_2")]
    assert max(float(s.max()) for train in trains for s in train) > 1
    layers = [model.two, model.three, model.last]
    theirs = neurobench(layers, trains, len(x))
    ours = sum(layer.additions for layer in found.layers)
    assert theirs["Effective_MACs"] > 0
    assert (theirs["Effective_MACs"] + theirs["Effective_ACs"]) * len(x) < ours
    # Sent as unit spikes, one after the other, it is the same number.
    units = [[(s > i).to(s.dtype) for s in train for i in range(int(s.max()))] for train in trains]
    assert neurobench(layers, units, len(x))["Effective_ACs"] * len(x) == ours


def test_an_analog_input_counts_every_tick_to_it_and_once_here() -> None:
    model, snn, x, found = setting("rueckauer", T=7)
    zeros = x.clone()
    zeros[:, 0, 2:5] = 0.0
    theirs = neurobench([model.one], [[x + 1.5] * snn.code.steps], len(x))
    assert theirs["Effective_MACs"] == 7 * found.analog_macs
    assert neurobench([model.one], [[zeros]], len(x))["Effective_MACs"] < found.analog_macs


def test_a_weight_of_zero_is_no_synapse_to_it() -> None:
    torch.manual_seed(3)
    model, x = Net(), torch.rand(6, 2, 10, 10)
    with torch.no_grad():
        model.two.weight[:, :, 1, 1] = 0.0
    snn = sw.convert(model, T=4, calibration=x)
    found = sw.evaluate(snn, x).lengths[0]
    ours = next(layer for layer in found.layers if layer.name == "two").additions
    theirs = neurobench([model.two], [spikes_of(snn, x)["relu"]], len(x))
    assert theirs["Effective_ACs"] * len(x) < ours
