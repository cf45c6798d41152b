# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis found: every layer's error by cause, as data, as a table, as advice."""

import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from spikewright.diagnosis.findings import (
    BREAKS_BELOW_DB,
    Finding,
    findings,
    first_broken,
    suggestions,
)
from spikewright.diagnosis.layer_error import CAUSES, LayerDiagnosis
from spikewright.diagnosis.suggestions import Setup, Suggestion
from spikewright.errors import ConfigError
from spikewright.text import counted, percent, table

__all__ = ["SCHEMA", "Diagnosis"]

SCHEMA = "spikewright.diagnosis/2"
_PLAIN = ("provenance", "T", "k", "schedule", "neuron", "simulator", "interrupted", "samples")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The outcome of ``diagnose``; sums over inputs, so parts of a run can be merged.

    Attributes:
        layers: Populations, gates (synchronous schedule; those of the layered one are exact) and
            outputs, in execution order.
        samples: Inputs.
        T: Nominal time steps.
        k: Inflation of the code.
        schedule: ``"layered"`` or ``"synchronous"``.
        neuron: Name of the neuron model.
        simulator: Which simulator computed it.
        agreeing: Inputs whose largest output is that of the original network; None where outputs
            are no class scores.
        interrupted: Whether the user stopped it before all inputs were done.
        provenance: What was diagnosed.
    """

    layers: tuple[LayerDiagnosis, ...]
    samples: int
    T: int
    k: float
    schedule: str
    neuron: str
    simulator: str
    agreeing: int | None = None
    interrupted: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    def layer(self, name: str) -> LayerDiagnosis:
        """Return one layer.

        Raises:
            ConfigError: If there is none of this name.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ConfigError(
            f"layer {name!r}: expected one of {', '.join(x.name for x in self.layers)}."
        )

    def merge(self, other: "Diagnosis") -> "Diagnosis":
        """Add another part of the same run: other inputs, same network and simulator.

        Raises:
            ConfigError: If it is of another network or other settings.
        """
        mine, theirs = (
            (d.T, d.simulator, d.provenance, [(x.name, x.kind, x.values) for x in d.layers])
            for d in (self, other)
        )
        if mine != theirs:
            raise ConfigError(
                "merge: expected diagnoses of one network and simulator, got different ones."
            )
        return dataclasses.replace(
            self,
            layers=tuple(a.merge(b) for a, b in zip(self.layers, other.layers, strict=True)),
            samples=self.samples + other.samples,
            agreeing=None
            if self.agreeing is None or other.agreeing is None
            else self.agreeing + other.agreeing,
            interrupted=self.interrupted or other.interrupted,
        )

    @property
    def output(self) -> LayerDiagnosis:
        """The network's output; of several the one that is furthest off."""
        outputs = [x for x in self.layers if x.kind == "output"]
        return max(outputs, key=lambda x: math.inf if x.off is None else x.off)

    @property
    def worst(self) -> LayerDiagnosis | None:
        """The layer with the largest error of its own; None if the original network is silent."""
        known = [x for x in self.layers if x.own is not None and x.kind != "output"]
        return max(known, key=lambda x: x.own or 0.0, default=None)

    @property
    def breaks_first(self) -> LayerDiagnosis | None:
        """The first layer below 10 dB, inherited errors included; None if there is none."""
        return first_broken(self.layers)

    @property
    def agreement(self) -> float | None:
        """Share of inputs on which both networks decide alike; see ``agreeing``."""
        return None if self.agreeing is None else self.agreeing / self.samples

    @property
    def found(self) -> tuple[Finding, ...]:
        """What the numbers say, each with what the program itself can try."""
        setup = Setup(
            T=self.T,
            k=self.k,
            schedule=self.schedule,
            neuron=self.neuron,
            config=self.provenance.get("config", {}),
            levels=tuple(sorted({x.levels for x in self.layers if x.levels})),
        )
        return findings(self.layers, setup)

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """What ``spikewright.apply`` can try, the most effective first."""
        return suggestions(self.found)

    def findings(self) -> tuple[str, ...]:
        """Return what to do, in sentences that the numbers support."""
        return tuple(f.text for f in self.found)

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data."""
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in _PLAIN},
            "agreement": self.agreement,
            "layers": [x.to_dict() for x in self.layers],
            "breaks_first": None if self.breaks_first is None else self.breaks_first.name,
            "breaks_below_db": BREAKS_BELOW_DB,
            "findings": list(self.findings()),
            "suggestions": [s.to_dict() for s in self.suggestions],
        }

    def to_json(self) -> str:
        """Return the outcome as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def table(self, *, width: int = 80) -> str:
        """Return the outcome as text: errors by layer, neurons that stand out, what to do.

        Args:
            width: Columns to use at most.
        """
        head = (
            f"{counted(self.samples, 'input')}, {self.simulator} simulator"
            f"{' (interrupted)' if self.interrupted else ''}, T={self.T}. SNR: squared activation "
            "of the original network over squared error; own dB: with the layer's own error only. "
            "Then the parts of the squared error, in % of the squared activation; inherited: from "
            "the layers before; the others arise in the layer. 10 dB are 10 %, 20 dB are 1 %."
        )
        advice = [
            textwrap.fill(f, width, subsequent_indent="  ", break_on_hyphens=False)
            for f in self.findings()
        ]
        tables = self._errors(width), *self._integers(), *self._neurons(width)
        parts = [textwrap.fill(head, width), *tables]
        return "\n\n".join([*parts, "\n".join(advice)])

    def _errors(self, width: int) -> str:
        names = [n for n in ("inherited", *CAUSES) if any(_some(x, n) for x in self.layers)]
        rows = [
            [
                x.name,
                _decibels(x.snr_db),
                _decibels(x.own_snr_db),
                *(_percent(x.share(n)) if n in x.parts else "" for n in names),
            ]
            for x in self.layers
            if x.equal is None
        ]
        return table(["layer", "SNR dB", "own dB", *names], rows, width=width)

    def _neurons(self, width: int) -> Iterator[str]:
        """Draw the table of neurons that clip, never spike or saturate, if there are any."""
        rows = [
            [
                x.name,
                _percent(x.share_of_values("clipping")),
                f"{x.dead:,}",
                f"{x.saturated:,}",
                f"{x.values:,}",
            ]
            for x in self.layers
            if x.share_of_values("clipping") or x.dead or x.saturated
        ]
        if rows:
            yield table(["layer", "clipped %", "dead", "saturated", "of"], rows, width=width)

    def _integers(self) -> Iterator[str]:
        """Say how many elements of outputs are equal that have no error."""
        found = [x for x in self.layers if x.equality is not None]
        if found:
            yield "\n".join(
                f"{x.name}: {percent(x.equality)} of its elements are the original's."
                for x in found
            )


def _some(layer: LayerDiagnosis, part: str) -> bool:
    return part in layer.parts and layer.parts[part].squared > 0.0


def _decibels(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:z.1f}"


def _percent(share: float | None) -> str:
    """Write a share in per cent without the sign.

    Example:
        >>> [_percent(x) for x in (None, 0.0, 1e-6, 0.0123, 0.2, 4.5)]
        ['-', '0', '<0.01', '1.23', '20.0', '450']
    """
    if share is None:
        return "-"
    value = 100.0 * share
    if 0.0 < value < 0.005:
        return "<0.01"
    return "0" if not value else f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
