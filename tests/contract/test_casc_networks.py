# SPDX-License-Identifier: Apache-2.0
"""Law 5 on whole networks: quantised by the training room, converted, counted neuron by neuron.

The levels come from the modules of the quantised ANN itself, not from the converted graph.
"""

import pytest
import torch
from torch import Tensor

import spikewright as sw
from benchmarks._networks import untrained
from spikewright.simulators import settle
from spikewright.training import TrainableNetwork, conversion_ready
from tests.networks import totals

# Shortcuts, max pools, depthwise. Five halvings need 32 pixels; the others are wired alike in 16.
NETWORKS = {"resnet20": 16, "vgg11-half-cifar": 32, "mobilenetv2-cifar": 16}


def pictures(name: str) -> Tensor:
    size = NETWORKS[name]
    return torch.randn(12, 3, size, size, generator=torch.Generator().manual_seed(1))


def levels(ann: TrainableNetwork, x: Tensor, Q: int) -> list[Tensor]:
    """What every site of the ANN sends, in levels, in order of execution."""
    found: list[Tensor] = []
    hooks = [
        site.register_forward_hook(lambda m, i, out: found.append(out / m.cap * Q))
        for site in ann.sites.values()
    ]
    with torch.no_grad():
        ann(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("Q", [8])
def test_every_neuron_of_a_network_sends_the_level_of_the_quantised_ann(name: str, Q: int) -> None:
    model, x = untrained(name), pictures(name)
    ann = conversion_ready(model, x[:2], "casc", Q, calibration=x).eval().double()
    snn = sw.convert(ann, "casc", T=Q, calibration=x[:4].double())
    wanted = levels(ann, x[:3].double(), Q)
    found = totals(snn, x[:3].double())
    assert len(found) == len(wanted)
    for (site, total), level in zip(found.items(), wanted, strict=True):
        assert torch.equal(total, level.round()), site
        assert float((level - level.round()).abs().max()) < 1e-9, site
    assert sum(float(t.abs().sum()) for t in found.values()) > 0
    with torch.no_grad():
        scores = ann(x[:3].double())
    assert torch.allclose(sw.simulate(snn, x[:3].double()), scores, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["vgg11-half-cifar", "mobilenetv2-cifar"])
def test_integers_leave_nothing_to_rounding(name: str) -> None:
    model, x = untrained(name), pictures(name)
    snn = sw.convert(model, "casc", T=8, calibration=x).to_integer()
    at_rest = settle(snn, x[:2])
    found = totals(snn, x[:2])
    assert all(torch.equal(found[n], at_rest.counts[n]) for n in found)
    assert torch.equal(sw.simulate(snn, x[:2]), at_rest.outputs[0])
