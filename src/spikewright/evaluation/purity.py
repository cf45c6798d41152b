# SPDX-License-Identifier: Apache-2.0
"""How much of a network's work spikes do, and what the rest is.

Counted is what a network computes with values: at synapses, in products and in functions. What
neurons do by themselves in every tick (biases, shifts, thresholds, resets, gates) is left out; it
does not grow with what is computed. A multiply-add is one operation, as an addition is.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from spikewright.evaluation.layer_count import LayerCount

__all__ = ["OPERATION_NAMES", "operations_by_class", "spike_share"]

OPERATION_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "additions by spikes": "additions",
        "multiply-adds left": "analog_macs",
        "function evaluations": "evaluations",
        "multiplications": "multiplications",
        "additions of values": "sums",
        "divisions": "divisions",
        "comparisons of values": "comparisons",
    }
)
"""Classes of operations, the first one spike-driven, and where a row has them."""

_SPIKES = "additions by spikes"


def operations_by_class(
    layers: Iterable[LayerCount], samples: int, worked: float = 1.0
) -> dict[str, float]:
    """Return how many operations of each class a network does for one input.

    Multiplications are those of functions and analog work, and inflations and leaks of potentials
    by factors that are no power of two.

    Args:
        layers: Its rows.
        samples: Inputs over which additions by spikes are summed.
        worked: Share of the ticks in which neurons work.
    """
    found = dict.fromkeys(OPERATION_NAMES, 0.0)
    for layer in layers:
        for name, field in OPERATION_NAMES.items():
            if field != "comparisons" or layer.kind in ("function", "analog"):
                found[name] += getattr(layer, field)
        found["multiplications"] += worked * layer.factors
    found[_SPIKES] /= max(1, samples)
    return found


def spike_share(operations: Mapping[str, float]) -> float | None:
    """Return the share of operations that spikes drive; None if there are no operations.

    Example:
        >>> spike_share({"additions by spikes": 90.0, "multiply-adds left": 10.0})
        0.9
    """
    total = sum(operations.values())
    return operations[_SPIKES] / total if total else None
