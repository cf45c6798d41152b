# SPDX-License-Identifier: Apache-2.0
"""What outputs are, and what a reference returned beside them."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.tasks.form import SCORES, Form, wanted_of
from tests.unit.evaluation.answering import FORMS, Net, inputs


@pytest.mark.parametrize("name", FORMS)
def test_what_outputs_are_called(name: str) -> None:
    outputs, text = FORMS[name]
    found = wanted_of(Net(outputs)(inputs(2)))
    form = Form.of(found.values, 2)
    wanted = text.replace("true or false", "integers")  # of a reference, 1 and 0
    assert (form.text, form.classes) == (wanted, 0)


def test_class_scores_are_the_only_output_floating_of_two_classes_or_more() -> None:
    assert Form.of([torch.rand(4, 3)], 4) == Form(SCORES, 3)
    assert Form.of([torch.rand(0, 2)], 0) == Form(SCORES, 2)
    for outputs in ([torch.rand(4, 3)] * 2, [torch.rand(4, 3).long()], [torch.rand(4)], []):
        assert Form.of(outputs, 4).classes == 0
    for other in (torch.rand(3, 4), torch.rand(())):
        assert Form.of([other], 4) == Form("numbers that do not start with the batch")


def test_tensors_are_found_in_any_nesting_and_named_by_their_place() -> None:
    class Pair(NamedTuple):
        left: Tensor
        right: Any

    x = torch.rand(2, 3)
    for returned, names in [
        (x, ("output",)),
        ((x, x), ("output 0", "output 1")),
        ({"a": x, "b": [x, None, 3]}, ("a", "b.0")),
        (Pair(x, {"z": x}), ("left", "right.z")),
    ]:
        assert wanted_of(returned).names == names
    for nothing in (None, [], {"a": 1.0}, "text"):
        with pytest.raises(ConfigError, match=r"reference: expected outputs, got \w+ without"):
            wanted_of(nothing)


def test_a_reference_is_cut_like_the_batch_or_refused() -> None:
    x = torch.arange(10).reshape(5, 2)
    first, second = wanted_of({"a": x, "b": x[:, 0]}).cut([3, 2])
    assert first.values[0].tolist() == x[:3].tolist()
    assert second.values[1].tolist() == [6, 8]
    assert wanted_of(torch.ones(())).cut([5]) == [wanted_of(torch.ones(()))]
    for other in (torch.ones(()), torch.ones(4, 2)):
        with pytest.raises(ConfigError, match=r"expected outputs of 5 inputs, got \("):
            wanted_of(other).cut([3, 2])


def test_many_shapes_are_not_all_written() -> None:
    with pytest.raises(ConfigError, match=r"got (\(1,\), ){6}… \(9 of them\)\. Pass"):
        wanted_of([torch.ones(1)] * 9).check([torch.ones(1)])
