# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C during an evaluation keeps what is done and counts no batch by halves."""

import signal
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw


def network() -> sw.SpikingNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return sw.convert(model, T=4, calibration=torch.rand(32, 4))


def test_ctrl_c_ends_after_the_batch_at_hand() -> None:
    before = signal.getsignal(signal.SIGINT)

    def batches() -> Iterator[Tensor]:
        yield torch.rand(5, 4)
        signal.raise_signal(signal.SIGINT)
        yield torch.rand(7, 4)
        raise AssertionError("a batch was read after Ctrl-C")

    result = sw.evaluate(network(), batches())
    assert result.interrupted
    assert result.lengths[0].samples == 12
    assert "(interrupted)" in result.table()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    def batches() -> Iterator[Tensor]:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield torch.rand(5, 4)

    with pytest.raises(KeyboardInterrupt):
        sw.evaluate(network(), batches())
