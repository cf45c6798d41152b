# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found: whole numbers that add up, and the ratios people read."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright.errors import ConfigError, FileFormatError
from spikewright.text import table

__all__ = ["LayerCount", "LengthResult", "Result"]

SCHEMA = "spikewright.result/1"
_WHOLE = ("T", "steps", "samples", "labelled", "compared", "latency_ticks", "ticks_per_input")


@dataclass(frozen=True)
class LayerCount:
    """Work of one layer over all samples.

    Attributes:
        name: Module path, or the site's name for shortcut wires.
        kind: ``"layer"``, ``"shortcut"`` or ``"neurons"``.
        spikes: Unit spikes sent (neurons only).
        neurons: Neurons (neurons only); an ON/OFF pair counts as two.
        additions: Additions caused by spikes (layers and shortcuts only).
        macs: Multiply-adds of the original layer per sample.
        analog_macs: Multiply-adds that remain, per sample.
    """

    name: str
    kind: str
    spikes: int = 0
    neurons: int = 0
    additions: int = 0
    macs: int = 0
    analog_macs: int = 0


@dataclass(frozen=True)
class LengthResult:
    """Everything measured at one code length; sums over samples, so results can be merged.

    Attributes:
        T: Nominal time steps.
        steps: Steps of a train (one more with an extra step).
        k: Inflation of the code.
        samples: Inputs evaluated.
        labelled: Inputs that had a label.
        correct: Right decisions after each step 1..steps of the read-out.
        agree: Decisions equal to the original network's, after each step.
        compared: Inputs that the original network was run on.
        latency_ticks: Ticks from input to decision.
        ticks_per_input: Ticks between inputs in steady state, two membranes a neuron.
        layers: Work per layer and per population.
        code: Name of the code.
        schedule: ``"layered"``, ``"synchronous"`` or ``"wake-sleep"``.
        spikes_by_step: Unit spikes of all neurons up to each step (not for the layered schedule:
            such a network sends everything before the read-out's last train ends).
        additions_by_step: Additions up to each step, likewise.
        at_rest: How many inputs had their last spike, of any neuron, in step 0 (none at all), 1, …
            (wake-sleep schedule only).
    """

    T: int
    steps: int
    k: float
    samples: int
    labelled: int
    correct: tuple[int, ...]
    agree: tuple[int, ...]
    compared: int
    latency_ticks: int
    ticks_per_input: int
    layers: tuple[LayerCount, ...]
    code: str = "radix"
    schedule: str = "layered"
    spikes_by_step: tuple[int, ...] = ()
    additions_by_step: tuple[int, ...] = ()
    at_rest: tuple[int, ...] = ()

    def accuracy(self, t: int | None = None) -> float | None:
        """Return the share of right decisions after ``t`` steps, all by default."""
        return self.correct[(t or self.steps) - 1] / self.labelled if self.labelled else None

    def agreement(self, t: int | None = None) -> float | None:
        """Return the share of decisions equal to the original network's after ``t`` steps."""
        return self.agree[(t or self.steps) - 1] / self.compared if self.compared else None

    def rest_step(self, share: float) -> int | None:
        """Return the step after which so large a share of the inputs is at rest.

        Args:
            share: In (0, 1], e.g. 0.5 for the median.

        Returns:
            A step, None if the schedule has no rest. An input whose last spike comes in the very
            last step counts as at rest from there on, whether or not it is.
        """
        total, seen = sum(self.at_rest), 0
        for step, count in enumerate(self.at_rest):
            seen += count
            if total and seen >= share * total:
                return step
        return None

    def _sum(self, what: str) -> int:
        return sum(int(getattr(layer, what)) for layer in self.layers)

    @property
    def spikes_per_neuron(self) -> float:
        """Mean unit spikes of a neuron for one input."""
        return self._sum("spikes") / max(1, self._sum("neurons") * self.samples)

    @property
    def additions_per_sample(self) -> float:
        """Mean additions for one input."""
        return self._sum("additions") / max(1, self.samples)

    @property
    def macs(self) -> int:
        """Multiply-adds of the original network for one input."""
        return self._sum("macs")

    @property
    def analog_macs(self) -> int:
        """Multiply-adds that remain for one input."""
        return self._sum("analog_macs")

    def merge(self, other: "LengthResult") -> "LengthResult":
        """Add another part of the same evaluation.

        Raises:
            ConfigError: If it is of another network or code.
        """
        mine, theirs = (
            {(x.name, x.kind, x.neurons, x.macs) for x in r.layers} for r in (self, other)
        )
        same = (self.T, self.steps, self.k, self.code, self.schedule) == (
            other.T,
            other.steps,
            other.k,
            other.code,
            other.schedule,
        )
        if not same or mine != theirs:
            raise ConfigError(
                f"merge: expected results of one network, got T={self.T}, k={self.k:g} and "
                f"T={other.T}, k={other.k:g} or different layers."
            )
        by_name = {(x.name, x.kind): x for x in other.layers}
        layers = tuple(
            dataclasses.replace(
                x,
                spikes=x.spikes + by_name[x.name, x.kind].spikes,
                additions=x.additions + by_name[x.name, x.kind].additions,
            )
            for x in self.layers
        )
        return dataclasses.replace(
            self,
            samples=self.samples + other.samples,
            labelled=self.labelled + other.labelled,
            compared=self.compared + other.compared,
            correct=_sums(self.correct, other.correct),
            agree=_sums(self.agree, other.agree),
            spikes_by_step=_sums(self.spikes_by_step, other.spikes_by_step),
            additions_by_step=_sums(self.additions_by_step, other.additions_by_step),
            at_rest=_sums(self.at_rest, other.at_rest),
            layers=layers,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-able data, ratios included."""
        plain = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "layers"
        }
        plain["layers"] = [dataclasses.asdict(x) for x in self.layers]
        plain.update(
            accuracy=[self.accuracy(t) for t in range(1, self.steps + 1)],
            agreement=[self.agreement(t) for t in range(1, self.steps + 1)],
            spikes_per_neuron=self.spikes_per_neuron,
            additions_per_sample=self.additions_per_sample,
            macs=self.macs,
            analog_macs=self.analog_macs,
        )
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LengthResult":
        """Rebuild what :meth:`to_dict` wrote, also after it has been JSON.

        Raises:
            FileFormatError: If a field is missing, unknown or of another kind, or a ratio does not
                follow from the counts.
        """
        try:
            plain = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name != "layers"}
            layers = tuple(LayerCount(**x) for x in data["layers"])
        except (KeyError, TypeError) as error:
            raise _not_ours(f"a field is missing or unknown ({error})") from error
        names = {"name", "kind"}
        whole = [v for x in layers for k, v in dataclasses.asdict(x).items() if k not in names]
        for key in ("correct", "agree", "spikes_by_step", "additions_by_step", "at_rest"):
            if not isinstance(plain[key], list | tuple):
                raise _not_ours(f"{key} is no list")
            plain[key] = tuple(plain[key])
            whole += plain[key]
        whole += [plain[key] for key in _WHOLE]
        if any(type(v) is not int or v < 0 for v in whole) or type(plain["k"]) not in (int, float):
            raise _not_ours("a count is no whole number")
        sizes = {len(plain["correct"]), len(plain["agree"])}
        by_step = {len(plain["spikes_by_step"]), len(plain["additions_by_step"])}
        rest = len(plain["at_rest"])
        if (
            sizes != {plain["steps"]}
            or not by_step <= {0, plain["steps"]}
            or rest not in (0, plain["steps"] + 1)
        ):
            raise _not_ours("a list has not one number for each step")
        result = cls(layers=layers, **plain)
        if json.loads(json.dumps(result.to_dict())) != json.loads(json.dumps(dict(data))):
            raise _not_ours("its ratios do not follow from its counts")
        return result


@dataclass(frozen=True)
class Result:
    """The outcome of ``evaluate``.

    Attributes:
        lengths: One entry for each code length, shortest first.
        reference_correct: Right decisions of the original network.
        reference_samples: Labelled inputs that the original network was run on.
        simulator: Which simulator computed it.
        interrupted: Whether the user stopped it before all inputs were done.
        provenance: What was evaluated.
    """

    lengths: tuple[LengthResult, ...]
    reference_correct: int
    reference_samples: int
    simulator: str
    interrupted: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

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
        }

    def to_json(self) -> str:
        """Return the outcome as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def table(self, *, layers: bool = False, width: int = 80) -> str:
        """Return the outcome as text.

        Args:
            layers: Whether to add a table per layer for the longest code.
            width: Columns to use at most.
        """
        lines = [self._head(), ""]
        if len(self.lengths) > 1:
            lines += [self._by_length(width), ""]
        lines += [self._by_step(width)]
        if layers:
            lines += ["", self._by_layer(width)]
        return "\n".join(lines)

    def _head(self) -> str:
        last = self.lengths[-1]
        ann = self.reference_accuracy
        text = f"{last.samples:,} inputs, {self.simulator} simulator"
        text += " (interrupted)" if self.interrupted else ""
        return text if ann is None else f"{text}; ANN accuracy {100 * ann:.2f} % on the same inputs"

    def _by_length(self, width: int) -> str:
        rows = [
            [
                f"{x.T}",
                percent(x.accuracy()),
                percent(x.agreement()),
                f"{x.spikes_per_neuron:.3f}",
                number(x.additions_per_sample),
                f"{x.additions_per_sample / max(1, x.macs):.3f}",
                f"{x.latency_ticks}",
                f"{x.ticks_per_input}",
            ]
            for x in self.lengths
        ]
        head = [
            "T",
            "accuracy",
            "agrees",
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
            [
                str(t),
                str(last.latency_ticks - last.steps + t),
                percent(last.accuracy(t)),
                percent(last.agreement(t)),
            ]
            for t in range(1, (last.rest_step(1.0) or last.steps) + 1)
        ]
        head = [f"step (T={last.T})", "tick", "accuracy", "agrees with ANN"]
        text = table(head, rows, width=width, left=0)
        rest = ""
        if last.at_rest:
            rest = (
                f"at rest after {last.rest_step(0.5)} ticks (median), {last.rest_step(0.99)} "
                f"(99 % of inputs), {last.rest_step(1.0)} (all), {last.T} of them awake\n"
            )
        return (
            f"{text}\n\n{rest}per input: {last.spikes_per_neuron:.3f} spikes a neuron, "
            f"{number(last.additions_per_sample)} additions and {number(last.analog_macs)} "
            f"multiply-adds\n(ANN: {number(last.macs)} multiply-adds)\n"
            f"latency {last.latency_ticks} ticks, one input every {last.ticks_per_input} ticks "
            "(two membranes a neuron)"
        )

    def _by_layer(self, width: int) -> str:
        last = self.lengths[-1]
        rows = [
            [
                x.name,
                x.kind,
                f"{x.spikes / max(1, x.neurons * last.samples):.3f}" if x.neurons else "",
                number(x.additions / max(1, last.samples)) if x.kind != "neurons" else "",
                number(x.macs) if x.macs else "",
                number(x.analog_macs) if x.analog_macs else "",
            ]
            for x in last.layers
        ]
        head = ["layer", "kind", "spikes/neuron", "additions", "ANN MACs", "MACs left"]
        return table(head, rows, width=width, left=2)


def _not_ours(what: str) -> FileFormatError:
    return FileFormatError(f"result: expected what to_dict() wrote, but {what}. Measure it again.")


def _sums(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def percent(share: float | None) -> str:
    """Write a share in per cent, or a dash."""
    return "-" if share is None else f"{100 * share:.2f} %"


def number(value: float) -> str:
    """Write a count with three digits and k, M or G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"
