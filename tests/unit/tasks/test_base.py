# SPDX-License-Identifier: Apache-2.0
"""What stands beside a batch is cut as the batch is."""

import torch

from spikewright.tasks import Beside
from spikewright.tasks.form import Wanted


def test_targets_are_cut_as_the_batch_is_lists_and_tensors_alike() -> None:
    wanted = Wanted(("output",), (torch.arange(6.0),))
    for target in (list("abcdef"), torch.tensor(list(b"abcdef"))):
        parts = Beside(target, wanted, labelled=True).cut([3, 1, 2])
        for part, (start, end) in zip(parts, [(0, 3), (3, 4), (4, 6)], strict=True):
            assert list(part.target) == list(target[start:end])
            assert part.wanted is not None
            assert part.wanted.values[0].tolist() == list(range(start, end))
            assert part.labelled


def test_what_is_whole_or_missing_stays_as_it_is() -> None:
    beside = Beside(target=[1, 2])
    assert beside.cut([2]) == [beside]
    assert [part.target for part in Beside().cut([1, 1])] == [None, None]
