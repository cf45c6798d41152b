# SPDX-License-Identifier: Apache-2.0
"""Sums for least squares, against torch.linalg.lstsq and by hand."""

import torch

from spikewright.preparation.moments import Moments, accepted


def _rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, count, generator=g)
    return x, torch.randn(2, 4, count, generator=g)


def test_a_fit_without_ridge_is_least_squares() -> None:
    x, r = _rows(50, 0)
    s = Moments.of(x, r).fit(0.0)
    for group in range(2):
        features = torch.cat([x[group], torch.ones(1, 50)]).T.double()
        wanted = torch.linalg.lstsq(features, r[group].T.double()).solution
        torch.testing.assert_close(s[group], wanted, rtol=1e-4, atol=1e-4)


def test_the_error_of_a_fit_is_that_of_its_residuals() -> None:
    x, r = _rows(50, 1)
    m = Moments.of(x, r)
    s = m.fit(0.1)
    features = torch.cat([x, torch.ones(2, 1, 50)], 1).double()
    left = r.double() - torch.einsum("gfo,gfr->gor", s, features)
    torch.testing.assert_close(m.error(s), left.square().sum(2), rtol=1e-4, atol=1e-4)


def test_a_large_ridge_leaves_the_mean_alone() -> None:
    x, r = _rows(50, 2)
    s = Moments.of(x, r + 3.0).fit(1e9)
    assert float(s[:, :-1].abs().max()) < 1e-6
    torch.testing.assert_close(s[:, -1], (r + 3.0).mean(2).double(), rtol=1e-4, atol=1e-4)


def test_sums_over_parts_are_those_of_the_whole() -> None:
    x, r = _rows(50, 3)
    both = Moments.of(x[..., :20], r[..., :20]) + Moments.of(x[..., 20:], r[..., 20:])
    torch.testing.assert_close(both.fit(0.1), Moments.of(x, r).fit(0.1), rtol=1e-4, atol=1e-5)


def test_a_feature_that_is_always_zero_gets_no_weight() -> None:
    x, r = _rows(50, 4)
    x[:, 1] = 0.0
    s = Moments.of(x, r).fit(1e-3)
    assert bool(s.isfinite().all())
    assert not bool(s[:, 1].any())


def test_what_one_half_suggests_and_the_other_denies_is_not_done() -> None:
    x, _ = _rows(50, 5)
    up, down = torch.ones(2, 4, 50), -torch.ones(2, 4, 50)
    s, change = accepted((Moments.of(x, up), Moments.of(x, down)), (1e-3,))
    assert not bool(change.any())
    assert not bool(s.any())


def test_each_output_takes_what_helps_it() -> None:
    x = torch.randn(1, 3, 4000, generator=torch.Generator().manual_seed(6))
    r = torch.zeros(1, 3, 4000)
    r[0, 0] = 2.0 * x[0, 1]  # a weight is wrong
    r[0, 1] = 0.5  # the mean is wrong
    halves = [Moments.of(x[..., at::2], r[..., at::2]) for at in range(2)]
    s, change = accepted(halves, (1e-4,))
    assert change.tolist() == [[True, True, False]]
    assert abs(float(s[0, 1, 0]) - 2.0) < 1e-2
    assert abs(float(s[0, 3, 1]) - 0.5) < 1e-5
