# SPDX-License-Identifier: Apache-2.0
"""What a population sends wrongly, by cause, on numbers by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.codes import Rate
from spikewright.diagnosis.split_error import Split, split_error
from spikewright.graph import Node, ops
from spikewright.network import Site

T = 4.0
SCALE, THETA = 2.0, 0.5  # a spike is worth λ/T = 0.5, and costs θ


def split(
    z: list[float], sent: list[float], *, op: str = ops.RECTIFY, added: float = 0.0, **site: Any
) -> Split:
    """Split what neurons sent that were driven by z, in the original network's numbers."""
    node = Node(name="site", op=op, kwargs={"cap": 6.0})
    population = Site(
        name="site",
        code=Rate(T=int(T)),
        signed=op == ops.RELAY,
        scale=torch.tensor(SCALE),
        threshold=torch.tensor(THETA),
        pre_bias=torch.tensor(0.0),
        **site,
    )
    entered = (torch.tensor([z]) + added) * T / SCALE * THETA
    return split_error(
        node, population, torch.tensor(SCALE), T, entered, torch.tensor([sent]), added
    )


def only(found: Split) -> dict[str, list[float]]:
    """The causes that took part in some neuron."""
    return {name: part[0].tolist() for name, part in found.own.items() if bool(part.any())}


def test_what_spikes_stand_for_and_what_should_have_been_sent() -> None:
    found = split([-1.0, 0.75, 1.5, 7.0], [0.0, 1.0, 3.0, 4.0])
    assert found.value.dtype == torch.float64
    assert found.value[0].tolist() == [0.0, 0.5, 1.5, 2.0]
    assert found.ideal[0].tolist() == [0.0, 0.75, 1.5, 6.0]
    assert only(found) == {"residual": [0.0, -0.25, 0.0, 0.0], "clipping": [0.0, 0.0, 0.0, -4.0]}


def test_spikes_without_a_drive_are_of_inactivated_neurons() -> None:
    found = split([-1.0, 0.0, 0.25, -1.0], [1.0, 2.0, 2.0, 0.0])
    assert only(found) == {
        "inactivated": [0.5, 1.0, 0.0, 0.0],
        "residual": [0.0, 0.0, 0.75, 0.0],
    }


def test_an_on_off_pair_may_send_below_zero_and_clips_on_both_sides() -> None:
    found = split([-1.0, -3.0, 3.0, -2.0], [-1.0, -4.0, 4.0, -4.0], op=ops.RELAY)
    assert found.ideal[0].tolist() == [-1.0, -3.0, 3.0, -2.0]
    assert only(found) == {"residual": [0.5, 0.0, 0.0, 0.0], "clipping": [0.0, 1.0, -1.0, 0.0]}
    assert set(found.own) == {"clipping", "residual"}


def test_an_input_below_zero_cannot_be_sent_without_a_sign() -> None:
    found = split([-1.0, 0.5], [0.0, 1.0], op=ops.INPUT_SITE)
    assert only(found) == {"clipping": [1.0, 0.0]}


@pytest.mark.parametrize(("gamma", "clipped"), [(1, [-1.0, -4.0]), (2, [0.0, -2.0])])
def test_bursts_reach_further(gamma: int, clipped: list[float]) -> None:
    found = split([3.0, 6.0], [4.0 + 2 * (gamma - 1), 4.0 * gamma], gamma=gamma)
    assert only(found)["clipping"] == clipped


def test_a_value_at_the_top_is_not_clipped() -> None:
    """Rounding may put it a millionth above."""
    found = split([2.0, 2.0 * (1 + 5e-7), 2.0 * (1 + 1e-4)], [3.0, 3.0, 3.0])
    assert (found.own["clipping"][0] != 0).tolist() == [False, False, True]
    assert (found.own["residual"][0] != 0).tolist() == [True, True, False]


def test_what_a_method_added_is_no_drive() -> None:
    plain, shifted = (split([-0.25, 1.0], [1.0, 2.0], added=a) for a in (0.0, 0.75))
    torch.testing.assert_close(shifted.ideal, plain.ideal)
    assert only(shifted) == only(plain) == {"inactivated": [0.5, 0.0]}


def test_every_neurons_error_has_one_cause(seeded: int) -> None:
    z: Tensor = torch.randn(200) * 3
    found = split(z.tolist(), torch.randint(0, 5, (200,)).float().tolist())
    parts = torch.stack(list(found.own.values()))
    assert torch.equal(parts.sum(0), found.value - found.ideal)
    assert int((parts != 0).sum(0).max()) == 1
