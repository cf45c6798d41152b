# SPDX-License-Identifier: Apache-2.0
"""The error of one layer, split by cause: sums over inputs that merge, and ratios."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from torch import Tensor

__all__ = ["CAUSES", "Kind", "LayerDiagnosis", "Part"]

Kind = Literal["neurons", "relay", "input", "gate", "output"]

CAUSES = ("inactivated", "clipping", "residual", "pooling")
"""What a layer itself may do wrong, besides what it inherits."""


@dataclass(frozen=True)
class Part:
    """A quantity summed over all values of a layer and all inputs.

    Attributes:
        sum: Σ x.
        absolute: Σ |x|.
        squared: Σ x².
        count: Values that are not 0.
    """

    sum: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0
    count: int = 0

    def __add__(self, other: Self) -> Self:
        both = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return type(self)(*(mine + theirs for mine, theirs in both))


@dataclass(frozen=True, kw_only=True)
class LayerDiagnosis:
    """The error e = r − a of one population, gate or output, and its parts, which add up to e.

    r is what was sent and a the original activation on the same input, both in the original
    network's numbers. The parts add up value by value, hence in their sums and means; their
    squares do not, where parts of one value are of equal or opposite sign. Of a layer's own causes
    only one acts in a value, so their squares do add up.

    Attributes:
        name: Name of the node.
        kind: ``"neurons"`` (rectified), ``"relay"`` or ``"input"`` (signed or input neurons),
            ``"gate"`` (a max pool), ``"output"``.
        samples: Inputs.
        values: Values for one input; an ON/OFF pair is one.
        activity: a.
        error: e.
        parts: ``"inherited"`` (what an ideal neuron would have sent for the drive that entered,
            less a: errors of the layers before), and the layer's own ``"inactivated"``,
            ``"clipping"``, ``"residual"`` or ``"pooling"``.
        fired: Which neurons have ever spiked, "*neuron"; not of inputs, gates, outputs.
        active: Σ |a| over the inputs, "*neuron", likewise.
        clipped: In how many inputs each neuron clipped, "*neuron", likewise.
        awake: On how many inputs the original neuron is not 0, "*neuron", likewise.
        unit: What one unit on the wire stands for, λ/S, likewise.
        levels: Levels that the activation was trained with, 0 if it was not.
        equal: Elements equal to the original's, of an output of integers, which has no error;
            None of all else.
    """

    name: str
    kind: Kind
    samples: int
    values: int
    activity: Part
    error: Part
    parts: dict[str, Part]
    fired: Tensor | None = field(default=None, repr=False, compare=False)
    active: Tensor | None = field(default=None, repr=False, compare=False)
    clipped: Tensor | None = field(default=None, repr=False, compare=False)
    awake: Tensor | None = field(default=None, repr=False, compare=False)
    unit: Tensor | None = field(default=None, repr=False, compare=False)
    levels: int = 0
    equal: int | None = None

    @property
    def equality(self) -> float | None:
        """Share of equal elements of an output of integers; None of all else."""
        return None if self.equal is None else self.equal / max(1, self.samples * self.values)

    @property
    def off(self) -> float | None:
        """Relative squared error, or the share of unequal elements of an output of integers."""
        return self.relative_error if self.equality is None else 1.0 - self.equality

    @property
    def mean_activity(self) -> float:
        """Mean |a|."""
        return self.activity.absolute / max(1, self.samples * self.values)

    @property
    def relative_error(self) -> float | None:
        """Σ e² / Σ a²; None if the original layer is silent."""
        return self._relative(self.error.squared)

    @property
    def snr_db(self) -> float | None:
        """Signal-to-noise ratio, 10·log10(Σ a² / Σ e²); None if either is 0."""
        return _decibels(self.relative_error)

    @property
    def own_snr_db(self) -> float | None:
        """The same with the layer's own error only, what it inherits left out."""
        return _decibels(self.own)

    @property
    def own(self) -> float | None:
        """Squared error that arises here, relative to Σ a²."""
        return self._relative(sum(p.squared for n, p in self.parts.items() if n in CAUSES))

    @property
    def dead(self) -> int:
        """Neurons that never spiked though |a| is, on average, at least a unit."""
        if self.fired is None or self.active is None or self.unit is None:
            return 0
        return int((~self.fired & (self.active >= self.samples * self.unit)).sum())

    @property
    def saturated(self) -> int:
        """Neurons clipped in at least half of the inputs on which the original is not 0."""
        if self.clipped is None or self.awake is None:
            return 0
        return int(((self.clipped > 0) & (2 * self.clipped >= self.awake)).sum())

    def share(self, part: str) -> float | None:
        """Return Σ part² / Σ a²; 0 for a part that the layer does not have."""
        return self._relative(self.parts.get(part, Part()).squared)

    def mean(self, part: str) -> float:
        """Return the mean of a part, with its sign; these add up to the mean error."""
        return self.parts.get(part, Part()).sum / max(1, self.samples * self.values)

    def share_of_values(self, part: str) -> float:
        """Return the share of values (neuron and input) in which a part is not 0."""
        return self.parts.get(part, Part()).count / max(1, self.samples * self.values)

    def _relative(self, squared: float) -> float | None:
        return squared / self.activity.squared if self.activity.squared else None

    def merge(self, other: "LayerDiagnosis") -> "LayerDiagnosis":
        """Add the same layer on other inputs."""
        both = {**self.parts, **other.parts}
        fired = self.fired
        if fired is not None and other.fired is not None:
            fired = fired | other.fired
        return dataclasses.replace(
            self,
            samples=self.samples + other.samples,
            activity=self.activity + other.activity,
            error=self.error + other.error,
            parts={n: self.parts.get(n, Part()) + other.parts.get(n, Part()) for n in both},
            fired=fired,
            active=_total(self.active, other.active),
            clipped=_total(self.clipped, other.clipped),
            awake=_total(self.awake, other.awake),
            equal=None if self.equal is None or other.equal is None else self.equal + other.equal,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as JSON-able data, ratios included."""
        parts = {
            name: {
                **dataclasses.asdict(part),
                "mean": self.mean(name),
                "relative_squared": self.share(name),
                "share_of_values": self.share_of_values(name),
            }
            for name, part in self.parts.items()
        }
        return {
            "name": self.name,
            "kind": self.kind,
            "samples": self.samples,
            "values": self.values,
            "activity": dataclasses.asdict(self.activity),
            "error": dataclasses.asdict(self.error),
            "parts": parts,
            "mean_activity": self.mean_activity,
            "relative_error": self.relative_error,
            "snr_db": self.snr_db,
            "own": self.own,
            "own_snr_db": self.own_snr_db,
            "clipped_share": self.share_of_values("clipping"),
            "dead": self.dead,
            "saturated": self.saturated,
            "levels": self.levels,
            "equality": self.equality,
        }


def _decibels(error: float | None) -> float | None:
    return -10.0 * math.log10(error) if error else None


def _total(mine: Tensor | None, theirs: Tensor | None) -> Tensor | None:
    return mine if mine is None or theirs is None else mine + theirs
