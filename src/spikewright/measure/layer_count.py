# SPDX-License-Identifier: Apache-2.0
"""The work of one layer, population or gate: what was counted, and what any input costs."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.errors import FileFormatError

__all__ = ["KINDS", "LayerCount", "not_ours"]

KINDS = ("layer", "shortcut", "neurons", "gate", "relay left analog", "read-out")


@dataclass(frozen=True)
class LayerCount:
    """Work of one layer: spikes and additions over all samples, everything else for one input.

    Attributes:
        name: Module path, or the site's name for shortcut wires.
        kind: ``"layer"`` and ``"shortcut"`` receive spikes; ``"neurons"`` and ``"gate"`` send
            them; a ``"read-out"`` only accumulates, a ``"relay left analog"`` passes values on.
        spikes: Unit spikes sent.
        neurons: Neurons (neurons only); an ON/OFF pair counts as two.
        additions: Additions caused by spikes (layers and shortcuts only).
        macs: Multiply-adds of the original layer.
        analog_macs: Multiply-adds that remain.
        inputs: Values that the original layer reads.
        values: Values that it writes, or that the neurons stand for.
        weights: Weights it stores; a layer that is used twice is stored twice where the scales
            of its places differ.
        biases: Biases it stores, likewise.
        potentials: Numbers kept from step to step; see :class:`spikewright.measure.work.Work`.
        updates: Ticks in which each neuron works, summed over them, likewise.
        constants: Additions of constant or held currents, likewise.
        factors: Multiplications of potentials by no power of two, likewise.
        shifts: Multiplications of potentials by a power of two, likewise.
        comparisons: Comparisons, likewise.
        per_spike: Additions that a unit spike costs its neuron, likewise.
        delayed: Symbols that its delay line holds, likewise.
    """

    name: str
    kind: str
    spikes: int = 0
    neurons: int = 0
    additions: int = 0
    macs: int = 0
    analog_macs: int = 0
    inputs: int = 0
    values: int = 0
    weights: int = 0
    biases: int = 0
    potentials: int = 0
    updates: int = 0
    constants: int = 0
    factors: int = 0
    shifts: int = 0
    comparisons: int = 0
    per_spike: int = 0
    delayed: int = 0

    @property
    def resets(self) -> int:
        """Additions of its neurons caused by the spikes they sent, over all samples."""
        return self.spikes * self.per_spike

    def is_same(self, other: "LayerCount") -> bool:
        """Tell whether it is the same layer, whatever was counted."""
        mine, theirs = (dataclasses.replace(x, spikes=0, additions=0) for x in (self, other))
        return mine == theirs

    def merge(self, other: "LayerCount") -> "LayerCount":
        """Add what the same layer did for other samples."""
        return dataclasses.replace(
            self, spikes=self.spikes + other.spikes, additions=self.additions + other.additions
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LayerCount":
        """Rebuild what ``dataclasses.asdict`` wrote.

        Raises:
            FileFormatError: If a field is missing, unknown or no whole number.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise not_ours("a field is missing or unknown in a layer")
        if data["kind"] not in KINDS:
            raise not_ours(f"a layer is of unknown kind {data['kind']!r}")
        if any(type(data[n]) is not int or data[n] < 0 for n in names - {"name", "kind"}):
            raise not_ours("a count is no whole number")
        return cls(**data)


def not_ours(what: str) -> FileFormatError:
    """Return the error for a result that this package has not written."""
    return FileFormatError(f"result: expected what to_dict() wrote, but {what}. Measure it again.")
