# SPDX-License-Identifier: Apache-2.0
"""Conversion error: known values of uniform inputs, and measured errors of real samples."""

import pytest
import torch

from spikewright.calibration import RangeHistogram, conversion_error
from spikewright.calibration.coding_error import mean_square
from spikewright.codes import Radix
from spikewright.errors import CalibrationError, ShapeError


def uniform() -> RangeHistogram:
    histogram = RangeHistogram(1)
    histogram.update(torch.linspace(0.0, 1.0, 1_000_001)[None])
    return histogram


@pytest.mark.parametrize("T", [2, 4, 8, 16])
def test_rounding_quarters_the_error_of_flooring(T: int) -> None:
    code = Radix(T=T)
    step = 1.0 / code.max_value
    rounded = conversion_error(uniform(), code, torch.tensor(1.0), rounding=True).item()
    floored = conversion_error(uniform(), code, torch.tensor(1.0), rounding=False).item()
    assert rounded == pytest.approx(step**2 / 12.0, rel=1e-2)
    assert floored == pytest.approx(step**2 / 3.0, rel=1e-2)


def test_clipping_costs_the_square_of_what_is_cut() -> None:
    # λ = 1/2 cuts half of the values by 1/4 on average: ∫ (a - 1/2)² over (1/2, 1) = 1/24.
    error = conversion_error(uniform(), Radix(T=16), torch.tensor(0.5), rounding=True).item()
    assert error == pytest.approx(1.0 / 24.0, rel=1e-4)


def test_mean_square_of_uniform_values() -> None:
    assert mean_square(uniform()).item() == pytest.approx(1.0 / 3.0, rel=1e-5)


@pytest.mark.parametrize("rounding", [False, True])
@pytest.mark.parametrize(
    "code", [Radix(T=3), Radix(T=8), Radix(k=1.5, T=8), Radix(k=1.3, T=4), Radix(k=1.9, T=14)]
)
def test_estimates_match_measured_errors(code: Radix, rounding: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 200_000, generator=generator, dtype=torch.float64).relu_()
    x *= torch.tensor([[0.01], [1.0], [300.0]], dtype=torch.float64)
    histogram = RangeHistogram(3)
    histogram.update(x)
    scale = histogram.max * 0.7
    step = (scale / code.max_value)[:, None]
    n = code.quantise_(x / step + (0.5 if rounding else 0.0))
    measured = (x - n * step).square().mean(1)
    estimate = conversion_error(histogram, code, scale, rounding)
    torch.testing.assert_close(estimate, measured, rtol=0.02, atol=0.0)


def test_silent_channels_cost_nothing() -> None:
    histogram = RangeHistogram(2)
    histogram.update(torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    error = conversion_error(histogram, Radix(T=4), torch.tensor([1.0, 2.0]), rounding=True)
    assert error[0] == 0.0
    assert mean_square(histogram)[0] == 0.0


def test_misuse() -> None:
    empty = RangeHistogram(2)
    with pytest.raises(CalibrationError, match="expected observed values"):
        conversion_error(empty, Radix(), torch.tensor(1.0), rounding=True)
    empty.update(torch.ones(2, 1))
    with pytest.raises(ShapeError, match=r"expected one scale or 2, got shape \(3,\)"):
        conversion_error(empty, Radix(), torch.ones(3), rounding=True)
