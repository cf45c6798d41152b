# SPDX-License-Identifier: Apache-2.0
"""Site observers: they change nothing, start by themselves and merge only with their like."""

import pytest
import torch

from spikewright.calibration import SiteObserver
from spikewright.errors import CalibrationError, ShapeError


def test_a_network_computes_the_same_bits_with_an_observer() -> None:
    torch.manual_seed(0)
    first, last = torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 4, 3)
    x = torch.randn(2, 3, 9, 9)
    observers = [SiteObserver(1, signed=False), SiteObserver(1, signed=True)]
    plain = last(first(x).relu_())
    watched = observers[1].observe(last(observers[0].observe(first(x)).relu_()))
    assert torch.equal(plain, watched)
    assert watched.requires_grad
    assert observers[0].histogram.channels == 8
    assert observers[1].histogram.channels == 4
    assert not observers[1].histogram.counts.requires_grad


def test_nothing_observed_is_an_error() -> None:
    observer = SiteObserver(1, signed=False)
    assert observer.is_empty
    with pytest.raises(CalibrationError, match="expected observed values, got none"):
        _ = observer.histogram


def test_rectified_and_signed_sites_count_differently() -> None:
    x = torch.tensor([[-4.0, 0.0, 1.0]])
    rectified, signed = SiteObserver(None, signed=False), SiteObserver(None, signed=True)
    rectified.observe(x)
    signed.observe(x)
    assert (rectified.histogram.max.item(), rectified.histogram.zeros.item()) == (1.0, 2)
    assert (signed.histogram.max.item(), signed.histogram.zeros.item()) == (4.0, 1)


def test_channels_that_change_are_refused() -> None:
    observer = SiteObserver(1, signed=False)
    observer.observe(torch.ones(2, 3))
    with pytest.raises(ShapeError, match="expected 3 channels first"):
        observer.observe(torch.ones(2, 4))
    with pytest.raises(ShapeError, match="expected a channel axis 1, got shape"):
        observer.observe(torch.ones(2))
    assert observer.histogram.count.tolist() == [2, 2, 2]


def test_a_bad_first_batch_leaves_the_observer_empty() -> None:
    observer = SiteObserver(1, signed=True)
    with pytest.raises(CalibrationError, match="NaN or infinity"):
        observer.observe(torch.full((2, 3), torch.nan))
    assert observer.is_empty


def test_merging_takes_a_copy_of_what_it_had_not_seen() -> None:
    empty, full = SiteObserver(1, signed=False), SiteObserver(1, signed=False)
    full.observe(torch.ones(2, 3))
    assert empty.merge(full) is empty
    full.merge(SiteObserver(1, signed=False))
    empty.observe(torch.ones(5, 3))
    assert empty.histogram.count.tolist() == [7, 7, 7]
    assert full.histogram.count.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "other",
    [SiteObserver(None, False), SiteObserver(1, True), SiteObserver(1, False, bins=16)],
)
def test_other_settings_do_not_merge(other: SiteObserver) -> None:
    with pytest.raises(CalibrationError, match=r"= \(1, False, 1024\) to merge, got"):
        SiteObserver(1, False).merge(other)
