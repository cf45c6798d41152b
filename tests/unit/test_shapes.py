# SPDX-License-Identifier: Apache-2.0
"""The shapes written in annotations are enforced in tests."""

import pytest
import torch
from jaxtyping import TypeCheckError

from spikewright.neurons.inverse_lif import accumulate_


def test_a_current_of_another_shape_is_caught() -> None:
    with pytest.raises(TypeCheckError):
        accumulate_(torch.zeros(2, 3), torch.zeros(3), 2.0)
