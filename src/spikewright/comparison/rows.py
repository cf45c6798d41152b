# SPDX-License-Identifier: Apache-2.0
"""From cells to the lines that people compare, and the rule "from which T on is it as good"."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.comparison.cells import Ann, Cell, Figures, Point, points
from spikewright.comparison.entries import Entry

__all__ = ["TOLERANCES", "Row", "Within", "curve", "first_within", "rows_of"]

TOLERANCES = (1.0, 0.5)
"""Percentage points below the original network that :class:`Within` is told for."""


@dataclass(frozen=True)
class Within:
    """From when on a method stays as good as the original network.

    Attributes:
        points: Percentage points that it may lie below.
        T: The step (anytime methods) or T from which on it does; None if it never does.
        additions: Additions for one input up to there.
    """

    points: float
    T: int | None
    additions: float | None


@dataclass(frozen=True, kw_only=True)
class Row(Figures):
    """One method at one T: its figures after the last step of this T.

    Attributes:
        label: The entry's.
        method: The method's name.
        T: Time steps; of an anytime method, the step of its one run.
        ann_accuracy: The original network's share of right decisions; None without labels.
        relative: Additions for one multiply-add of the original network.
        analog_macs: Multiply-adds that remain for one input.
        latency_ticks: Ticks from input to decision; of a network that settles, those after which
            the slowest input is at rest.
        latency_bound: Ticks that no input can exceed; the same but for a network that settles.
        within: From when on the method stays close to the original, the same in all its rows.
        training: What training its own network took, in words; empty for the common one.
    """

    label: str
    method: str
    T: int
    ann_accuracy: float | None
    relative: float
    analog_macs: int
    latency_ticks: int
    latency_bound: int
    within: tuple[Within, ...]
    training: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {**dataclasses.asdict(self), "within": [dataclasses.asdict(w) for w in self.within]}


def first_within(
    correct: Sequence[int], reference: int, samples: int, tolerance: float
) -> int | None:
    """Return the first place from which on accuracy stays close to the reference to the end.

    A place i counts if no later accuracy, its own included, lies more than ``tolerance`` points
    below the reference; above it is fine. A good step before a bad one does not count.

    Args:
        correct: Right decisions along a curve.
        reference: Right decisions of the original network on the same inputs.
        samples: Labelled inputs.
        tolerance: Percentage points, bounds included.

    Returns:
        The place, from 0; None if not even the last is close, or nothing is labelled.

    Example:
        >>> first_within([10, 90, 70, 89, 95], 90, 100, 1.0)
        3
    """
    found = None
    for i in range(len(correct) - 1, -1, -1):
        if not samples or 100.0 * (reference - correct[i]) > tolerance * samples:
            break
        found = i
    return found


def curve(cells: Sequence[Cell]) -> list[tuple[int, Point]]:
    """Return T and what was done by then, along the cells of one entry.

    An anytime method has every step of its one run, others the last step of each of their runs.
    """
    if cells and cells[0].anytime:
        return [(p.t, p) for p in points(cells[0].result)]
    return [(cell.T, list(points(cell.result))[-1]) for cell in cells]


def rows_of(entry: Entry, cells: Sequence[Cell], ann: Ann) -> list[Row]:
    """Return one row for each T of an entry that is finished."""
    along = curve(cells)
    within = tuple(_within(along, ann, tolerance) for tolerance in TOLERANCES)
    wanted = set(entry.T or ())
    by_T = {cell.T: cell.result for cell in cells}
    rows = []
    for T, point in along:
        if T not in wanted:
            continue
        result = by_T.get(T, cells[0].result)
        rows.append(
            Row(
                label=entry.label,
                method=cells[0].method,
                T=T,
                ann_accuracy=ann.accuracy,
                relative=point.additions / max(1, result.macs),
                analog_macs=result.analog_macs,
                latency_ticks=point.tick,
                latency_bound=result.latency_ticks if result.settles else point.tick,
                within=within,
                training=entry.training,
                **{f.name: getattr(point, f.name) for f in dataclasses.fields(Figures)},
            )
        )
    return rows


def _within(along: Sequence[tuple[int, Point]], ann: Ann, tolerance: float) -> Within:
    place = first_within([p.correct for _, p in along], ann.correct, ann.labelled, tolerance)
    if place is None:
        return Within(tolerance, None, None)
    T, point = along[place]
    return Within(tolerance, T, point.additions)
