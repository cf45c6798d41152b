# SPDX-License-Identifier: Apache-2.0
"""The work of one layer, population, gate or function: what was counted, what any input costs."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.evaluation.fixed_work import FixedWork
from spikewright.tasks.stored import MOST, not_ours

__all__ = ["KINDS", "RECEIVES", "LayerCount"]

KINDS = (
    *("layer", "shortcut", "product", "register", "neurons", "gate", "function", "analog"),
    *("relay left analog", "read-out"),
)
RECEIVES = ("layer", "shortcut", "product", "register")
"""Kinds of rows at which spikes cause additions."""


@dataclass(frozen=True)
class LayerCount(FixedWork):
    """Work of one layer: spikes and additions over all samples, everything else for one input.

    What does not depend on spikes is that of :class:`Work`; ``values`` of a layer are those that
    the original one writes.

    Attributes:
        name: Module path, or the site's name for shortcut wires.
        kind: ``"layer"`` and ``"shortcut"`` receive spikes, and so do a ``"product"`` of two
            values and the ``"register"`` that holds one of them; ``"neurons"`` and ``"gate"`` send
            them; a ``"read-out"`` only accumulates, a ``"relay left analog"`` passes values on. A
            ``"function"`` is computed on complete values in front of neurons, ``"analog"`` work in
            front of the network or at its end.
        spikes: Unit spikes sent.
        neurons: Neurons (neurons only); an ON/OFF pair counts as two.
        additions: Additions caused by spikes (layers, shortcuts, products and registers only).
        macs: Multiply-adds of the original layer.
        analog_macs: Multiply-adds that remain.
        inputs: Values that the original layer reads.
        held: Those that a product's registers hold: one is read for every addition.
        evaluations: Curves evaluated at one point, by a function or analog work.
        multiplications: Multiplications of its values; ``comparisons`` are its own, too.
        sums: Additions of its values, which no spike causes.
        divisions: Divisions, reciprocals.
        weights: Weights it stores; a layer that is used twice is stored twice where the scales
            of its places differ.
        biases: Biases it stores, likewise.
    """

    name: str
    kind: str
    spikes: int = 0
    neurons: int = 0
    additions: int = 0
    macs: int = 0
    analog_macs: int = 0
    inputs: int = 0
    held: int = 0
    evaluations: int = 0
    multiplications: int = 0
    sums: int = 0
    divisions: int = 0
    weights: int = 0
    biases: int = 0

    @property
    def function_operations(self) -> int:
        """Operations on complete values, of all classes; none but in functions and analog work."""
        own = self.comparisons if self.kind in ("function", "analog") else 0
        return self.evaluations + self.multiplications + self.sums + self.divisions + own

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
        if data["kind"] not in KINDS or not isinstance(data["name"], str):
            raise not_ours(f"a layer is of unknown kind {data['kind']!r}")
        counts = [data[n] for n in names - {"name", "kind"}]
        if any(type(n) is not int or not 0 <= n < MOST for n in counts):
            raise not_ours("a count is no whole number")
        return cls(**data)
