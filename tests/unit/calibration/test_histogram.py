# SPDX-License-Identifier: Apache-2.0
"""The range histogram: misuse, extreme values, and what stays when an update is refused."""

import math

import pytest
import torch

from spikewright.calibration import RangeHistogram
from spikewright.errors import CalibrationError, ConfigError, ShapeError


def content(histogram: RangeHistogram) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in histogram.to_tensors().items()}


@pytest.mark.parametrize("bins", [0, 1, 3, 1000, -4])
def test_bins_must_be_a_power_of_two(bins: int) -> None:
    with pytest.raises(ConfigError, match=f"power of two of at least 2 bins, got {bins}"):
        RangeHistogram(1, bins)


@pytest.mark.parametrize("channels", [0, -1])
def test_there_must_be_a_channel(channels: int) -> None:
    with pytest.raises(ConfigError, match=f"at least one channel, got {channels}"):
        RangeHistogram(channels)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_a_number_is_refused_and_nothing_counted(bad: float) -> None:
    histogram = RangeHistogram(2, 4)
    histogram.update(torch.tensor([[1.0], [2.0]]))
    before = content(histogram)
    with pytest.raises(CalibrationError, match="expected finite values, got NaN or infinity"):
        histogram.update(torch.tensor([[100.0, 5.0], [3.0, bad]]))
    assert content(histogram) == before


@pytest.mark.parametrize("shape", [(3, 5), (1, 2), ()])
def test_other_channels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected 2 channels first, got shape"):
        RangeHistogram(2).update(torch.ones(shape))


def test_whole_numbers_are_refused() -> None:
    with pytest.raises(CalibrationError, match="expected floating-point values, got"):
        RangeHistogram(1).update(torch.ones((1, 2), dtype=torch.int64))


def test_empty_batches_count_nothing() -> None:
    histogram = RangeHistogram(2)
    histogram.update(torch.ones(2, 0))
    assert histogram.count.tolist() == [0, 0]
    with pytest.raises(CalibrationError, match="expected observed values in every channel"):
        histogram.percentile(50.0)


@pytest.mark.parametrize("p", [0.0, -1.0, 100.1, math.nan])
def test_percentages_outside_are_refused(p: float) -> None:
    histogram = RangeHistogram(1)
    histogram.update(torch.ones(1, 3))
    with pytest.raises(ConfigError, match=r"expected a percentage in \(0, 100\], got"):
        histogram.percentile(p)


def test_no_percentile_exceeds_the_maximum() -> None:
    # All ones lie at the lower edge of their bin; spread in it they would exceed 1.
    histogram = RangeHistogram(1, 4)
    histogram.update(torch.tensor([[0.1, 1.0, 1.0, 1.0, 1.0]]))
    assert histogram.percentile(60.0).tolist() == [1.0]


def test_only_equal_histograms_merge() -> None:
    with pytest.raises(ShapeError, match=r"expected \(2, 8\) channels and bins to merge"):
        RangeHistogram(2, 8).merge(RangeHistogram(2, 16))
    with pytest.raises(ShapeError, match="merge"):
        RangeHistogram(2, 8).merge(RangeHistogram(1, 8))


def test_merging_leaves_the_other_alone() -> None:
    left, right = RangeHistogram(1, 4), RangeHistogram(1, 4)
    left.update(torch.tensor([[8.0]]))
    right.update(torch.tensor([[1.0, 0.0]]))
    before = content(right)
    left.merge(right)
    left.update(torch.tensor([[1.0]]))
    assert content(right) == before
    assert left.count.tolist() == [4]


@pytest.mark.parametrize("value", [1e-45, 1e-30, 2.0**-64, 1.0, 2.0**127, 3.4028235e38])
def test_extreme_values_have_a_place(value: float) -> None:
    histogram = RangeHistogram(1, 8)
    x = torch.tensor([[value, value / 2, 0.0, -value]])
    histogram.update(x)
    assert histogram.count.tolist() == [4]
    assert histogram.zeros.tolist() == [2 + int(x[0, 1] == 0)]
    assert histogram.max.tolist() == [x[0, 0].item()]
    assert histogram.range.item() > x[0, 0].item()


def test_tiny_values_stay_above_zero_under_a_wide_range() -> None:
    # 1e-45 scaled to bins of a range of 2^128 underflows; it is no zero for that.
    values = torch.tensor([[3.0e38, 1e-45, 0.0]])
    together, apart = RangeHistogram(1, 8), RangeHistogram(1, 8)
    together.update(values)
    for i in (1, 2, 0):
        apart.update(values[:, i : i + 1])
    assert content(together) == content(apart)
    assert together.zeros.tolist() == [1]


def test_half_precision_counts_as_float32() -> None:
    x = torch.tensor([[0.1, 0.7, 3.0]])
    for dtype in (torch.float16, torch.bfloat16):
        narrow, wide = RangeHistogram(1), RangeHistogram(1)
        narrow.update(x.to(dtype))
        wide.update(x.to(dtype).float())
        assert content(narrow) == content(wide)


def test_large_batches_are_counted_in_parts() -> None:
    x = torch.rand(3, 5, 200_000, generator=torch.Generator().manual_seed(0))
    histogram = RangeHistogram(3, 4)
    histogram.update(x)
    for c in range(3):
        expected = torch.histc(x[c].double(), 4, 0.0, 1.0).long().tolist()
        assert histogram.counts[c].tolist() == expected
    assert histogram.count.tolist() == [1_000_000] * 3


def test_selecting_keeps_the_channels_asked_for() -> None:
    histogram = RangeHistogram(3, 4)
    histogram.update(torch.tensor([[1.0], [2.0], [3.0]]))
    chosen = histogram.select(torch.tensor([2, 0]))
    assert chosen.max.tolist() == [3.0, 1.0]
    chosen.update(torch.ones(2, 5))
    assert histogram.count.tolist() == [1, 1, 1]


def test_tensors_that_do_not_fit_are_refused() -> None:
    tensors = dict(RangeHistogram(2, 4).to_tensors())
    tensors["zeros"] = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ShapeError, match=r"expected counts .* and one value per channel"):
        RangeHistogram.from_tensors(tensors)
