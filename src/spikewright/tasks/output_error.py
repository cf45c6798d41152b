# SPDX-License-Identifier: Apache-2.0
"""How far an output is from the original's: sums over inputs that merge exactly, and ratios."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.errors import ConfigError
from spikewright.tasks.stored import MOST, not_ours

__all__ = ["OutputError", "exact_sum"]

Sum = tuple[float, ...]


def exact_sum(values: Iterable[float]) -> Sum:
    """Add up without rounding, so that it does not matter in which order or in how many parts.

    Args:
        values: Finite numbers, or parts of earlier sums.

    Returns:
        The sum as numbers of which each is all before it left over, largest first: the first is the
        sum rounded once, together they are exact. Empty for 0.

    Example:
        >>> exact_sum([1.0, 1e-30, 1e30]), exact_sum([0.5, -0.5])
        ((1e+30, 1.0, 1e-30), ())
    """
    left, parts = list(values), list[float]()
    while rest := math.fsum(left):
        parts.append(rest)
        left.append(-rest)
    return tuple(parts)


@dataclass(frozen=True, kw_only=True)
class OutputError:
    """The difference of one output to the original's, after each step of the read-out.

    Floating outputs have a relative error, ‖snn − ann‖ / ‖ann‖ over all inputs, and the same as a
    signal-to-noise ratio; integer and boolean ones a share of equal elements.

    Attributes:
        name: Where it stands in what the original returns.
        elements: Elements compared, all inputs together.
        norm: Σ ann², as :func:`exact_sum` gives it.
        squared: Σ (snn − ann)² after each step, likewise; empty for integers.
        odd: Elements whose difference is not finite, after each step; empty for integers.
        equal: Equal elements after each step; empty for floating outputs.
    """

    name: str
    elements: int
    norm: Sum = ()
    squared: tuple[Sum, ...] = ()
    odd: tuple[int, ...] = ()
    equal: tuple[int, ...] = ()

    @property
    def is_floating(self) -> bool:
        """Whether it has a relative error."""
        return not self.equal

    def relative_error(self, t: int | None = None) -> float | None:
        """Return ‖snn − ann‖ / ‖ann‖ after ``t`` steps, all by default.

        None of integers, where a difference is not finite, and where the original is 0 throughout
        and the spiking network is not.
        """
        at = (t or len(self.squared)) - 1
        if not self.is_floating or self.odd[at]:
            return None
        squared = self.squared[at]
        if not squared:
            return 0.0
        return math.sqrt(squared[0] / self.norm[0]) if self.norm else None

    def snr_db(self, t: int | None = None) -> float | None:
        """Return the signal-to-noise ratio 10·log10(Σ ann² / Σ (snn − ann)²) after ``t`` steps.

        In dB, rounded to a millionth, so that files read the same on every machine. None where
        there is no relative error, and where that is 0 (the ratio is infinite).
        """
        if not self.relative_error(t):
            return None
        squared = self.squared[(t or len(self.squared)) - 1]
        return round(10.0 * (math.log10(self.norm[0]) - math.log10(squared[0])), 6)

    def equality(self, t: int | None = None) -> float | None:
        """Return the share of equal elements after ``t`` steps; None of floating outputs."""
        if self.is_floating or not self.elements:
            return None
        return self.equal[(t or len(self.equal)) - 1] / self.elements

    def off(self, t: int | None = None) -> float | None:
        """Return the relative error, or the share of unequal elements; None if neither is known."""
        equality = self.equality(t)
        return self.relative_error(t) if equality is None else 1.0 - equality

    def merge(self, other: "OutputError") -> "OutputError":
        """Add the same output on other inputs.

        Raises:
            ConfigError: If it is another output.
        """
        mine, theirs = ((x.name, x.is_floating, x.steps) for x in (self, other))
        if mine != theirs:
            raise ConfigError(
                f"merge: expected results of one reference, got outputs {self.name} and "
                f"{other.name}."
            )
        return dataclasses.replace(
            self,
            elements=self.elements + other.elements,
            norm=exact_sum(self.norm + other.norm),
            squared=tuple(
                exact_sum(a + b) for a, b in zip(self.squared, other.squared, strict=True)
            ),
            odd=tuple(a + b for a, b in zip(self.odd, other.odd, strict=True)),
            equal=tuple(a + b for a, b in zip(self.equal, other.equal, strict=True)),
        )

    @property
    def steps(self) -> int:
        """Steps of the read-out."""
        return max(len(self.squared), len(self.equal))

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as JSON-able data, ratios included."""
        every = range(1, self.steps + 1)
        return {
            **dataclasses.asdict(self),
            "relative_error": [self.relative_error(t) for t in every],
            "snr_db": [self.snr_db(t) for t in every],
            "equality": [self.equality(t) for t in every],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], steps: int) -> "OutputError":
        """Rebuild what :meth:`to_dict` wrote, also after it has been JSON.

        Args:
            data: What was written.
            steps: Steps of the read-out.

        Raises:
            FileFormatError: If a field is missing, of another kind, or impossible.
        """
        try:
            found = cls(
                name=data["name"],
                elements=data["elements"],
                norm=tuple(data["norm"]),
                squared=tuple(tuple(s) for s in data["squared"]),
                odd=tuple(data["odd"]),
                equal=tuple(data["equal"]),
            )
        except (KeyError, TypeError) as error:
            raise not_ours(f"an output's field is missing or of another kind ({error})") from error
        counts = (found.elements, *found.odd, *found.equal)
        if any(type(n) is not int or not 0 <= n < MOST for n in counts):
            raise not_ours("a count of an output is no whole number")
        if max(counts) > found.elements or type(found.name) is not str:
            raise not_ours("more of an output is equal than was compared")
        if (len(found.squared), len(found.odd), len(found.equal)) not in (
            (steps, steps, 0),
            (0, 0, steps),
        ):
            raise not_ours("a list of an output has not one number for each step")
        if not all(map(_is_sum, (found.norm, *found.squared))):
            raise not_ours("a sum of squares is none")
        return found


def _is_sum(parts: Sequence[Any]) -> bool:
    """Tell whether it is what :func:`exact_sum` gives for squares."""
    if any(type(p) is not float or not math.isfinite(p) for p in parts):
        return False
    return exact_sum(parts) == tuple(parts) and (not parts or parts[0] > 0)
