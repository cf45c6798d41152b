# SPDX-License-Identifier: Apache-2.0
"""Kernels give the operator's numbers, whatever its arguments, and only where they can."""

from typing import Any

import pytest
import torch
from torch import nn

from spikewright.graph import Program, capture, kernels, simplify
from spikewright.graph.ir import Graph


def graph_of(conv: nn.Module, shape: tuple[int, ...]) -> Graph:
    return simplify(capture(nn.Sequential(conv).eval(), torch.randn(2, *shape)))


CASES: list[tuple[Any, tuple[int, ...]]] = [
    (lambda: nn.Conv2d(3, 8, 3), (3, 9, 7)),
    (lambda: nn.Conv2d(3, 8, 3, bias=False), (3, 9, 7)),
    (lambda: nn.Conv2d(4, 6, (1, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 1)), (4, 8, 10)),
    (lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2), (4, 8, 10)),
    (lambda: nn.Conv2d(4, 4, 3, padding="same"), (4, 8, 10)),
    (lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), (6, 5, 5)),
    (lambda: nn.Conv2d(6, 4, 3, padding=1, groups=2), (6, 5, 5)),
    (lambda: nn.ConvTranspose2d(3, 5, 3, stride=2), (3, 5, 6)),
    (lambda: nn.Conv1d(3, 5, 3), (3, 9)),
]


@pytest.mark.parametrize(("make", "shape"), CASES)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_fast_program_gives_the_models_numbers(
    make: Any, shape: tuple[int, ...], batch: int
) -> None:
    conv = make()
    x = torch.randn(batch, *shape)
    graph = graph_of(conv, shape)
    with torch.no_grad():
        (plain,), (fast,) = Program(graph)(x), Program(graph, fast=True)(x)
        expected = conv(x)
    assert torch.equal(plain, expected)
    assert fast.shape == expected.shape
    # Sums of at most 6·9 products of size about 1, in another order.
    assert float((fast - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64])
def test_integers_in_double_precision_have_no_kernel_of_their_own(dtype: torch.dtype) -> None:
    graph = graph_of(nn.Conv2d(3, 8, 3), (3, 9, 7))
    node = next(n for n in graph if n.op.startswith("aten.conv2d"))
    params = {n: t.to(dtype) for n, t in graph.params.items()}
    assert kernels.convolution(graph, node, params) is None


def test_an_older_pytorch_runs_the_operator_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(nn.Conv2d(3, 8, 3), (3, 9, 7))
    node = next(n for n in graph if n.op.startswith("aten.conv2d"))
    monkeypatch.setattr(torch._C, "_has_mkldnn", False)
    assert kernels.convolution(graph, node, graph.params) is None
    x = torch.randn(2, 3, 9, 7)
    with torch.no_grad():
        assert torch.allclose(Program(graph, fast=True)(x)[0], Program(graph)(x)[0], atol=1e-5)


def test_only_convolutions_of_maps_are_laid_out() -> None:
    graph = graph_of(nn.Linear(4, 3), (4,))
    assert all(kernels.laid_out(n, graph.params) is None for n in graph)
