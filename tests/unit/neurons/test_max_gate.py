# SPDX-License-Identifier: Apache-2.0
"""The max-pool gate's state and limits; its law is among the property tests."""

import pytest
import torch
from torch.nn import functional as F

from spikewright.codes import Radix
from spikewright.errors import ConfigError
from spikewright.neurons.max_gate import register_type, step


def test_registers_are_as_wide_as_a_train_needs() -> None:
    assert register_type(24, torch.float32, 2.0) is torch.float32
    assert register_type(25, torch.float32, 2.0) is torch.float64
    assert register_type(53, torch.float64, 2.0) is torch.float64
    assert register_type(10**6, torch.float32, 1.0) is torch.float32
    with pytest.raises(ConfigError, match=r"base\^steps <= 2\^53"):
        register_type(54, torch.float64, 2.0)


def test_runs_do_not_share_state() -> None:
    code = Radix(T=6)
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 9, 7, generator=generator) * code.max_value

    def run() -> torch.Tensor:
        state, out = None, []
        for spikes in code.encode(target):
            pooled, state = step(state, spikes, lambda p: F.max_pool2d(p, 3, 2, 1), 2.0)
            out.append(pooled)
        return torch.stack(out)

    first, second = run(), run()
    assert torch.equal(first, second)
    assert torch.equal(first, code.encode(F.max_pool2d(target, 3, 2, 1)))


def test_a_gate_on_counts_instead_of_prefixes_would_be_wrong() -> None:
    # 4 = 100 and 3 = 011: the second fires more often, but the maximum is 4.
    train = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])
    state, out = None, []
    for spikes in train:
        pooled, state = step(state, spikes, lambda p: p.amax(-1, keepdim=True), 2.0)
        out.append(pooled.item())
    assert out == [1.0, 0.0, 0.0]
