# SPDX-License-Identifier: Apache-2.0
"""The wake-sleep code: what is carried by when, and that nothing enters asleep."""

import pytest
import torch

from spikewright.codes import WakeSleep
from spikewright.errors import ConfigError

WHOLE = torch.arange(-5.0, 6.0)


@pytest.mark.parametrize("sleep", [-1, 1.5, "3"])
@pytest.mark.usefixtures("unchecked")
def test_steps_asleep_that_cannot_be(sleep: object) -> None:
    with pytest.raises(ConfigError, match=r"expected a whole number of steps asleep, 0 or more"):
        WakeSleep(T=4, sleep=sleep)


def test_without_sleep_it_has_t_steps() -> None:
    assert WakeSleep(T=4, sleep=0).steps == 4
    assert WakeSleep(T=4).steps == 12


@pytest.mark.parametrize("T", [1, 4, 5])
@pytest.mark.parametrize("sleep", [0, 3])
def test_a_prefix_is_what_the_first_steps_of_a_train_carry(T: int, sleep: int) -> None:
    """Of n spikes spread evenly over T steps: trunc(n·min(t, T)/T) have come by step t."""
    code = WakeSleep(T=T, sleep=sleep)
    n = WHOLE.clamp(-T, T)
    train = code.encode(n, signed=True)
    assert train.shape == (T + sleep, *n.shape)
    for t in range(T + sleep + 1):
        expected = torch.tensor([int(int(v) * min(t, T) / T) for v in n], dtype=n.dtype)
        assert torch.equal(train[:t].sum(0), expected)
        assert torch.equal(code.prefix(n, t), expected)
        assert code.prefix(n, t).dtype == n.dtype
        assert code.share(t) == min(t, T) / T


@pytest.mark.parametrize("t", [-1, 8])
def test_steps_outside_a_train_are_refused(t: int) -> None:
    code = WakeSleep(T=4, sleep=3)
    with pytest.raises(ConfigError, match=str(t)):
        code.prefix(WHOLE, t)
    with pytest.raises(ConfigError, match=str(t)):
        code.share(t)


def test_numbers_are_cut_off_downwards_and_negative_ones_need_a_sign() -> None:
    code = WakeSleep(T=4, sleep=3)
    x = torch.tensor([-9.0, -0.5, 0.0, 0.99, 1.0, 3.5, 9.0])
    assert code.quantise_(x.clone()).tolist() == [0, 0, 0, 0, 1, 3, 4]
    assert code.quantise_(x.clone(), signed=True).tolist() == [-4, -1, 0, 0, 1, 3, 4]
    assert code.encode(x).sum(0).tolist() == [0, 0, 0, 0, 1, 3, 4]
