# SPDX-License-Identifier: Apache-2.0
"""What a comparison has measured: the original network once, each method at each T."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.errors import FileFormatError
from spikewright.evaluation.length import LengthResult

__all__ = ["Ann", "Cell", "Figures", "Point", "points"]


@dataclass(frozen=True)
class Ann:
    """The original network on the same inputs.

    Attributes:
        decisions: Class of each input, in order; empty where outputs are no class scores.
        correct: Right decisions.
        labelled: Inputs whose class was known.
        seconds: What it took.
        samples: Inputs.
        classes: How many classes it has scores for; 0 where outputs are no class scores.
    """

    decisions: tuple[int, ...]
    correct: int
    labelled: int
    seconds: float
    samples: int
    classes: int

    @property
    def accuracy(self) -> float | None:
        """Share of right decisions, None without labels."""
        return self.correct / self.labelled if self.labelled else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {**dataclasses.asdict(self), "decisions": list(self.decisions)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Ann":
        """Rebuild what :meth:`to_dict` wrote; FileFormatError if it is something else."""
        try:
            decisions, seconds = tuple(data["decisions"]), float(data["seconds"])
            counts = [data[name] for name in ("correct", "labelled", "samples", "classes")]
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"a field is missing or of another kind ({error})") from error
        if any(type(v) is not int for v in (*decisions, *counts)):
            raise FileFormatError("a count is no whole number")
        correct, labelled, samples, classes = counts
        return cls(decisions, correct, labelled, seconds, samples, classes)


@dataclass(frozen=True)
class Cell:
    """One method, converted for one T and evaluated.

    Attributes:
        label: The entry's.
        method: The method's name.
        config: Its settings, T included.
        T: Time steps.
        anytime: Whether step t < T is what the method converted for T = t would do.
        result: What was measured.
        convert_s: Seconds of the conversion.
        evaluate_s: Seconds of the evaluation.
    """

    label: str
    method: str
    config: dict[str, Any]
    T: int
    anytime: bool
    result: LengthResult
    convert_s: float
    evaluate_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**plain, "result": self.result.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], label: str) -> "Cell":
        """Rebuild what :meth:`to_dict` wrote, under the label of this comparison.

        Raises:
            FileFormatError: If it is something else.
        """
        try:
            plain = {f.name: data[f.name] for f in dataclasses.fields(cls)}
            result = LengthResult.from_dict(plain["result"])
            return cls(**{**plain, "result": result, "label": label})
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"a field is missing or of another kind ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a network has shown after one step, or at the end of one T; never the best of several.

    Attributes:
        accuracy: Share of right decisions, None without labels.
        agreement: Share of decisions equal to the original network's.
        error: Of outputs that are no class scores, how far the one is off that is furthest from the
            original's: the relative error, of integers the share of unequal elements.
        snr_db: The least signal-to-noise ratio of an output in dB, likewise; see ``LengthResult``.
        series: Figures of other tasks than classification, by name.
        additions: Additions for one input: up to this step (synchronous schedule), or of the whole
            run (layered: all is sent before the read-out has its last train).
        spikes_per_neuron: Unit spikes of a neuron for one input, likewise.
    """

    accuracy: float | None
    agreement: float | None
    error: float | None
    snr_db: float | None
    series: dict[str, float | None]
    additions: float
    spikes_per_neuron: float


@dataclass(frozen=True, kw_only=True)
class Point(Figures):
    """What a network has done by one step.

    Attributes:
        t: Step of the train, from 1.
        tick: Ticks since the input began.
        correct: Right decisions.
    """

    t: int
    tick: int
    correct: int


def points(result: LengthResult) -> Iterator[Point]:
    """Yield what a network has done after each of its steps."""
    samples = max(1, result.samples)
    neurons = max(1, sum(layer.neurons for layer in result.layers))
    for t in range(1, result.last_step + 1):
        if result.additions_by_step:
            additions = result.additions_by_step[t - 1] / samples
            spikes = result.spikes_by_step[t - 1] / (samples * neurons)
        else:
            additions, spikes = result.additions_per_sample, result.spikes_per_neuron
        yield Point(
            t=t,
            tick=result.latency_ticks - result.steps + t,
            correct=result.correct[t - 1],
            accuracy=result.accuracy(t),
            agreement=result.agreement(t),
            error=result.error(t),
            snr_db=result.snr_db(t),
            series={each.name: each.at(t) for each in result.series},
            additions=additions,
            spikes_per_neuron=spikes,
        )
