# SPDX-License-Identifier: Apache-2.0
"""What was counted at one code length: whole numbers that add up, and the ratios of them."""

from dataclasses import dataclass, field
from typing import Any

from spikewright.evaluation.fixed_work import equal_bits
from spikewright.evaluation.layer_count import LayerCount
from spikewright.evaluation.purity import operations_by_class, spike_share
from spikewright.tasks.base import Tally
from spikewright.tasks.form import SCORES
from spikewright.tasks.output_error import OutputError
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.series import Series

__all__ = ["LengthCounts"]


@dataclass(frozen=True)
class LengthCounts:
    """Everything measured at one code length; sums over samples, so results can be merged.

    Attributes:
        T: Nominal time steps.
        steps: Steps of a train (one more with an extra step).
        k: Inflation of the code.
        samples: Inputs evaluated.
        labelled: Inputs whose class was known.
        correct: Right decisions after each step 1..steps of the read-out.
        agree: Decisions equal to the original network's, after each step.
        compared: Inputs whose decision was compared with the original network's.
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
        outputs: What the outputs are, in words; decisions are those from ``"class scores"`` only.
        unused_labels: Inputs that came with labels that were not read, because the outputs are no
            class scores.
        errors: How far each output is from the original network's, if that was run and the outputs
            are no class scores.
        task: Name of the task that judged the outputs.
        scored: Figures of other tasks than classification, read back from a file.
        split: Those of parts of the data, likewise.
        tally: What such a task has found and computes them from; not written to files.
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
    outputs: str = SCORES
    unused_labels: int = 0
    unit: str = "input"
    errors: tuple[OutputError, ...] = ()
    task: str = "classification"
    scored: tuple[Series, ...] = ()
    split: tuple[PartScore, ...] = ()
    tally: Tally | None = field(default=None, compare=False, repr=False)

    @property
    def series(self) -> tuple[Series, ...]:
        """Figures of tasks that are scored as a whole, the first one is what runs are ranked by."""
        return self.scored if self.tally is None else self.tally.series

    @property
    def parts(self) -> tuple[PartScore, ...]:
        """Figures of parts of the data after the last step: sizes and classes of boxes."""
        return self.split if self.tally is None else self.tally.parts

    @property
    def has_scores(self) -> bool:
        """Whether the outputs are class scores, from which classes are decided."""
        return self.task == "classification"

    def error(self, t: int | None = None) -> float | None:
        """Return how far the output is off that is furthest from the original's, after ``t`` steps.

        The relative error of a floating output, the share of unequal elements of others; None
        without any, and where one is not known.
        """
        found = [each.off(t) for each in self.errors]
        known = [off for off in found if off is not None]
        return max(known) if found and len(known) == len(found) else None

    def snr_db(self, t: int | None = None) -> float | None:
        """Return the least signal-to-noise ratio of a floating output in dB, after ``t`` steps.

        None without any, where an error is not known, and where all are 0.
        """
        floating = [each for each in self.errors if each.is_floating]
        if any(each.off(t) is None for each in floating):
            return None
        known = [each.snr_db(t) for each in floating]
        return min((ratio for ratio in known if ratio is not None), default=None)

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
        return self.ticks_of(1.0)

    def ticks_of(self, share: float) -> int:
        """Return ticks from input to decision within which so large a share of inputs is decided.

        Args:
            share: In (0, 1], e.g. 0.5 for the median; the bound where it was not counted.
        """
        rest = self.rest_step(share) if self.settles else None
        return self.latency_ticks if rest is None else self._ticks(rest)

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
    def operations(self) -> dict[str, float]:
        """Operations on values for one input, by class; see ``evaluation/purity.py``."""
        return operations_by_class(self.layers, self.samples, self.worked_ticks / self.steps)

    @property
    def spike_purity(self) -> float | None:
        """Share of these operations that spikes drive; None if work was not counted."""
        return spike_share(self.operations)

    @property
    def bits(self) -> int:
        """Bits of an activation that can take as many values as a train: ⌈log2(largest + 1)⌉."""
        return equal_bits(self.largest)
