# SPDX-License-Identifier: Apache-2.0
"""Counting over inputs: words where neighbours are alike, exact beyond what a narrow sum holds."""

import pytest
import torch

from spikewright.codes import Radix, Rate, Switch
from spikewright.codes.tally import OnesTally, popcount


@pytest.mark.parametrize(
    ("bits", "together"), [(4, 8), (7, 8), (8, 8), (9, 4), (16, 4), (17, 2), (24, 2)]
)
def test_neighbours_that_are_alike_are_told_at_the_first(bits: int, together: int) -> None:
    tally = OnesTally(bits, signed=False, alike=[torch.ones(16)])
    tally.add(torch.full((3, 16), 2.0**bits - 1))
    expected = torch.zeros(16, dtype=torch.int64)
    expected[::together] = 3 * bits * together
    assert torch.equal(tally.total(), expected)


@pytest.mark.parametrize("alike", [None, [torch.arange(16)], [torch.ones(16), torch.arange(16)]])
def test_others_are_told_apart(alike: list[torch.Tensor] | None) -> None:
    tally = OnesTally(8, alike=alike)
    tally.add(torch.arange(16.0).repeat(2, 1))
    assert tally.total().tolist() == [2 * i.bit_count() for i in range(16)]


def test_neighbours_in_memory_are_the_channels_of_maps_that_lie_channels_last() -> None:
    border = torch.ones(8, 3, 3)
    border[:, 1, 1] = 2.0  # the same in every channel
    n = torch.full((2, 8, 3, 3), 5.0)
    last, first = OnesTally(8, alike=[border]), OnesTally(8, alike=[border])
    last.add(n.contiguous(memory_format=torch.channels_last))
    first.add(n)
    assert last.total()[0].unique().tolist() == [32]
    assert not last.total()[1:].any()
    assert first.total().unique().tolist() == [4]


@pytest.mark.parametrize("alike", [None, [torch.ones(8)]])
@pytest.mark.parametrize("inputs", [1, 1022, 1023, 1024, 5000])
def test_more_inputs_than_a_narrow_sum_holds(alike: list[torch.Tensor] | None, inputs: int) -> None:
    tally = OnesTally(16, signed=False, alike=alike)
    n = torch.full((inputs, 8), 65535.0)
    for _ in range(3):
        tally.add(n)
    assert tally.total().sum() == 3 * inputs * 8 * 16


def test_looking_at_the_total_changes_nothing() -> None:
    tally = OnesTally(8)
    tally.add(torch.tensor([[1.0, 3.0]]))
    before = tally.total()
    tally.add(torch.tensor([[1.0, 7.0]]))
    assert before.tolist() == [1, 2]
    assert tally.total().tolist() == tally.total().tolist() == [2, 5]


def test_pieces_join_where_they_were_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    n = torch.randint(-127, 128, (3, 100), generator=torch.Generator().manual_seed(0)).float()
    expected = popcount(n).sum(0, dtype=torch.int64)
    monkeypatch.setattr("spikewright.codes.tally._PIECE", 40)
    apart, together = OnesTally(7), OnesTally(7, alike=[torch.ones(96)])
    apart.add(n)
    together.add(n[:, :96])
    assert torch.equal(apart.total(), expected)
    assert together.total()[::8].tolist() == expected[:96].view(-1, 8).sum(1).tolist()


def test_empty_batches_and_empty_populations() -> None:
    tally = OnesTally(4)
    tally.add(torch.ones(0, 3))
    assert tally.total().tolist() == [0, 0, 0]
    tally.add(torch.ones(2, 3))
    tally.add(torch.ones(0, 3))
    assert tally.total().tolist() == [2, 2, 2]
    none = OnesTally(4)
    none.add(torch.ones(2, 0))
    assert none.total().shape == (0,)


def test_codes_that_are_not_binary_sum_their_counts() -> None:
    n = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    for code, expected in ((Rate(T=4), [3, 3]), (Switch(T=4), [2, 4])):
        tally = code.tally()
        tally.add(n)
        tally.add(n[:1])
        first = code.count(n[0]).tolist()
        assert tally.total().tolist() == [e + f for e, f in zip(expected, first, strict=True)]
    code = Radix(k=1.5, T=6)
    n = code.quantise_(torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) * 20)
    tally = code.tally(signed=False)
    tally.add(n)
    assert torch.equal(tally.total(), code.encode(n).sum((0, 1)).long())


def test_populations_of_one_neuron_without_axes() -> None:
    n = torch.tensor([3.0, 0.0, 5.0])
    for code in (Radix(T=4), Radix(T=4, k=1.5), Switch(T=5)):
        tally = code.tally()
        tally.add(code.quantise_(n.clone()))
        assert tally.total().shape == ()
        assert tally.total() == code.count(code.quantise_(n.clone())).sum()
        assert tally.total() > 0
