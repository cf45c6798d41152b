# SPDX-License-Identifier: Apache-2.0
"""The search for k: misuse, ties, and that it minimises the stated loss."""

import pytest
import torch

from spikewright.calibration import Max, MinError, RangeHistogram, conversion_error, search_k
from spikewright.calibration.coding_error import mean_square
from spikewright.codes import Radix
from spikewright.errors import CalibrationError, ConfigError

GRID = (1.2, 1.5, 1.8, 2.0)


def site(reach: float, channels: int = 3) -> RangeHistogram:
    histogram = RangeHistogram(channels)
    generator = torch.Generator().manual_seed(channels)
    histogram.update(torch.randn(channels, 3000, generator=generator).relu_() * reach)
    return histogram


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least one k in the grid"):
        search_k([site(1.0)], 4, False, (), True, Max())


def test_wrong_settings_are_refused_even_beside_right_ones() -> None:
    with pytest.raises(ConfigError, match=r"expected k in \(1, 2\], got k=2.5"):
        search_k([site(1.0)], 4, False, (2.5, 2.0), True, Max())
    with pytest.raises(ConfigError, match="T >= 1"):
        search_k([site(1.0)], 0, False, GRID, True, Max())


def test_a_grid_that_float32_holds_nowhere_is_refused() -> None:
    with pytest.raises(ConfigError, match="what float32 holds exactly"):
        search_k([site(1.0)], 60, False, (1.9, 2.0), True, Max())


def test_too_wide_codes_are_left_out() -> None:
    assert search_k([site(1.0)], 30, False, (1.2, 2.0), True, Max()) == 1.2
    assert search_k([site(1.0)], 30, False, (2.0, 1.9, 1.2), True, Max()) == 1.2


def test_a_grid_of_one_is_that_one() -> None:
    assert search_k([site(1.0)], 4, False, (1.7,), True, Max()) == 1.7


def test_nothing_active_is_an_error() -> None:
    silent = RangeHistogram(1)
    silent.update(torch.zeros(1, 4))
    with pytest.raises(CalibrationError, match="expected a site with values above zero"):
        search_k([silent], 4, False, GRID, True, Max())
    assert search_k([silent, site(1.0)], 4, False, GRID, True, Max()) in GRID


def test_caps_must_match_the_sites() -> None:
    with pytest.raises(ConfigError, match="expected 1 caps, got 2"):
        search_k([site(1.0)], 4, False, GRID, True, Max(), caps=[6.0, None])


@pytest.mark.parametrize("rule", [Max(), MinError(unseen=0.0)])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("T", [2, 4])
def test_the_least_loss_wins(rule: Max | MinError, per_channel: bool, T: int) -> None:
    sites = [site(1.0), site(50.0, 5)]

    def loss(k: float) -> float:
        code, total = Radix(k=k, T=T), 0.0
        for histogram in sites:
            scale = rule.scale(histogram, code, per_channel=per_channel, rounding=False, cap=None)
            count = histogram.count.double()
            lost = conversion_error(histogram, code, scale, rounding=False) @ count
            total += (lost / (mean_square(histogram) @ count)).item()
        return total

    found = search_k(sites, T, False, GRID, False, rule, per_channel=per_channel)
    assert found == min(GRID, key=loss)
    assert len({loss(k) for k in GRID}) == len(GRID)


def at_levels(k: float, reach: float) -> RangeHistogram:
    histogram = RangeHistogram(1)
    # More than a bin above the level, so that all of the bin lies above it.
    histogram.update((torch.tensor(Radix(k=k, T=4).levels(100)) + 0.02)[None] * reach)
    return histogram


def test_sites_count_by_relative_error() -> None:
    sites = [at_levels(1.5, 0.01), at_levels(1.5, 0.1), at_levels(1.3, 1000.0)]
    assert search_k(sites, 4, False, (1.3, 1.5), False, Max()) == 1.5
    assert search_k(sites[1:], 4, False, (1.3, 1.4), False, Max()) == 1.3


def test_values_just_above_the_levels_of_a_k_find_it() -> None:
    assert search_k([at_levels(1.5, 1.0)], 4, False, (1.3, 1.4, 1.5, 1.6, 1.7), False, Max()) == 1.5
