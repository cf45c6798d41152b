# SPDX-License-Identifier: Apache-2.0
"""What a population sends for a potential, decoded, in the original network's numbers."""

from torch import Tensor

from spikewright.codes import WakeSleep
from spikewright.network.site import Site
from spikewright.neurons.inverse_lif import begin_fire_

__all__ = ["sent", "unit_of"]


def unit_of(site: Site, ndim: int) -> Tensor:
    """Return u = λ/S, what one unit of a population stands for, broadcastable with its value."""
    return site.broadcast(site.scale, ndim) / site.code.max_value


def sent(site: Site, y: Tensor, unit: Tensor | None = None) -> Tensor:
    """Return u·n, n the decoded train of f(y)/u; for a wake-sleep population, its total at rest.

    Args:
        site: A population of the layered or the wake-sleep schedule, its threshold one unit.
        y: All that has entered, "batch *neuron", in the original network's numbers.
        unit: Another u than the population's, broadcastable with ``y``.
    """
    unit = (unit_of(site, y.ndim) if unit is None else unit).to(y.dtype)
    v = y / unit
    if not site.function.by_firing:
        v = site.function.in_units(v, unit)
    begin_fire_(v, site.pre_bias.to(y.dtype), site.signed and not isinstance(site.code, WakeSleep))
    return site.code.quantise_(v, signed=site.signed).mul_(unit)
