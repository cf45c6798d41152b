# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found: whole numbers that add up, and the ratios people read."""

import dataclasses
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright.errors import ConfigError
from spikewright.evaluation.answer_text import (
    answer_cells,
    answer_notes,
    answer_titles,
    every_output,
)
from spikewright.evaluation.layer_count import RECEIVES
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.part_text import part_text
from spikewright.evaluation.rasters import Example
from spikewright.tasks.stored import not_ours
from spikewright.text import counted, number, percent, table

__all__ = ["SCHEMA", "Result"]

SCHEMA = "spikewright.result/5"


@dataclass(frozen=True)
class Result:
    """The outcome of ``evaluate``.

    Attributes:
        lengths: One entry for each code length, shortest first.
        reference_correct: Right decisions of the original network.
        reference_samples: Inputs of known class that the original network decided.
        simulator: Which simulator computed it.
        interrupted: Whether the user stopped it before all inputs were done.
        provenance: What was evaluated.
        examples: Some of the inputs, looked at closely, on the longest code.
    """

    lengths: tuple[LengthResult, ...]
    reference_correct: int
    reference_samples: int
    simulator: str
    interrupted: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def reference_accuracy(self) -> float | None:
        """Accuracy of the original network on the same inputs; None if it was not run."""
        return self.reference_correct / self.reference_samples if self.reference_samples else None

    @property
    def accuracy(self) -> float | None:
        """Accuracy at the last step of the longest code."""
        return self.lengths[-1].accuracy()

    def at(self, T: int) -> LengthResult:
        """Return the numbers of one code length.

        Raises:
            ConfigError: If it was not evaluated.
        """
        for length in self.lengths:
            if length.T == T:
                return length
        known = ", ".join(str(x.T) for x in self.lengths)
        raise ConfigError(f"T={T}: expected one of the evaluated code lengths {known}.")

    def merge(self, other: "Result") -> "Result":
        """Add another part of the same evaluation: other samples, same network and settings.

        Raises:
            ConfigError: If it is of another network or other settings.
        """
        if self.simulator != other.simulator or self.provenance != other.provenance:
            raise ConfigError(
                "merge: expected results of one network and simulator, got different ones."
            )
        if [x.T for x in self.lengths] != [x.T for x in other.lengths]:
            raise ConfigError("merge: expected the same code lengths in both results.")
        return dataclasses.replace(
            self,
            lengths=tuple(a.merge(b) for a, b in zip(self.lengths, other.lengths, strict=True)),
            reference_correct=self.reference_correct + other.reference_correct,
            reference_samples=self.reference_samples + other.reference_samples,
            interrupted=self.interrupted or other.interrupted,
            examples=tuple(sorted((*self.examples, *other.examples), key=lambda e: e.index)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data."""
        return {
            "schema": SCHEMA,
            "provenance": self.provenance,
            "simulator": self.simulator,
            "interrupted": self.interrupted,
            "reference_correct": self.reference_correct,
            "reference_samples": self.reference_samples,
            "reference_accuracy": self.reference_accuracy,
            "lengths": [x.to_dict() for x in self.lengths],
            "examples": [dataclasses.asdict(x) for x in self.examples],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Result":
        """Rebuild what :meth:`to_dict` wrote; what else is in the dictionary is left out.

        Raises:
            FileFormatError: If it is something else, or its numbers contradict each other.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            schema = data.get("schema") if isinstance(data, Mapping) else None
            raise not_ours(f"its schema is {schema!r}, not {SCHEMA!r}")
        try:
            result = cls(
                lengths=tuple(LengthResult.from_dict(x) for x in data["lengths"]),
                reference_correct=data["reference_correct"],
                reference_samples=data["reference_samples"],
                simulator=data["simulator"],
                interrupted=data["interrupted"],
                provenance=data["provenance"],
                examples=tuple(Example.from_dict(x) for x in data["examples"]),
            )
        except (KeyError, TypeError) as error:
            raise not_ours(f"a field is missing or of another kind ({error})") from error
        counts = (result.reference_correct, result.reference_samples)
        if any(type(c) is not int or c < 0 for c in counts) or not result.lengths:
            raise not_ours("a count is no whole number, or nothing was measured")
        samples = result.lengths[0].samples
        if not result.reference_correct <= result.reference_samples <= samples:
            raise not_ours("more is right than was run")
        if len({x.T for x in result.lengths}) < len(result.lengths):
            raise not_ours("a code length is there twice")
        kinds = (result.interrupted, bool), (result.provenance, dict), (result.simulator, str)
        if any(type(value) is not kind for value, kind in kinds):
            raise not_ours("a field is of another kind")
        return result

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Rebuild what :meth:`to_json` wrote, or a file that holds more besides.

        Raises:
            FileFormatError: If the text is cut off or something else; see :meth:`from_dict`.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise not_ours(f"it is no whole JSON ({error})") from error
        return cls.from_dict(data)

    def to_json(self) -> str:
        """Return the outcome as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def table(self, *, layers: bool = False, width: int = 80) -> str:
        """Return the outcome as text.

        Args:
            layers: Whether to add a table per layer for the longest code.
            width: Columns to use at most.
        """
        notes = [textwrap.fill(note, width) for note in answer_notes(self.lengths[-1])]
        lines = [self._head(), *notes, ""]
        if len(self.lengths) > 1:
            lines += [self._by_length(width), ""]
        lines += [self._by_step(width)]
        if outputs := every_output(self.lengths[-1]):
            head = ["output", "elements", "after the last step"]
            lines += ["", table(head, outputs, width=width)]
        if layers:
            lines += ["", self._by_layer(width)]
        return "\n".join(lines)

    def class_table(self, width: int = 80) -> str:
        """Return the average precision of boxes by size and class, for the longest code, as text.

        Args:
            width: Columns to use at most.
        """
        return part_text(self.lengths[-1].parts, width)

    def _head(self) -> str:
        last = self.lengths[-1]
        ann = self.reference_accuracy
        text = f"{counted(last.samples, last.unit)}, {self.simulator} simulator"
        text += " (interrupted)" if self.interrupted else ""
        if ann is None:
            return text
        all_of_them = self.reference_samples == last.samples
        which = "same" if all_of_them else f"{self.reference_samples:,} labelled"
        on = f"the {which} inputs" if last.unit == "input" else f"{self.reference_samples:,} texts"
        return f"{text}; ANN accuracy {100 * ann:.2f} % on {on}"

    def _by_length(self, width: int) -> str:
        rows = [
            [
                f"{x.T}",
                *answer_cells(x),
                f"{x.spikes_per_neuron:.3f}",
                number(x.additions_per_sample),
                f"{x.additions_per_sample / max(1, x.macs):.3f}",
                f"{x.most_ticks}",
                f"{x.mean_ticks:.1f}" if x.settles else f"{x.ticks_per_input}",
            ]
            for x in self.lengths
        ]
        head = [
            "T",
            *answer_titles(self.lengths[-1]),
            "spikes/neuron",
            "additions",
            "÷ MACs",
            "latency",
            "ticks/input",
        ]
        return table(head, rows, width=width, left=0)

    def _by_step(self, width: int) -> str:
        last = self.lengths[-1]
        rows = [
            [str(t), str(last.latency_ticks - last.steps + t), *answer_cells(last, t)]
            for t in range(1, last.last_step + 1)
        ]
        head = [f"step (T={last.T})", "tick", *answer_titles(last, "agrees with ANN")]
        text = table(head, rows, width=width, left=0)
        rest = ""
        if last.at_rest:
            rest = (
                f"at rest after {last.rest_step(0.5)} ticks (median), {last.rest_step(0.99)} "
                f"(99 % of {last.unit}s), {last.rest_step(1.0)} (all), {last.T} of them awake\n"
            )
        if not last.layers:
            return f"{text}\n\n{_latency(last)}"
        return (
            f"{text}\n\n{rest}per {last.unit}: {last.spikes_per_neuron:.3f} spikes a neuron, "
            f"{number(last.additions_per_sample)} additions and {number(last.analog_macs)} "
            f"multiply-adds\n(ANN: {number(last.macs)} multiply-adds)\n"
            f"{textwrap.fill(_purity(last), width)}\n{_latency(last)}"
        )

    def _by_layer(self, width: int) -> str:
        last = self.lengths[-1]
        functions = any(x.function_operations for x in last.layers)
        rows = [
            [
                x.name,
                x.kind,
                f"{x.spikes / max(1, x.neurons * last.samples):.3f}" if x.neurons else "",
                number(x.additions / max(1, last.samples)) if x.kind in RECEIVES else "",
                *(
                    [number(x.function_operations) if x.function_operations else ""]
                    if functions
                    else []
                ),
                number(x.macs) if x.macs else "",
                number(x.analog_macs) if x.analog_macs else "",
            ]
            for x in last.layers
        ]
        head = ["layer", "kind", "spikes/neuron", "additions"]
        head += [*(["on values"] if functions else []), "ANN MACs", "MACs left"]
        return table(head, rows, width=width, left=2)


def _purity(length: LengthResult) -> str:
    """Say what share of the operations spikes drive, and what the others are."""
    operations = length.operations
    total = sum(operations.values()) or 1.0
    (spikes, own), *others = operations.items()
    rest = [f"{name} {percent(n / total)}" for name, n in others if n]
    but = f"; {', '.join(rest)}" if rest else ""
    return f"spike purity: {percent(own / total)} of its operations are {spikes}{but}"


def _latency(length: LengthResult) -> str:
    if length.settles and not length.at_rest:
        bound = f"latency {length.latency_ticks} ticks at most"
        return f"{bound}, a bound (when it settles was not counted)"
    if length.settles:
        return (
            f"latency {length.mean_ticks:.1f} ticks on average, {length.most_ticks} at most "
            f"(the bound is {length.latency_ticks})"
        )
    ticks = counted(length.ticks_per_input, "tick")
    every = f"one {length.unit} every {ticks} (two membranes a neuron)"
    return f"latency {counted(length.latency_ticks, 'tick')}, {every}"
