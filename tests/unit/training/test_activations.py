# SPDX-License-Identifier: Apache-2.0
"""Activations for training: the formula forwards, the published gradient backwards."""

import math

import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import ConfigError
from spikewright.functions.staircase import quantised
from spikewright.graph import capture, ops, simplify
from spikewright.graph.sites import find_activations
from spikewright.training.activations import QCFS, ClipFloor, SignedSteps, ThresholdReLU

CAPS = (1.0, 1.7, 0.3)


def staircase(name: str, levels: int, cap: float) -> nn.Module:
    if name == "signed":
        return SignedSteps(levels, cap)
    return ClipFloor(levels, cap) if name == "casc" else QCFS(levels, cap)


def values(cap: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values around and beyond the range, among them edges, both ends and zero."""
    spread = torch.linspace(-2.0, 3.0, 1001, dtype=dtype) * cap
    top = torch.tensor(cap, dtype=torch.float32).to(dtype)
    edges = top * torch.arange(-9, 10) / 8
    return torch.cat([spread, edges, torch.stack([torch.zeros_like(top), top, -top])])


@pytest.mark.parametrize("cap", [0.0, -1.0, math.inf, math.nan])
def test_a_cap_must_be_above_zero(cap: float) -> None:
    with pytest.raises(ConfigError, match=r"cap: expected a finite number above 0"):
        ClipFloor(8, cap)


@pytest.mark.parametrize("levels", [0, -1, 5000])
def test_levels_must_be_in_range(levels: int) -> None:
    with pytest.raises(ConfigError, match=r"qcfs\.levels: expected 1\.\.4096"):
        QCFS(levels)


@pytest.mark.parametrize("name", ["casc", "qcfs", "signed"])
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("levels", [1, 3, 8])
def test_forward_is_the_staircase_bit_for_bit(name: str, cap: float, levels: int) -> None:
    module = staircase(name, levels, cap)
    offset = 0.0 if name == "casc" else 0.5
    x = values(cap)
    expected = quantised(x, float(module.cap.detach()), levels, offset, signed=name == "signed")
    with torch.no_grad():
        assert torch.equal(module(x), expected)
    assert torch.equal(module(x.clone().requires_grad_()), expected)  # the training path


@pytest.mark.parametrize("name", ["casc", "qcfs", "signed"])
def test_an_exported_staircase_is_one_site(name: str) -> None:
    model = nn.Sequential(nn.Linear(3, 5), staircase(name, 8, 1.7), nn.Linear(5, 2)).eval()
    graph = find_activations(simplify(capture(model, torch.zeros(2, 3))))
    kinds = [ops.kind(n) for n in graph if n.shape is not None]
    assert kinds == ["input", "weighted", "site", "weighted"]
    (site,) = [n for n in graph if ops.kind(n) == "site"]
    assert site.op == (ops.RELAY if name == "signed" else ops.RECTIFY)
    expected = {
        "cap": float(torch.tensor(1.7)),
        "levels": 8,
        "offset": 0.0 if name == "casc" else 0.5,
    }
    assert {k: v for k, v in site.kwargs.items() if k in expected} == expected


def test_a_staircase_can_be_exported_while_gradients_are_on() -> None:
    model = nn.Sequential(nn.Linear(3, 5), QCFS(8, 1.7))
    x = torch.randn(4, 3)
    exported = torch.export.export(model, (x,)).module()
    assert torch.equal(exported(x), model(x))


def straight_through(x: Tensor, theta: Tensor, levels: int, offset: float, low: float) -> Tensor:
    """The official codes' way: clip first, then floor with the gradient of the identity."""
    u = (x / theta).clamp(low, 1.0)
    q = torch.floor(u * levels + offset) / levels
    return (u + (q - u).detach()) * theta


@pytest.mark.parametrize("name", ["casc", "qcfs", "signed"])
@pytest.mark.parametrize("cap", CAPS)
def test_the_gradient_is_that_of_the_official_code(name: str, cap: float) -> None:
    module = staircase(name, 8, cap).double()
    low, offset = (-1.0 if name == "signed" else 0.0), (0.0 if name == "casc" else 0.5)
    x = values(cap, torch.float64)
    weights = torch.randn(x.shape, dtype=torch.float64)
    mine = x.clone().requires_grad_()
    (module(mine) * weights).sum().backward()
    theirs = x.clone().requires_grad_()
    theta = module.cap.detach().clone().requires_grad_()
    (straight_through(theirs, theta, 8, offset, low) * weights).sum().backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-12, atol=0.0)
    if name == "qcfs":
        torch.testing.assert_close(module.cap.grad, theta.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cap", [1.0, 1.99, 0.3])
def test_the_gradient_passes_at_both_ends_and_not_beyond(cap: float) -> None:
    module = ClipFloor(8, cap)
    top = module.cap.clone()
    ends = [torch.nextafter(torch.zeros(()), torch.tensor(-1.0)) - 1e-30, torch.zeros(())]
    x = torch.stack([*ends, top, torch.nextafter(top, torch.tensor(9.0))]).requires_grad_()
    module(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("shape", [(64, 3), (4, 3, 5, 5), (2, 3, 4, 5, 2), (0, 3)])
def test_the_threshold_gradient_does_not_depend_on_the_layout(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    found = []
    for moved in (x, x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x):
        module = QCFS(4, 0.8)
        module(moved).square().sum().backward()
        found.append(module.cap.grad)
    torch.testing.assert_close(*found)
    reference = torch.tensor(0.8, requires_grad=True)
    straight_through(x, reference, 4, 0.5, 0.0).square().sum().backward()
    torch.testing.assert_close(found[0], reference.grad)


def test_the_threshold_relu_clips_and_learns_its_top() -> None:
    module = ThresholdReLU(2.0, learned=True)
    x = torch.tensor([-1.0, 0.5, 1.5, 2.5, 7.0], requires_grad=True)
    y = module(x)
    assert y.tolist() == [0.0, 0.5, 1.5, 2.0, 2.0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert module.cap.grad is not None
    assert float(module.cap.grad) == pytest.approx(2.0)  # one for each value that is clipped
    assert "cap" in dict(ThresholdReLU(2.0).named_buffers())


def test_levels_survive_bfloat16() -> None:
    module = ClipFloor(8)
    x = torch.randn(100).to(torch.bfloat16)
    y = module(x.requires_grad_())
    assert y.dtype == torch.bfloat16
    assert torch.equal((y.float() * 8).round(), y.float() * 8)
