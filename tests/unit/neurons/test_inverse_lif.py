# SPDX-License-Identifier: Apache-2.0
"""The inverse-LIF functions: memory use, broadcasting and misuse."""

import pytest
import torch

from spikewright.errors import UnknownNameError
from spikewright.neurons import InverseLIF, neurons
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_, fire_


def test_functions_work_in_place() -> None:
    v, out = torch.tensor([5.0, 1.0]), torch.full((2,), 9.0)
    assert accumulate_(v, torch.zeros(2), 2.0) is v
    assert begin_fire_(v, 0.5) is v
    assert begin_fire_(v, 0.5, signed=True) is v
    assert fire_(v, 4.0, 2.0, out=out) is out
    assert out.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("signed", [False, True])
def test_thresholds_may_differ_by_channel(signed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(2, 3, 4, 4, generator=generator)
    thresholds = torch.tensor([0.1, 0.5, 1.0]).view(3, 1, 1)
    together = v.clone()
    spikes = fire_(together, thresholds, 1.5, signed)
    for c, threshold in enumerate(thresholds.flatten().tolist()):
        alone = v[:, c].clone()
        assert torch.equal(fire_(alone, threshold, 1.5, signed), spikes[:, c])
        torch.testing.assert_close(alone, together[:, c], rtol=1e-6, atol=1e-6)  # fused or not


def test_silent_neurons_only_grow() -> None:
    v = torch.tensor([0.75, -3.0])
    assert fire_(v, 4.0, 2.0).tolist() == [0.0, 0.0]
    assert v.tolist() == [1.5, -6.0]


def test_zero_stays_silent_under_a_signed_pre_bias() -> None:
    v = begin_fire_(torch.tensor([0.0, -0.0]), torch.tensor(0.5), signed=True)
    assert v.tolist() == [0.0, 0.0]
    assert fire_(v, 1.0, 2.0, signed=True).tolist() == [0.0, 0.0]


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(RuntimeError, match="match"):
        accumulate_(torch.zeros(2), torch.zeros(3), 2.0)


def test_declarations_are_found_by_name() -> None:
    assert neurons()["inverse-lif"] is InverseLIF
    assert dict(InverseLIF.states) == {"v": 0.0}
    assert set(neurons().names()) >= {"inverse-lif", "streaming-max"}
    with pytest.raises(UnknownNameError, match="Did you mean 'inverse-lif'"):
        neurons()["inverse-if"]
