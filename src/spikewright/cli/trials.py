# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis suggests, tried out: converted again and diagnosed on the same inputs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright import api
from spikewright.diagnosis import Diagnosis
from spikewright.diagnosis.suggestions import Suggestion
from spikewright.network import SpikingNetwork
from spikewright.text import shorten, table

__all__ = ["Trial", "best_of", "trials_text", "trials_to_dict", "try_suggestions"]

_LAYER_WIDTH = 18


@dataclass(frozen=True)
class Trial:
    """A network and what its diagnosis found.

    Attributes:
        suggestion: What was changed; None for the network as it is.
        latency: Ticks from input to decision.
        diagnosis: What was found.
    """

    suggestion: Suggestion | None
    latency: int
    diagnosis: Diagnosis

    @property
    def error(self) -> float:
        """Squared error of the output relative to its square; infinite where that is 0.

        Of an output of integers the share of unequal elements; of several outputs the largest.
        """
        error = self.diagnosis.output.off
        return math.inf if error is None else error

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as JSON-able data."""
        worst = self.diagnosis.worst
        return {
            "suggestion": None if self.suggestion is None else self.suggestion.to_dict(),
            "output_relative_error": self.diagnosis.output.relative_error,
            "output_snr_db": self.diagnosis.output.snr_db,
            "output_equality": self.diagnosis.output.equality,
            "worst_layer": None if worst is None else worst.name,
            "worst_own": None if worst is None else worst.own,
            "agreement": self.diagnosis.agreement,
            "latency_ticks": self.latency,
            "samples": self.diagnosis.samples,
        }


def try_suggestions(
    snn: SpikingNetwork,
    diagnosis: Diagnosis,
    count: int,
    diagnose: Callable[[SpikingNetwork], Diagnosis],
) -> list[Trial]:
    """Apply the first suggestions of a diagnosis, each to the network as it is.

    Args:
        snn: The network that was diagnosed.
        diagnosis: What was found in it.
        count: How many suggestions to try; fewer where there are not so many.
        diagnose: Diagnoses a network on the same inputs.

    Returns:
        The network as it is, then one trial a suggestion. The list ends in front of a trial that
        the user stopped, since other inputs would be compared.
    """
    trials = [Trial(None, snn.timing().latency_ticks, diagnosis)]
    for suggestion in diagnosis.suggestions[:count]:
        network = api.apply(snn, suggestion)
        found = diagnose(network)
        if found.interrupted:
            break
        trials.append(Trial(suggestion, network.timing().latency_ticks, found))
    return trials


def best_of(trials: Sequence[Trial]) -> int:
    """Return which trial has the least error at the output, the first of equal ones."""
    return min(range(len(trials)), key=lambda i: trials[i].error)


def trials_to_dict(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return trials as JSON-able data, with the place of the best one."""
    return {"trials": [t.to_dict() for t in trials], "best": best_of(trials)}


def trials_text(trials: Sequence[Trial], *, width: int = 80) -> str:
    """Return trials as a table, and which is best."""
    if len(trials) == 1:
        return "Nothing was tried: there is no suggestion, or it was stopped."
    best = trials[best_of(trials)]
    rows = [_row(t.to_dict()) for t in trials]
    head = ["tried", "SNR dB", "worst layer", "own %", "agree %", "ticks"]
    if best.suggestion is None:
        verdict = "None of them does better than the network as it is."
    else:
        integers = best.diagnosis.output.equality is not None
        what = "share of unequal elements" if integers else "squared error"
        of = "" if integers else " of its square"
        verdict = (
            f"Best: {best.suggestion.text}. The {what} of the output is "
            f"{100 * best.error:.3g} %{of}, as it is {100 * trials[0].error:.3g} %."
        )
    return f"{table(head, rows, width=width)}\n\n{verdict}"


def _row(trial: Mapping[str, Any]) -> list[str]:
    suggestion, snr, own = trial["suggestion"], trial["output_snr_db"], trial["worst_own"]
    exact = trial["output_relative_error"] == 0.0
    equal = trial["output_equality"] if trial["agreement"] is None else trial["agreement"]
    return [
        "as it is" if suggestion is None else suggestion["text"],
        "exact" if exact else "-" if snr is None else f"{snr:z.1f}",
        shorten(trial["worst_layer"] or "-", _LAYER_WIDTH),
        "-" if own is None else f"{100 * own:.3g}",
        "-" if equal is None else f"{100 * equal:.1f}",
        f"{trial['latency_ticks']:,}",
    ]
