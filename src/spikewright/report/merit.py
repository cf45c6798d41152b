# SPDX-License-Identifier: Apache-2.0
"""The one figure that runs are drawn and ranked by: accuracy, else agreement, else error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spikewright.evaluation.answer_text import off_text
from spikewright.evaluation.length import LengthResult
from spikewright.report.read import Run

__all__ = ["Merit", "merit_of"]


@dataclass(frozen=True)
class Merit:
    """What runs are drawn and ranked by.

    Attributes:
        name: What it is called.
        label: What an axis of it is called, with its unit.
        of: Returns it as a share, of a run after some steps (all if None); None if it is not known.
        written: Writes such a share.
        rises: Whether more is better.
        nothing: What is said where it is known of no run.
    """

    name: str
    label: str
    of: Callable[[LengthResult, int | None], float | None]
    written: Callable[[float], str]
    rises: bool = True
    nothing: str = "Nothing to compare with: no labels, and the ANN was not run."

    def best(self, values: Sequence[float]) -> float:
        """Return the best of some values."""
        return max(values) if self.rises else min(values)


def merit_of(runs: Sequence[Run]) -> Merit:
    """Return what a report's runs are drawn and ranked by."""
    results = [run.result for run in runs]
    if any(x.labelled for x in results):
        return Merit("Accuracy", "accuracy (%)", LengthResult.accuracy, _written)
    if all(x.has_scores for x in results):
        label = "same decision as the ANN (%)"
        return Merit("Agreement", label, LengthResult.agreement, _written)
    if all(x.series for x in results):
        return _merit(results[0].series[0].name)
    several = any(len(x.errors) > 1 for x in results)
    return Merit(
        "Error",
        "largest error of an output (%)" if several else "error against the ANN (%)",
        LengthResult.error,
        off_text,
        rises=False,
        nothing="No error is known that could be drawn."
        if any(x.errors for x in results)
        else "Nothing to compare with: the ANN was not run.",
    )


def _merit(name: str) -> Merit:
    """Return a task's own figure."""

    def of(result: LengthResult, t: int | None) -> float | None:
        found = [each.at(t) for each in result.series if each.name == name]
        return found[0] if found else None

    return Merit(name, f"{name} (%)", of, _written)


def _written(share: float) -> str:
    return f"{100 * share:.1f} %"
