# SPDX-License-Identifier: Apache-2.0
"""Batches: nothing is padded, dropped or shuffled."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data import ArraySet, load_digits, loader
from spikewright.errors import ConfigError


def numbered(count: int) -> Dataset[tuple[Tensor, int]]:
    return ArraySet("numbered", np.arange(count, dtype=np.float32)[:, None], np.arange(count))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "loader.batch_size: expected at least 1, got 0"),
        ({"limit": 0}, "loader.limit: expected at least 1, got 0"),
        ({"workers": -1}, "loader.workers: expected at least 0, got -1"),
    ],
)
def test_a_number_out_of_range(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        loader(numbered(3), **({"batch_size": 2} | settings))


def test_no_items() -> None:
    with pytest.raises(
        ConfigError, match=re.escape("loader.dataset: expected at least one item, got none")
    ):
        loader(numbered(0), 2)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(None, [3, 3, 1]), (5, [3, 2]), (3, [3]), (99, [3, 3, 1])]
)
def test_every_item_once_and_in_order(limit: int | None, sizes: list[int]) -> None:
    batches = list(loader(numbered(7), 3, limit=limit))
    assert [len(labels) for _, labels in batches] == sizes
    labels = torch.cat([labels for _, labels in batches])
    assert labels.tolist() == list(range(sum(sizes)))
    assert labels.dtype == torch.int64
    assert torch.equal(torch.cat([x for x, _ in batches])[:, 0], labels.float())


def test_workers_give_the_same_batches() -> None:
    alone = list(loader(load_digits("test"), 200))
    helped = list(loader(load_digits("test"), 200, workers=2))
    assert all(
        torch.equal(a, b)
        for one, two in zip(alone, helped, strict=True)
        for a, b in zip(one, two, strict=True)
    )
