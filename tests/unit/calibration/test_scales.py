# SPDX-License-Identifier: Apache-2.0
"""Scale rules: misuse, caps, silent channels, and the least error against a dense search."""

import math

import pytest
import torch

from spikewright.calibration import (
    RULES,
    Max,
    MinError,
    Percentile,
    RangeHistogram,
    ScaleRule,
    conversion_error,
)
from spikewright.codes import Radix
from spikewright.errors import CalibrationError, ConfigError, UnknownNameError

ALL = [Max(), Percentile(99.0), Percentile(99.0, nonzero=True), MinError(unseen=0.0)]


def seen(*rows: list[float]) -> RangeHistogram:
    histogram = RangeHistogram(len(rows))
    histogram.update(torch.tensor(rows))
    return histogram


def scale(
    rule: ScaleRule,
    histogram: RangeHistogram,
    per_channel: bool = True,
    cap: float | None = None,
) -> torch.Tensor:
    code = Radix(T=4)
    return rule.scale(histogram, code, per_channel=per_channel, rounding=True, cap=cap)


@pytest.mark.parametrize("q", [0.0, -5.0, 100.5, math.nan])
def test_percentages_outside_are_refused(q: float) -> None:
    with pytest.raises(ConfigError, match=r"percentile rule: expected q in \(0, 100\], got q="):
        Percentile(q)


def test_too_few_candidates_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 2 candidates, got 1"):
        MinError(candidates=1, unseen=0.0)


@pytest.mark.parametrize("rule", ALL)
@pytest.mark.parametrize("per_channel", [True, False])
def test_nothing_seen_is_an_error(rule: ScaleRule, per_channel: bool) -> None:
    with pytest.raises(CalibrationError, match="expected observed values"):
        scale(rule, RangeHistogram(2), per_channel=per_channel)


@pytest.mark.parametrize("rule", ALL)
@pytest.mark.parametrize("cap", [0.0, -1.0, math.nan])
def test_caps_must_be_above_zero(rule: ScaleRule, cap: float) -> None:
    with pytest.raises(ConfigError, match="expected a cap above zero, got"):
        scale(rule, seen([1.0]), cap=cap)


@pytest.mark.parametrize("rule", ALL)
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("cap", [6.0, 0.1, 1.0 / 3.0])
def test_no_scale_exceeds_the_cap(rule: ScaleRule, per_channel: bool, cap: float) -> None:
    generator = torch.Generator().manual_seed(0)
    histogram = RangeHistogram(5)
    histogram.update(torch.rand(5, 4000, generator=generator) * 20.0)
    found = scale(rule, histogram, per_channel=per_channel, cap=cap)
    assert bool((found <= torch.tensor(cap)).all())
    assert bool((found > 0.0).all())


@pytest.mark.parametrize("rule", ALL)
def test_silent_channels_take_the_median_of_the_others(rule: ScaleRule) -> None:
    rows = [[1.0, 1.0], [0.0, 0.0], [3.0, 3.0], [2.0, 2.0], [1e-30, 0.0]]
    found = scale(rule, seen(*rows))
    others = scale(rule, seen(rows[0], rows[2], rows[3]))
    assert torch.equal(found[[0, 2, 3]], others)
    assert found[1] == found[4] == others.median()


@pytest.mark.parametrize("rule", ALL)
@pytest.mark.parametrize(("cap", "expected"), [(None, 1.0), (6.0, 6.0)])
def test_a_site_that_was_never_active(rule: ScaleRule, cap: float | None, expected: float) -> None:
    for per_channel, shape in ((True, [expected, expected]), (False, expected)):
        found = scale(rule, seen([0.0], [0.0]), per_channel=per_channel, cap=cap)
        assert found.tolist() == shape
        assert found.dtype == torch.float32


def test_max_is_the_exact_maximum() -> None:
    histogram = seen([0.1, 0.3], [0.7, 0.2])
    assert torch.equal(scale(Max(), histogram), torch.tensor([0.3, 0.7]))
    assert torch.equal(scale(Max(), histogram, per_channel=False), torch.tensor(0.7))


def test_percentile_leaves_outliers_out() -> None:
    row = [float(i) for i in range(1, 1000)] + [1e6]
    assert scale(Percentile(50.0), seen(row)).item() == pytest.approx(500.0, abs=1024.0)
    assert scale(Percentile(100.0), seen(row)).item() == 1e6


@pytest.mark.parametrize("unit", [1e-4, 0.1, 1e4])
def test_a_percentile_does_not_depend_on_the_unit(unit: float) -> None:
    values = [unit * i / 1000 for i in range(1, 1001)]
    assert float(scale(Percentile(50.0), seen(values))) == pytest.approx(unit / 2, rel=0.01)


