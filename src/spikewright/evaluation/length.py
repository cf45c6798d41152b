# SPDX-License-Identifier: Apache-2.0
"""The result of one code length: parts of one evaluation merge, files hold it."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.errors import ConfigError
from spikewright.evaluation.layer_count import LayerCount
from spikewright.evaluation.length_check import check_plain
from spikewright.evaluation.length_counts import LengthCounts
from spikewright.tasks.output_error import OutputError
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.series import Series
from spikewright.tasks.stored import not_ours

__all__ = ["LengthResult"]

_PARTS = ("layers", "errors", "scored", "split", "tally")
_FIGURES = (  # written to files for their readers; they follow from the fields
    *("spikes_per_neuron", "additions_per_sample", "macs", "analog_macs", "bits"),
    *("mean_ticks", "most_ticks", "operations", "spike_purity"),
)


@dataclass(frozen=True)
class LengthResult(LengthCounts):
    """Everything measured at one code length; its fields are those of :class:`LengthCounts`."""

    def merge(self, other: "LengthResult") -> "LengthResult":
        """Add another part of the same evaluation.

        Raises:
            ConfigError: If it is of another network or code.
        """
        by_name = {(x.name, x.kind): x for x in other.layers}
        pairs = [(x, by_name.get((x.name, x.kind))) for x in self.layers]
        settings = (
            "T",
            "steps",
            "awake",
            "k",
            "code",
            "schedule",
            "largest",
            "plan",
            "settles",
            "unit",
        )
        if (
            any(getattr(self, name) != getattr(other, name) for name in (*settings, "outputs"))
            or len(self.errors) != len(other.errors)
            or len(by_name) != len(pairs)
            or not all(theirs is not None and mine.is_same(theirs) for mine, theirs in pairs)
        ):
            raise ConfigError(
                f"merge: expected results of one network, got T={self.T}, k={self.k:g} and "
                f"T={other.T}, k={other.k:g} or different layers."
            )
        layers = tuple(x.merge(by_name[x.name, x.kind]) for x in self.layers)
        tallies = self.tally, other.tally
        if self.scored or other.scored or (tallies[0] is None) != (tallies[1] is None):
            raise ConfigError(
                f"merge: expected results of {self.task} as evaluate() returned them, got one "
                "read from a file, which holds figures but not what they are made of. Evaluate "
                "again."
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
            unused_labels=self.unused_labels + other.unused_labels,
            errors=tuple(a.merge(b) for a, b in zip(self.errors, other.errors, strict=True)),
            tally=None if self.tally is None else self.tally.merge(other.tally),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-able data, ratios included."""
        plain = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _PARTS
        }
        plain["layers"] = [dataclasses.asdict(x) for x in self.layers]
        plain["errors"] = [x.to_dict() for x in self.errors]
        plain["series"] = [x.to_dict() for x in self.series]
        plain["parts"] = [x.to_dict() for x in self.parts]
        plain.update(
            accuracy=[self.accuracy(t) for t in range(1, self.steps + 1)],
            agreement=[self.agreement(t) for t in range(1, self.steps + 1)],
            **{name: getattr(self, name) for name in _FIGURES},
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
            plain = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name not in _PARTS}
            layers = tuple(LayerCount.from_dict(x) for x in data["layers"])
            errors, series = tuple(data["errors"]), tuple(data["series"])
            parts = tuple(data["parts"])
        except (KeyError, TypeError) as error:
            raise not_ours(f"a field is missing or unknown ({error})") from error
        check_plain(plain)
        if plain["task"] != "classification" and (plain["labelled"] or plain["compared"]):
            raise not_ours("decisions were compared of outputs that are no class scores")
        errors = tuple(OutputError.from_dict(x, plain["steps"]) for x in errors)
        scored = tuple(Series.from_dict(x, plain["steps"]) for x in series)
        split = tuple(PartScore.from_dict(x) for x in parts)
        result = cls(layers=layers, errors=errors, scored=scored, split=split, **plain)
        if json.loads(json.dumps(result.to_dict())) != json.loads(json.dumps(dict(data))):
            raise not_ours("its ratios do not follow from its counts")
        return result


def _sums(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))
