# SPDX-License-Identifier: Apache-2.0
"""The same inputs in every pass, and data that cannot be that."""

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikewright.comparison.inputs import Inputs
from spikewright.errors import CalibrationError, ConfigError
from spikewright.tasks import Classification
from spikewright.tasks.form import Form

X, Y = torch.arange(24.0).reshape(12, 2), torch.arange(12) % 3


def labelled(data: Any, limit: int | None = None) -> Inputs:
    inputs = Inputs(data, limit)
    inputs.task, inputs.form = Classification(), Form("class scores", 3)
    return inputs


def digest(data: Any, limit: int | None = None) -> str:
    inputs = labelled(data, limit)
    for _ in inputs:
        pass
    return inputs.digest


def test_an_iterator_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got an iterator\. Pass a list or a DataLoader"):
        Inputs(iter([X]), None)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="limit: expected at least 1 input, got 0"):
        Inputs([X], 0)


def test_no_data_and_unclean_data() -> None:
    with pytest.raises(CalibrationError, match="data: expected at least one batch, got none"):
        digest([])
    unclean = [X, torch.full((1, 2), float("nan"))]
    with pytest.raises(CalibrationError, match="data: batch 1: expected finite numbers"):
        digest(unclean)


def test_shuffled_data_are_found_out() -> None:
    inputs = Inputs(DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True), None)
    list(inputs)
    with pytest.raises(ConfigError, match="same inputs in the same order in every pass"):
        list(inputs)  # the seed gives another order


def test_the_digest_is_of_inputs_and_labels_however_they_are_batched() -> None:
    pairs = [(X[:5], Y[:5]), (X[5:], Y[5:])]
    assert digest([(X, Y)]) == digest(pairs) == digest(DataLoader(TensorDataset(X, Y), 7))
    others = [
        digest([X]),  # no labels
        digest([(X, Y.flip(0))]),
        digest([(X.flip(0), Y)]),
        digest([(X.double(), Y)]),
        digest([(X.reshape(12, 1, 2), Y)]),
        digest([(X, Y)], limit=11),
    ]
    assert len({digest(pairs), *others}) == 7


def test_the_limit_cuts_inputs_and_labels_alike() -> None:
    pairs = [(X[:5], Y[:5]), (X[5:], Y[5:])]
    batches = list(labelled(pairs, 7))
    assert [tuple(map(len, b)) for b in batches] == [(5, 5), (2, 2)]
    assert torch.equal(torch.cat([b[0] for b in batches]), X[:7])
    assert digest(pairs, 5) == digest([(X[:5], Y[:5])])
    assert digest(X, 100) == digest(X)
