# SPDX-License-Identifier: Apache-2.0
"""The search for the base k of a radix code, one for a whole network."""

from collections.abc import Sequence

import torch

from spikewright.calibration.coding_error import conversion_error, mean_square
from spikewright.calibration.histogram import RangeHistogram
from spikewright.calibration.scales import ScaleRule
from spikewright.codes import Radix
from spikewright.errors import CalibrationError, ConfigError

__all__ = ["search_k"]


def search_k(
    histograms: Sequence[RangeHistogram],
    T: int,
    extra_step: bool,
    grid: Sequence[float],
    rounding: bool,
    rule: ScaleRule,
    *,
    per_channel: bool = True,
    caps: Sequence[float | None] | None = None,
    channels_per_site: int = 16,
) -> float:
    """Choose the k whose code loses least of all sites' values.

    For every k the rule chooses the scales, and the loss is the sum over sites of
    Σ squared errors / Σ squares. k that float32 does not hold exactly at these steps are left out.

    Args:
        histograms: What was seen at each site.
        T: Time steps.
        extra_step: Whether one more step follows.
        grid: The k to try, each in (1, 2]; on a tie the earlier one wins.
        rounding: Whether half a unit is added before firing.
        rule: How λ is chosen.
        per_channel: One λ for each channel or one for each site.
        caps: Largest value each site's activation lets through, None for no such value.
        channels_per_site: With ``per_channel``, how many channels of a site are looked at, evenly
            spread over its channels; enough to rank k, and far cheaper than all.

    Returns:
        One of ``grid``.

    Raises:
        ConfigError: If the grid is empty or no k of it is admissible, or the caps are not one
            for each histogram.
        CalibrationError: If no site has seen a value above zero.
    """
    if not grid:
        raise ConfigError("search for k: expected at least one k in the grid, got none. Add some.")
    if caps is None:
        caps = [None] * len(histograms)
    if len(caps) != len(histograms):
        raise ConfigError(
            f"search for k: expected {len(histograms)} caps, got {len(caps)}. "
            "Give one for each histogram, None where there is none."
        )
    sites = [
        (_sample(histogram, channels_per_site) if per_channel else histogram, cap)
        for histogram, cap in zip(histograms, caps, strict=True)
        if bool((histogram.max > 0.0).any())
    ]
    if not sites:
        raise CalibrationError(
            "search for k: expected a site with values above zero, got none. "
            "Check the calibration data."
        )
    losses: dict[float, float] = {}
    for k in grid:
        code = _admissible(k, T, extra_step, last=k == grid[-1] and not losses)
        if code is None:
            continue
        losses[k] = 0.0
        for histogram, cap in sites:
            scale = rule.scale(histogram, code, per_channel=per_channel, rounding=rounding, cap=cap)
            lost = conversion_error(histogram, code, scale, rounding) @ histogram.count.double()
            kept = mean_square(histogram) @ histogram.count.double()
            losses[k] += float(lost / kept)
    return min(losses, key=lambda k: losses[k])


def _admissible(k: float, T: int, extra_step: bool, *, last: bool) -> Radix | None:
    """Return the code, None if its values are too wide; raise if there is no other to try."""
    try:
        return Radix(k=k, T=T, extra_step=extra_step)
    except ConfigError:
        # A wrong T or k is wrong for every grid; only the width depends on k.
        if last or T < 1 or not 1.0 < k <= 2.0:
            raise
        return None


def _sample(histogram: RangeHistogram, channels: int) -> RangeHistogram:
    """Take at most so many active channels, evenly spread."""
    active = (histogram.max > 0.0).nonzero().squeeze(1)
    places = torch.linspace(0, len(active) - 1, min(channels, len(active))).round().long()
    return histogram.select(active[places])
