# SPDX-License-Identifier: Apache-2.0
"""What counts as a difference: shares of the largest value, in any unit."""

import dataclasses

import pytest
import torch
from torch import nn

from spikewright.errors import VerificationError
from spikewright.graph import capture, find_activations, simplify
from spikewright.graph.equality import check_rewritten


@pytest.mark.parametrize("layer", ["0", "2"])
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_a_wrong_weight_is_seen_in_any_unit(unit: float, layer: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)
    ).eval()
    x = unit * torch.rand(5, 4)
    raw = capture(model, x)
    graph = find_activations(simplify(raw))
    with torch.no_grad():
        wanted = [model(x)]
    assert check_rewritten(raw, graph, [x], wanted) < 1e-5
    node = next(n for n in graph if n.module == layer and n.op == "aten.linear.default")
    wrong = graph.fresh_param("wrong", graph.params[node.args[1].name] * 1.01)
    graph.update(dataclasses.replace(node, args=(node.args[0], wrong, *node.args[2:])))
    with pytest.raises(VerificationError, match=rf"^{layer} .*got a difference of 0\.0"):
        check_rewritten(raw, graph, [x], wanted)
