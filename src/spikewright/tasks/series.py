# SPDX-License-Identifier: Apache-2.0
"""Figures of merit after every step of the read-out, by name."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.tasks.stored import not_ours

__all__ = ["Series"]


@dataclass(frozen=True)
class Series:
    """One figure of merit, as a share of 1 of which more is better.

    Attributes:
        name: ``"AP"``, ``"AP50"``, ``"fidelity AP50"``, ``"mean IoU"``, …
        values: After each step of the read-out; None where it is not defined, or was not scored.
        reference: The original network's on the same inputs; None if it was not run, or if the
            figure compares the two.
        interval: Lower and upper end of the 95 % bootstrap interval (over inputs) of the last value
            minus the reference; None if it was not asked for.
    """

    name: str
    values: tuple[float | None, ...]
    reference: float | None = None
    interval: tuple[float, float] | None = None

    def at(self, t: int | None = None) -> float | None:
        """Return the value after ``t`` steps, all by default."""
        return self.values[(t or len(self.values)) - 1]

    @property
    def difference(self) -> float | None:
        """The last value minus the reference."""
        last = self.values[-1]
        return None if last is None or self.reference is None else last - self.reference

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], steps: int) -> "Series":
        """Rebuild what :meth:`to_dict` wrote.

        Raises:
            FileFormatError: If a field is missing, unknown or of another kind.
        """
        try:
            interval = data["interval"]
            found = cls(
                name=data["name"],
                values=tuple(data["values"]),
                reference=data["reference"],
                interval=None if interval is None else tuple(interval),
            )
        except (KeyError, TypeError) as error:
            raise not_ours(f"a series' field is missing or of another kind ({error})") from error
        numbers = [*found.values, found.reference]
        known = [*(n for n in numbers if n is not None), *(found.interval or ())]
        if type(found.name) is not str or any(
            type(n) is not float or not math.isfinite(n) for n in known
        ):
            raise not_ours("a series is of another kind")
        if len(found.values) != steps or len(found.interval or (0, 0)) != 2:
            raise not_ours("a series has not one number for each step")
        return found
