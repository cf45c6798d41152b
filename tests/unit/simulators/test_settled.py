# SPDX-License-Identifier: Apache-2.0
"""The closed form of a network at rest: where its ticks arrive, and what has no such form."""

from typing import Any

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.simulators import Timefold, settle
from tests.property.random_nets import Call

X = torch.rand(16, 5, generator=torch.Generator().manual_seed(0)).double() - 0.5


def network(act: nn.Module, method: str = "casc", **options: Any) -> SpikingNetwork:
    torch.manual_seed(0)
    front = Call(torch.tanh, "tanh")
    model = nn.Sequential(front, nn.Linear(5, 8), act, nn.Linear(8, 6), act, nn.Linear(6, 3))
    return sw.convert(model.double().eval(), method, T=5, calibration=X, **options)


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("act", [nn.ReLU(), nn.Hardtanh()], ids=["rectified", "signed"])
def test_ticks_arrive_at_the_closed_form(act: nn.Module, integer: bool) -> None:
    snn = network(act)
    snn = snn.to_integer() if integer else snn
    assert snn.code.steps > snn.T
    counts: dict[str, Any] = {}
    run = Timefold(snn).over_time(
        X, lambda name, t, sent: counts.update({name: counts.get(name, 0) + sent.sum(0)})
    )
    outputs = [o[0].clone() for o in run]
    rest = settle(snn, X)
    assert set(rest.counts) == {n.name for n in snn.spiking_nodes()}
    for name, wanted in rest.counts.items():
        assert torch.equal(counts[name], wanted)
        assert int(wanted.max()) <= snn.T
        assert bool((wanted < 0).any()) == isinstance(act, nn.Hardtanh)
    torch.testing.assert_close(outputs[-1], rest.outputs[0])


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [("burst", {}, "the synchronous schedule"), ("casc", {"input": "encoded"}, "enters as spikes")],
)
def test_other_networks_have_no_closed_form(
    method: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        settle(network(nn.ReLU(), method, **options), X)
