# SPDX-License-Identifier: Apache-2.0
"""Which factor of a product streams: the one that causes fewer additions, near-ties the quicker."""

import pytest
import torch

import spikewright as sw
from spikewright.calibration import SiteObserver
from spikewright.graph import ops
from spikewright.methods.streams import spikes_per_neuron
from spikewright.network import SpikingNetwork
from tests.unit.evaluation.transformers import Product


def converted(
    left: int, right: int, off: tuple[float, float] = (0.0, 0.0), inner: int = 6
) -> tuple[SpikingNetwork, tuple[torch.Tensor, torch.Tensor]]:
    """Return a product of matrices, ``left`` times ``inner`` and ``inner`` times ``right``."""
    torch.manual_seed(0)
    model = Product("matmul", (4, inner), (4, right), (right, 3), off).eval()
    inputs = torch.randn(64, left, 4), torch.randn(64, inner, 4)
    return sw.convert(model, T=6, calibration=[inputs], per_channel=False), inputs


def held(snn: SpikingNetwork) -> str:
    (node,) = (n for n in snn.graph if ops.kind(n) == "product")
    left = ops.kind(snn.graph[node.args[0].name]) == "hold"
    return "left" if left else "right"


@pytest.mark.parametrize(("off", "wanted"), [((1.5, 0.0), "right"), ((0.0, 1.5), "left")])
def test_the_sparse_factor_streams(off: tuple[float, float], wanted: str) -> None:
    snn, inputs = converted(6, 6, off)
    assert held(snn) == wanted
    (chosen,) = snn.provenance["products"]
    assert chosen["additions"] < chosen["otherwise"]
    # It is what then happens: calibration saw the same inputs.
    found = sw.evaluate(snn, [inputs]).lengths[0]
    own = [x.additions for x in found.layers if x.kind in ("product", "register")]
    assert sum(own) / found.samples == pytest.approx(chosen["additions"], rel=0.05)
    assert f"held in registers: 1 {wanted} factor" in snn.summary()


def test_the_other_way_round_costs_what_was_expected() -> None:
    """A 1×6 row times a 6×9 matrix: the matrix streams, 1 addition a spike, and not 9."""
    snn, inputs = converted(1, 9)
    assert held(snn) == "left"
    found = sw.evaluate(snn, [inputs]).lengths[0]
    product, register = (
        next(x for x in found.layers if x.kind == kind) for kind in ("product", "register")
    )
    row, matrix = register.additions, product.additions
    (chosen,) = snn.provenance["products"]
    assert (9 * row + matrix) / found.samples == pytest.approx(chosen["otherwise"], rel=0.05)


def test_near_ties_hold_the_shallower_factor() -> None:
    """Elementwise both ways cost the same; the left factor is one population deeper here."""

    class Gate(torch.nn.Module):
        def __init__(self, *, deep_first: bool) -> None:
            super().__init__()
            self.a, self.b, self.c = (torch.nn.Linear(4, 4) for _ in range(3))
            self.out, self.deep_first = torch.nn.Linear(4, 2), deep_first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            deep, shallow = self.b(self.a(x).relu()).relu(), self.c(x).relu()
            return self.out(deep * shallow if self.deep_first else shallow * deep)

    torch.manual_seed(0)
    x = torch.randn(64, 4)
    found = [
        sw.convert(Gate(deep_first=d), T=6, calibration=x, per_channel=False) for d in (True, False)
    ]
    assert [held(snn) for snn in found] == ["right", "left"]
    assert len({snn.timing().latency_ticks for snn in found}) == 1


def test_spikes_of_a_neuron_by_its_histogram() -> None:
    """Levels of 4 bits, each as often: 32 ones in 16 numbers."""
    snn = sw.convert(
        torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU(), torch.nn.Linear(1, 1)),
        T=4,
        calibration=torch.rand(8, 1),
        scale=sw.Max(),
    )
    site = next(s for n, s in snn.sites.items() if snn.graph[n].op == ops.RECTIFY)
    levels = torch.arange(16.0) * float(site.scale) / 15
    observer = SiteObserver(channel_axis=None, signed=False)
    observer.observe(levels)
    assert spikes_per_neuron(site, observer) == 2.0
