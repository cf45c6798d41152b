# SPDX-License-Identifier: Apache-2.0
"""Results as JSON and back: nothing is lost, and what was changed by hand is found."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import FileFormatError
from spikewright.evaluation.result import LengthResult


def measured(method: str) -> LengthResult:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.rand(20, 4), torch.arange(20) % 3
    snn = sw.convert(model, method, T=4, calibration=x)
    return sw.evaluate(snn, [(x, y)], reference=model).lengths[0]


@pytest.mark.parametrize("method", ["spikeconverter", "burst"])
def test_there_and_back(method: str) -> None:
    result = measured(method)
    assert LengthResult.from_dict(result.to_dict()) == result
    assert LengthResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.pop("agree"), "a field is missing or unknown"),
        (lambda d: d["layers"][0].pop("name"), "a field is missing or unknown"),
        (lambda d: d["layers"][0].update(colour=1), "a field is missing or unknown"),
        (lambda d: d.update(correct=3), "correct is no list"),
        (lambda d: d.update(samples=20.0), "a count is no whole number"),
        (lambda d: d.update(samples=-20), "a count is no whole number"),
        (lambda d: d.update(k="2"), "a count is no whole number"),
        (lambda d: d["layers"][0].update(spikes="1"), "a count is no whole number"),
        (lambda d: d.update(correct=d["correct"][:3]), "a list has not one number for each step"),
        (lambda d: d.update(spikes_by_step=[1]), "a list has not one number for each step"),
        (lambda d: d["correct"].reverse(), "its ratios do not follow from its counts"),
        (lambda d: d.update(extra=1), "its ratios do not follow from its counts"),
        (lambda d: d.pop("accuracy"), "its ratios do not follow from its counts"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_result(edit: Callable[[dict[str, Any]], object], message: str) -> None:
    data = json.loads(json.dumps(measured("burst").to_dict()))
    data.update(correct=[1, 2, 3, 4], accuracy=[n / 20 for n in (1, 2, 3, 4)])
    LengthResult.from_dict(data)
    edit(data)
    with pytest.raises(FileFormatError, match=message):
        LengthResult.from_dict(data)
