# SPDX-License-Identifier: Apache-2.0
"""Additions of products of random trains equal a count of every spike and each of its sums."""

import itertools

import hypothesis.strategies as st
import torch
from hypothesis import example, given, settings
from torch import Tensor

import spikewright as sw
from spikewright.graph import ops
from spikewright.network import SpikingNetwork
from tests.property import fan_out
from tests.property.random_functions import TokenNet, token_nets
from tests.unit.evaluation.transformers import Product

Shape = tuple[int, int]


def counted(by: str, stream: Tensor, other: Shape, *, left: bool) -> int:
    """Go through all sums of a product; add the spikes of the streaming value in each term.

    Args:
        by: ``"matmul"`` or ``"mul"``.
        stream: Spikes of each streaming value.
        other: Shape of the held factor.
        left: Whether the left factor streams.
    """
    a, b = (tuple(stream.shape), other) if left else (other, tuple(stream.shape))
    total = 0
    if by == "matmul":
        for i, j, k in itertools.product(range(a[0]), range(b[1]), range(a[1])):
            total += int(stream[i, k] if left else stream[k, j])
        return total
    for i, j in itertools.product(range(max(a[0], b[0])), range(max(a[1], b[1]))):
        own = stream.shape
        total += int(stream[min(i, own[0] - 1), min(j, own[1] - 1)])
    return total


def network(by: str, left: Shape, right: Shape) -> tuple[SpikingNetwork, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    wide = right[1] if by == "matmul" else max(left[1], right[1])
    model = Product(by, (2, left[1]), (2, right[1]), (wide, 3)).eval()
    inputs = torch.randn(12, left[0], 2), torch.randn(12, right[0], 2)
    return sw.convert(model, T=5, calibration=[inputs]), inputs


def _sender(snn: SpikingNetwork, name: str) -> str:
    """Return whose spikes a factor is: the unit of a scale stands between, or nothing."""
    while snn.graph[name].op == ops.SCALE:
        name = snn.graph[name].inputs[0]
    return name


@given(
    by=st.sampled_from(["matmul", "mul"]),
    size=st.tuples(*[st.integers(1, 4)] * 3),
    narrow=st.sampled_from([(), (0,), (1,), (0, 1)]),
)
@example(by="matmul", size=(4, 2, 1), narrow=())
@example(by="matmul", size=(1, 2, 4), narrow=())
@example(by="mul", size=(3, 2, 1), narrow=(0, 1))
@settings(max_examples=6, deadline=None)
def test_additions_of_a_product(by: str, size: tuple[int, int, int], narrow: Shape) -> None:
    m, k, n = size
    left = (m, k)
    small = (1 if 0 in narrow else m, 1 if 1 in narrow else k)
    right = (k, n) if by == "matmul" else small
    snn, inputs = network(by, left, right)
    found = sw.evaluate(snn, [inputs]).lengths[0]
    (product,) = (x for x in found.layers if x.kind == "product")
    (register,) = (x for x in found.layers if x.kind == "register")
    node = next(x for x in snn.graph if ops.kind(x) == "product")
    held = [ops.kind(snn.graph[a.name]) == "hold" for a in node.args].index(True)
    spikes = fan_out.spikes_of(snn, inputs)
    stream = spikes[_sender(snn, node.args[1 - held].name)].reshape((left, right)[1 - held])
    taken = spikes[_sender(snn, snn.graph[node.args[held].name].inputs[0])]
    assert product.additions == counted(by, stream, (left, right)[held], left=held == 1)
    assert register.additions == int(taken.sum())
    assert product.macs == (m * k * n if by == "matmul" else m * k)
    assert product.held == taken.numel()


@given(net=token_nets())
@example(net=TokenNet(("gate", "attention", "softmax"), 1))
@settings(max_examples=3, deadline=None)
def test_additions_of_a_whole_network_with_functions_and_products(net: TokenNet) -> None:
    """Every spike of a run, every way that it takes: to a membrane, to a register, by a product."""
    model, x = net.build()
    snn = sw.convert(model, T=4, calibration=x)
    found = sw.evaluate(snn, x[:2]).lengths[0]
    assert sum(row.additions for row in found.layers) == fan_out.additions(snn, x[:2]) > 0
