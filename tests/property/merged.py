# SPDX-License-Identifier: Apache-2.0
"""Counts of parts add up to those of the whole."""

from torch import Tensor

import spikewright as sw
from spikewright.network import SpikingNetwork


def assert_counts_add_up(network: SpikingNetwork, x: Tensor) -> None:
    """Evaluate three samples one by one and together."""
    whole = sw.evaluate(network, [x])
    parts = [sw.evaluate(network, [sample[None]]) for sample in x]
    assert parts[0].merge(parts[1]).merge(parts[2]).to_dict() == whole.to_dict()
