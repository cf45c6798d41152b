# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis found: every layer's error by cause, as data, as a table, as advice."""

import dataclasses
import json
import textwrap
from dataclasses import dataclass, field
from typing import Any

from spikewright.errors import ConfigError
from spikewright.measure.findings import findings
from spikewright.measure.layer_error import CAUSES, LayerDiagnosis
from spikewright.text import counted, table

__all__ = ["SCHEMA", "Diagnosis"]

SCHEMA = "spikewright.diagnosis/1"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The outcome of ``diagnose``; sums over inputs, so parts of a run can be merged.

    Attributes:
        layers: Populations, gates (synchronous schedule; those of the layered one are exact) and
            the output, in execution order.
        samples: Inputs.
        T: Nominal time steps.
        k: Inflation of the code.
        schedule: ``"layered"`` or ``"synchronous"``.
        neuron: Name of the neuron model.
        simulator: Which simulator computed it.
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
            interrupted=self.interrupted or other.interrupted,
        )

    def findings(self) -> tuple[str, ...]:
        """Return what to do, in sentences that the numbers support."""
        return findings(
            self.layers,
            T=self.T,
            k=self.k,
            schedule=self.schedule,
            neuron=self.neuron,
            config=self.provenance.get("config", {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data."""
        return {
            "schema": SCHEMA,
            "provenance": self.provenance,
            "T": self.T,
            "k": self.k,
            "schedule": self.schedule,
            "neuron": self.neuron,
            "simulator": self.simulator,
            "interrupted": self.interrupted,
            "samples": self.samples,
            "layers": [x.to_dict() for x in self.layers],
            "findings": list(self.findings()),
        }

    def to_json(self) -> str:
        """Return the outcome as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def table(self, *, width: int = 80) -> str:
        """Return the outcome as text: one row a layer, then what to do.

        Args:
            width: Columns to use at most.
        """
        head = (
            f"{counted(self.samples, 'input')}, {self.simulator} simulator"
            f"{' (interrupted)' if self.interrupted else ''}, T={self.T}. Squared error of every "
            "layer and of its parts, in % of the squared activation of the original network; "
            "inherited: from the layers before; the others arise in the layer."
        )
        names = [n for n in ("inherited", *CAUSES) if any(_some(x, n) for x in self.layers)]
        rows = [
            [
                x.name,
                "-" if x.snr_db is None else f"{x.snr_db:z.1f}",
                _percent(x.relative_error),
                *(_percent(x.share(n)) if n in x.parts else "" for n in names),
            ]
            for x in self.layers
        ]
        text = table(["layer", "SNR dB", "error", *names], rows, width=width)
        advice = [
            textwrap.fill(f, width, subsequent_indent="  ", break_on_hyphens=False)
            for f in self.findings()
        ]
        return "\n".join([textwrap.fill(head, width), "", text, "", *advice])


def _some(layer: LayerDiagnosis, part: str) -> bool:
    return part in layer.parts and layer.parts[part].squared > 0.0


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
