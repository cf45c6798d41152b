# SPDX-License-Identifier: Apache-2.0
"""A layer's errors and what it reads, summed over two halves of the calibration inputs."""

import math

import torch

from spikewright.graph.batch import element_count
from spikewright.preparation.moments import Moments
from spikewright.preparation.views import LayerView
from spikewright.preparation.windows import groups_of, outputs_by_row, windows

__all__ = ["halves_of"]

ROWS = 1 << 16
"""Rows of each half that are enough to fit a layer of few weights."""

ROWS_PER_FEATURE = 40
"""Rows for each feature of larger ones."""


def halves_of(view: LayerView, *, unfolded: bool, passed: bool = False) -> tuple[Moments, Moments]:
    """Return the sums over every other input, and those over the rest.

    Args:
        view: The layer.
        unfolded: Whether what it reads is looked at, or only its mean error.
        passed: See :meth:`LayerView.pairs`.
    """
    weight, groups = view.weight, groups_of(view.node) if unfolded else 1
    step = 1
    if unfolded:
        wanted = max(ROWS, ROWS_PER_FEATURE * weight[0].numel())
        rows = element_count(view.node.shape) // weight.shape[0] * view.walk.samples / 2
        step = max(1, math.floor(rows / wanted))
    found: list[Moments | None] = [None, None]
    for x, error in view.pairs(passed=passed):
        for half in range(2):
            part = error[half::2]
            if not len(part):
                continue
            r = outputs_by_row(view.node, part, groups)[..., ::step]
            if unfolded:
                features = windows(view.node, weight, x[half::2])[..., ::step]
            else:
                features = r.new_zeros(groups, 0, r.shape[2])
            sums, before = Moments.of(features, r), found[half]
            found[half] = sums if before is None else before + sums
    one, two = found
    if one is None or two is None:
        only = one or two
        if only is None:
            raise RuntimeError(f"{view.node.name}: no inputs")
        empty = Moments(*(torch.zeros_like(t) for t in (only.a, only.b, only.r)))
        return only, empty
    return one, two
