# SPDX-License-Identifier: Apache-2.0
"""Classes are decided from class scores only; verification compares outputs of every kind."""

import dataclasses
import json
import sys

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.simulators import decided
from spikewright.simulators.agreement import FreeRun
from tests.unit.evaluation.answering import FORMS, converted, inputs


def test_decisions_need_class_scores() -> None:
    scores = torch.tensor([[0.0, 1.0], [3.0, 2.0]])
    assert decided([scores], 2).tolist() == [1, 0]
    assert decided([scores], 3) is None
    for outputs in ([scores, scores], [scores.long()], [scores[:, :1]], [scores[0]], [scores > 0]):
        assert decided(outputs, 2) is None


@pytest.mark.parametrize("method", ["spikeconverter", "burst", "casc"])
@pytest.mark.parametrize("name", FORMS)
def test_every_kind_of_outputs_can_be_verified(name: str, method: str) -> None:
    _, snn = converted(FORMS[name][0], method)
    for network in (snn, snn.to_integer()):
        found = sw.verify(network, inputs(5))
        assert found.agrees
        assert found.decisions_differ is None
        floating = name not in ("argmax", "argmax_map", "indices", "mask")
        assert (found.output_gap is not None) == floating
        integers = name in ("argmax", "argmax_map", "indices", "mask", "tuple", "nested", "many")
        assert found.elements_differ == (0 if integers else None)
        text = found.table()
        assert "decisions" not in text
        assert ("outputs by at most" in text) == floating
        assert ("elements of integer outputs" in text) == integers
        json.dumps(found.to_dict(), allow_nan=False)


def test_class_scores_have_decisions() -> None:
    _, snn = converted(lambda s, _: s)
    found = sw.verify(snn, inputs(5))
    assert (found.agrees, found.decisions_differ, found.elements_differ) == (True, 0, None)
    assert "0 trains and 0 decisions differ, outputs by at most" in found.table()


@pytest.mark.parametrize(
    ("fast", "slow", "gap", "unequal"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), 0.5, None),
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, 2.0]), torch.inf, None),
        (torch.tensor([torch.nan, torch.inf]), torch.tensor([torch.nan, torch.inf]), 0.0, None),
        (torch.tensor([1, 2, 3]), torch.tensor([1, 0, 0]), None, 2),
        (torch.tensor([True, False]), torch.tensor([True, True]), None, 1),
        (torch.ones(0), torch.ones(0), 0.0, None),
    ],
)
def test_what_differs_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    fast: Tensor,
    slow: Tensor,
    gap: float | None,
    unequal: int | None,
) -> None:
    _, snn = converted(FORMS["batch"][0])
    run = FreeRun((fast,), (slow,), 0)
    module = sys.modules["spikewright.simulators.check_layered"]
    monkeypatch.setattr(module, "check_layered", lambda *_: ([], run))
    found = sw.verify(snn, inputs(2))
    assert (found.output_gap, found.elements_differ) == (gap, unequal)
    exact = dataclasses.replace(found, integer=True)
    assert exact.agrees == (not gap and not unequal)
