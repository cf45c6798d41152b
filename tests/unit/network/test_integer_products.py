# SPDX-License-Identifier: Apache-2.0
"""Products of two values in integers: registers that take in whole multiples, and nothing lost."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.network import SpikingNetwork
from spikewright.simulators import Collapsed

Net = Callable[["Layers", Tensor], Tensor]


class Layers(nn.Module):
    """Some layers of six units, and what is made of them."""

    def __init__(self, rest: Net) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.one, self.two, self.three, self.out = (nn.Linear(6, 6) for _ in range(4))
        self.small, self.large = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6, 1)
        with torch.no_grad():
            self.one.weight.mul_(torch.logspace(-1, 1, 6)[:, None])
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self, x)


def squeezed(s: Layers, x: Tensor) -> Tensor:
    """Squeeze and excitation of maps "6 2 2" with a clipped ramp as its gate."""
    y = s.one(x).relu().mT.unflatten(2, (2, 2))
    gate = F.hardsigmoid(s.large(s.small(y.mean((2, 3), keepdim=True)).relu()))
    return s.out((y * gate).mean((2, 3)))


def attention(s: Layers, x: Tensor) -> Tensor:
    """Linear attention of two heads without a softmax, beside a shortcut."""
    x = s.out(x).relu()
    q, k, v = (f(x).unflatten(-1, (2, 3)).transpose(1, 2) for f in (s.one, s.two, s.three))
    found = q.relu() @ (k.relu().mT @ v)
    return s.out((x + s.two(found.transpose(1, 2).flatten(2))).relu())


NETS: dict[str, Net] = {
    "of two branches": lambda s, x: s.out(s.one(x).relu() * s.two(x).relu()),
    "of either sign": lambda s, x: s.out((s.one(x) * s.two(x)).relu()),
    "with all there is": lambda s, x: s.out(
        ((a := s.one(x).relu()) * (b := s.two(x).relu()) + s.three(b) + a + 0.3).relu()
    ),
    "read twice": lambda s, x: s.out((p := s.one(x).relu() * s.two(x)).relu()) + p,
    "returned": lambda s, x: s.one(x).relu() * s.two(x).relu(),
    "squeeze and excitation": squeezed,
    "linear attention": attention,
}


def converted(case: str, **options: object) -> tuple[SpikingNetwork, Tensor]:
    x = torch.randn(24, 4, 6, generator=torch.Generator().manual_seed(1))
    return sw.convert(Layers(NETS[case]).eval(), T=8, calibration=x, **options), x


@pytest.mark.parametrize("case", NETS)
def test_products_in_integers_are_equal_in_all_simulators_and_near(case: str) -> None:
    network, x = converted(case)
    whole, fine = network.to_integer(), network.to_integer(weight_bits=14, input_bits=14)
    assert sw.verify(whole, x[:4]).agrees
    assert Collapsed(whole).arithmetic.startswith("8-bit integers")
    wanted, rough, near = network(x), whole(x), fine(x)
    assert float((near - wanted).norm() / wanted.norm()) < 5e-3
    assert float((rough - wanted).norm() / wanted.norm()) < 0.08
    for node in whole.graph:
        if node.op == ops.HOLD:  # what registers take in is whole multiples of a train
            gain = whole.graph.params[whole.graph[node.inputs[0]].params[0]]
            assert torch.equal(gain, gain.round())


def test_a_register_that_is_read_by_two_products_is_given_to_each() -> None:
    """Their factors differ, and each has steps of its own."""
    net: Net = lambda s, x: s.out(  # noqa: E731
        ((b := s.two(x).relu()) * (s.one(x).relu()) + 0.1 * b * s.three(x).relu()).relu()
    )
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(1))
    network = sw.convert(Layers(net).eval(), T=8, calibration=x)
    whole = network.to_integer()
    assert sw.verify(whole, x[:4]).agrees
    assert float((whole(x) - network(x)).norm() / network(x).norm()) < 0.08


def test_held_values_times_a_train_must_be_exact() -> None:
    """Two trains of 2^T multiply to 2^(2 T): 24 steps leave the integers that float64 holds."""
    x = torch.rand(16, 6)
    model = Layers(NETS["of two branches"]).eval()
    with pytest.raises(ConfigError, match=r"products.*sums below 2\^53.*Use fewer steps"):
        sw.convert(model, T=24, calibration=x).to_integer()


def test_function_units_are_refused_with_their_places_and_products_are_not() -> None:
    x = torch.randn(16, 6)
    net: Net = lambda s, x: s.out(s.one(x).sigmoid() * s.two(x).relu())  # noqa: E731
    network = sw.convert(Layers(net).eval(), T=4, calibration=x)
    with pytest.raises(ConfigError, match=r"work of function units: .*Sigmoid") as error:
        network.to_integer()
    assert "product of" not in str(error.value)
