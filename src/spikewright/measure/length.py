# SPDX-License-Identifier: Apache-2.0
"""What was measured at one code length: whole numbers that add up, and the ratios of them."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright.errors import ConfigError
from spikewright.measure.layer_count import MOST, LayerCount, not_ours
from spikewright.measure.work import equal_bits

__all__ = ["LengthResult"]

_WHOLE = (
    "T",
    "steps",
    "awake",
    "samples",
    "labelled",
    "compared",
    "latency_ticks",
    "ticks_per_input",
)


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
        awake: Steps in which the input is on; all of them if 0 is given.
        largest: Largest number that a train stands for, in units, bursts included.
        plan: The schedule, as its ``to_dict`` writes it.
        settles: Whether a run ends with the first tick asleep in which nothing spikes; its
            ``steps`` are then a bound that no input has to reach.
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
    awake: int = 0
    largest: float = 0.0
    plan: dict[str, Any] = field(default_factory=dict)
    settles: bool = False

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

    @property
    def last_step(self) -> int:
        """The step after which nothing changes for any input; the last one without a rest."""
        rest = self.rest_step(1.0)
        return self.steps if rest is None else max(rest, self.awake or self.steps)

    @property
    def mean_ticks(self) -> float:
        """Mean ticks from input to decision; up to the last spike of a run that settles.

        The bound where it was not counted when they come.
        """
        if not self.settles or not self.at_rest:
            return float(self.latency_ticks)
        ticks = sum(self._ticks(step) * count for step, count in enumerate(self.at_rest))
        return ticks / max(1, sum(self.at_rest))

    @property
    def most_ticks(self) -> int:
        """Ticks from input to decision of the input that takes longest."""
        last = self.rest_step(1.0) if self.settles else None
        return self.latency_ticks if last is None else self._ticks(last)

    @property
    def worked_ticks(self) -> float:
        """Mean ticks in which neurons work: the silent one that ends a run that settles, too."""
        return min(self.mean_ticks + 1.0, self.steps) if self.settles else float(self.steps)

    def _ticks(self, rest: int) -> int:
        """Return when a run is decided whose last spike comes in a step; awake nothing is."""
        return max(rest, self.awake)

    def total(self, what: str) -> int:
        """Return the sum of a field of :class:`LayerCount` over all layers."""
        return sum(int(getattr(layer, what)) for layer in self.layers)

    @property
    def neurons(self) -> int:
        """Neurons that spike; an ON/OFF pair counts as two."""
        return self.total("neurons")

    @property
    def spikes(self) -> int:
        """Unit spikes of all neurons over all samples; what gates pass on is theirs."""
        return sum(layer.spikes for layer in self.layers if layer.kind == "neurons")

    @property
    def spikes_per_neuron(self) -> float:
        """Mean unit spikes of a neuron for one input."""
        return self.spikes / max(1, self.neurons * self.samples)

    @property
    def additions_per_sample(self) -> float:
        """Mean additions for one input."""
        return self.total("additions") / max(1, self.samples)

    @property
    def macs(self) -> int:
        """Multiply-adds of the original network for one input."""
        return self.total("macs")

    @property
    def analog_macs(self) -> int:
        """Multiply-adds that remain for one input."""
        return self.total("analog_macs")

    @property
    def bits(self) -> int:
        """Bits of an activation that can take as many values as a train: ⌈log2(largest + 1)⌉."""
        return equal_bits(self.largest)

    def merge(self, other: "LengthResult") -> "LengthResult":
        """Add another part of the same evaluation.

        Raises:
            ConfigError: If it is of another network or code.
        """
        by_name = {(x.name, x.kind): x for x in other.layers}
        pairs = [(x, by_name.get((x.name, x.kind))) for x in self.layers]
        settings = ("T", "steps", "awake", "k", "code", "schedule", "largest", "plan", "settles")
        if (
            any(getattr(self, name) != getattr(other, name) for name in settings)
            or len(by_name) != len(pairs)
            or not all(theirs is not None and mine.is_same(theirs) for mine, theirs in pairs)
        ):
            raise ConfigError(
                f"merge: expected results of one network, got T={self.T}, k={self.k:g} and "
                f"T={other.T}, k={other.k:g} or different layers."
            )
        layers = tuple(x.merge(by_name[x.name, x.kind]) for x in self.layers)
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
            bits=self.bits,
            mean_ticks=self.mean_ticks,
            most_ticks=self.most_ticks,
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
            layers = tuple(LayerCount.from_dict(x) for x in data["layers"])
        except (KeyError, TypeError) as error:
            raise not_ours(f"a field is missing or unknown ({error})") from error
        whole: list[Any] = []
        for key in ("correct", "agree", "spikes_by_step", "additions_by_step", "at_rest"):
            if not isinstance(plain[key], list | tuple):
                raise not_ours(f"{key} is no list")
            plain[key] = tuple(plain[key])
            whole += plain[key]
        whole += [plain[key] for key in _WHOLE]
        real = all(type(plain[key]) in (int, float) for key in ("k", "largest"))
        if any(type(v) is not int or not 0 <= v < MOST for v in whole) or not real:
            raise not_ours("a count is no whole number")
        if (
            min(plain["T"], plain["steps"]) < 1
            or not 1 <= plain["k"] <= 2
            or not 0 < plain["largest"] < MOST
        ):
            raise not_ours("it has no steps, or a code that there is not")
        right = (*plain["correct"], 0), (*plain["agree"], 0)
        known = plain["labelled"], plain["compared"]
        if any(max(r) > n for r, n in zip(right, known, strict=True)) or (
            max(known) > plain["samples"]
        ):
            raise not_ours("more is right than was run")
        if type(plain["settles"]) is not bool or not _is_plan(plain["plan"]):
            raise not_ours("a field is of another kind")
        sizes = {len(plain["correct"]), len(plain["agree"])}
        by_step = {len(plain["spikes_by_step"]), len(plain["additions_by_step"])}
        rest = len(plain["at_rest"])
        if (
            sizes != {plain["steps"]}
            or not by_step <= {0, plain["steps"]}
            or rest not in (0, plain["steps"] + 1)
        ):
            raise not_ours("a list has not one number for each step")
        result = cls(layers=layers, **plain)
        if json.loads(json.dumps(result.to_dict())) != json.loads(json.dumps(dict(data))):
            raise not_ours("its ratios do not follow from its counts")
        return result


def _is_plan(plan: object) -> bool:
    """Tell whether it is what a schedule writes."""
    if not isinstance(plan, dict) or type(plan.get("steps")) is not int or plan["steps"] < 1:
        return False
    if plan.get("kind") != "layered":
        return plan.get("kind") in ("synchronous", "wake-sleep")
    phases, delays = plan.get("phases"), plan.get("delays")
    return (
        isinstance(phases, list | tuple)
        and all(isinstance(p, list | tuple) and len(p) == 4 for p in phases)
        and all(type(p[2]) is type(p[3]) is int for p in phases)
        and isinstance(delays, list | tuple)
        and all(isinstance(d, list | tuple) and len(d) == 2 for d in delays)
        and all(type(d[1]) is int for d in delays)
    )


def _sums(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))
