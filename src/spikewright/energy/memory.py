# SPDX-License-Identifier: Apache-2.0
"""Bytes: what has to be stored, and what is moved for one input if nothing is reused.

Traffic follows the accesses that the energy models with memory price; see
:mod:`spikewright.energy.energy`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from spikewright.evaluation.length import LengthResult

__all__ = ["Bytes", "MemoryUse", "address_bits", "memory_of"]


def address_bits(neurons: int) -> int:
    """Return the bits that tell so many neurons apart, at least one.

    Example:
        >>> [address_bits(n) for n in (1, 2, 1024, 1025)]
        [1, 1, 10, 11]
    """
    return max(1, (max(1, neurons) - 1).bit_length())


@dataclass(frozen=True)
class Bytes:
    """Bytes by what they hold.

    Attributes:
        weights: Weights and biases.
        states: Potentials, registers and other numbers kept from step to step; of an ANN,
            activations. Operators on complete values read and write each of them once.
        spikes: Symbols in delay lines (stored), addresses of spikes (moved).
    """

    weights: float
    states: float
    spikes: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.states + self.spikes


@dataclass(frozen=True)
class MemoryUse:
    """What a spiking network and its original need.

    Attributes:
        weight_bits: Bits of a weight of the spiking network.
        state_bits: Bits of a potential.
        stored: The spiking network's memory.
        moved: What it reads and writes for one input.
        ann_stored: The original's in FP32: activations of the layer with most of them, in and out.
        ann_moved: What that reads and writes for one input.
    """

    weight_bits: int
    state_bits: int
    stored: Bytes
    moved: Bytes
    ann_stored: Bytes
    ann_moved: Bytes

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return dataclasses.asdict(self)


def memory_of(result: LengthResult, weight_bits: int = 32, state_bits: int = 32) -> MemoryUse:
    """Return the memory that a network needs, and what moves for one input.

    Args:
        result: What was counted.
        weight_bits: Bits of a weight.
        state_bits: Bits of a potential.
    """
    samples, share = max(1, result.samples), result.worked_ticks / result.steps
    layers = result.layers
    additions = result.total("additions") / samples
    analog, macs = result.analog_macs, result.macs
    stored = Bytes(
        weights=(result.total("weights") + result.total("biases")) * weight_bits / 8,
        states=result.total("potentials") * state_bits / 8,
        spikes=result.total("delayed") / 8,
    )
    events = sum(x.spikes / samples * address_bits(x.neurons or x.values) for x in layers)
    products = [x for x in layers if x.kind == "product"]
    read = sum(x.additions for x in products) / samples  # registers, in the place of weights
    multiplied = sum(x.macs for x in products)  # both factors are activations
    functions = sum(x.inputs + x.values for x in layers if x.kind in ("function", "analog"))
    both = [x for x in layers if x.kind in ("layer", "product")]
    largest = max((x.inputs + x.values for x in both), default=0)
    written = sum(x.values for x in layers if x.kind in ("layer", "shortcut", "product"))
    moved = Bytes(
        weights=(additions - read + analog) * weight_bits / 8,
        states=(2 * additions + read + analog + functions + 2 * share * result.total("updates"))
        * state_bits
        / 8,
        spikes=2 * events / 8,
    )
    ann_weights = (result.total("weights") + result.total("biases")) * 4.0
    return MemoryUse(
        weight_bits=weight_bits,
        state_bits=state_bits,
        stored=stored,
        moved=moved,
        ann_stored=Bytes(ann_weights, largest * 4.0),
        ann_moved=Bytes((macs - multiplied) * 4.0, (macs + multiplied + written + functions) * 4.0),
    )
