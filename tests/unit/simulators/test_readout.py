# SPDX-License-Identifier: Apache-2.0
"""What a layered network has decided at every step of the last train, from the definition."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.simulators import Collapsed, LayeredReference
from spikewright.simulators.readout import LayeredReadOut


class Reads(nn.Module):
    """Scores of the last train, of an earlier one, and of the input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 5)
        self.late, self.early, self.analog = nn.Linear(5, 3), nn.Linear(6, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        one = self.a(x).relu()
        two = self.b(one).relu()
        scores: Tensor = self.late(two) + self.early(one) + self.analog(x)
        return scores


@pytest.mark.parametrize("kind", [Collapsed, LayeredReference])
def test_scores_hold_what_has_come_of_every_train(kind: type) -> None:
    x = torch.rand(7, 4)
    network = sw.convert(Reads().eval(), T=6, calibration=x)
    readout, code, graph = LayeredReadOut(network), network.code, network.graph
    values = dict(zip(readout.sources, Collapsed(network, outputs=readout.sources)(x), strict=True))
    layers = {n.module: n for n in graph if n.op == "aten.linear.default"}
    found = [o[0].clone() for o in kind(network).over_time(x)]
    assert len(found) == code.steps
    for t, scores in enumerate(found, start=1):
        share = code.share(t)
        wanted = torch.zeros_like(scores)
        for name in ("late", "early", "analog"):
            node = layers[name]
            value = values[node.inputs[0]]
            if name == "late":
                value = code.prefix(value, t) if t < code.steps else value
            elif name == "analog":
                value = value * share
            weight, bias = (graph.params[a.name] for a in node.args[1:3])
            wanted = wanted + value @ weight.T + bias * share
        torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(kind(network)(x)[0], found[-1])