def test_percentile_of_a_rarely_active_channel_is_its_maximum() -> None:
    row = [0.0] * 999 + [0.5]
    assert scale(Percentile(90.0), seen(row)).item() == 0.5
    assert scale(Percentile(90.0, nonzero=True), seen(row)).item() == 0.5


def test_one_level_finds_its_value() -> None:
    # Every value is 1 and the code has the values 0 and λ only.
    histogram = seen([1.0] * 10)
    found = MinError(unseen=0.0).scale(
        histogram, Radix(T=1), per_channel=True, rounding=True, cap=None
    )
    assert found.tolist() == [1.0]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("rounding", [True, False])
@pytest.mark.parametrize("code", [Radix(T=2), Radix(T=4), Radix(T=8), Radix(k=1.5, T=6)])
def test_least_error_is_close_to_that_of_a_dense_search(
    code: Radix, rounding: bool, per_channel: bool
) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(6, 5000, generator=generator).relu_()
    x[1] = x[1] ** 3  # heavy tail
    x[2] = x[2].clamp(max=0.4)  # many values at the top
    x[3:] *= torch.tensor([[0.1], [1.0], [9.0]])
    histogram = RangeHistogram(6)
    histogram.update(x)

    def errors(scales: torch.Tensor) -> torch.Tensor:
        found = conversion_error(histogram, code, scales, rounding)
        return found if per_channel else found.sum()

    chosen = errors(
        MinError(unseen=0.0).scale(
            histogram, code, per_channel=per_channel, rounding=rounding, cap=None
        )
    )
    top = histogram.max if per_channel else histogram.max.max()
    dense = torch.stack([errors(top * i / 250) for i in range(1, 251)]).amin(0)
    # Steps of one per cent in λ near the best one; the error is flat there.
    assert bool((chosen <= 1.02 * dense).all())


@pytest.mark.parametrize(
    "rule", [Max(), Percentile(97.5, True), MinError(candidates=7, unseen=0.0)]
)
def test_settings_survive_a_round_trip(rule: ScaleRule) -> None:
    plain = rule.to_dict()
    assert RULES[plain["name"]].from_dict(plain) == rule
    assert isinstance(rule, ScaleRule)
    with pytest.raises(ConfigError, match="got unknown 'p'"):
        type(rule).from_dict({**plain, "p": 1})


def test_rules_are_found_by_name() -> None:
    assert RULES.names() == ("max", "min-error", "percentile")
    with pytest.raises(UnknownNameError, match="Did you mean 'percentile'"):
        RULES["percentil"]


def exponential(samples: int) -> RangeHistogram:
    """Return the histogram of quantiles of an exponential distribution, the largest ln(samples)."""
    histogram = RangeHistogram(1)
    share = (torch.arange(samples, dtype=torch.float64) + 1.0) / (samples + 1.0)
    histogram.update(-torch.log(share).view(1, -1))
    return histogram


def test_unseen_values_give_long_codes_headroom_and_short_ones_none() -> None:
    histogram = exponential(4000)
    highest = float(histogram.max[0])

    def found(T: int, **options: float) -> float:
        rule = MinError(**options)
        return float(
            rule.scale(histogram, Radix(T=T), per_channel=True, rounding=True, cap=None)[0]
        )

    assert found(16, unseen=1.0) > found(16) > 1.2 * highest
    assert found(16) <= 8 * highest
    assert found(4) < highest
    assert found(4) == pytest.approx(found(4, unseen=0.0), rel=0.1)
    assert found(16, unseen=0.0) <= highest * (1 + 2.0**-23)


def test_headroom_follows_the_expected_clipping_of_an_exponential_tail() -> None:
    # β = 1: least of n·(λ/S)²/12 + 2·exp(max - λ), found by trying λ one by one.
    samples, S = 4000, 2.0**16 - 1
    histogram = exponential(samples)
    highest = float(histogram.max[0])
    beta = (highest - float(histogram.percentile(99.0)[0])) / math.log(samples / 100)
    tried = torch.linspace(highest, 4 * highest, 20001, dtype=torch.float64)
    loss = samples * (tried / S) ** 2 / 12 + 2 * beta**2 * torch.exp((highest - tried) / beta)
    best = float(tried[loss.argmin()])
    rule = MinError(unseen=1.0)
    scale = rule.scale(histogram, Radix(T=16), per_channel=True, rounding=True, cap=None)
    assert float(scale[0]) == pytest.approx(best, rel=0.02)


def test_headroom_stays_below_the_cap() -> None:
    histogram = exponential(4000)
    scale = MinError().scale(histogram, Radix(T=16), per_channel=True, rounding=True, cap=9.0)
    assert float(scale[0]) == 9.0
