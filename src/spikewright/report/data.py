# SPDX-License-Identifier: Apache-2.0
"""A report as numbers for other programs: one JSON object, or one long table."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

from spikewright.energy.energy import OPPONENTS, energy_by_layer
from spikewright.evaluation.length import LengthResult
from spikewright.report.content import Content, Priced, not_counted

__all__ = ["COLUMNS", "SCHEMA", "to_csv", "to_dict", "to_json"]

SCHEMA = "spikewright.report/3"

COLUMNS = ("run", "table", "row", "quantity", "value")
"""Columns of the CSV file: one number a line."""

_Line = tuple[str, str, str, float | int | None]


def to_dict(found: Content) -> dict[str, Any]:
    """Return a report as JSON-able data, energies and verdicts included."""
    measured = found.measured
    return {
        "schema": SCHEMA,
        "title": measured.title,
        "verdict": list(found.verdict),
        "interrupted": measured.interrupted,
        "ann_accuracy": measured.ann_accuracy,
        "runs": [
            {
                "label": priced.run.label,
                "verdict": list(priced.verdict),
                "energies": [e.to_dict() for e in priced.energies],
                "result": priced.run.result.to_dict(),
                "examples": [dataclasses.asdict(e) for e in priced.run.examples],
            }
            for priced in found.runs
        ],
        "data": dict(measured.data),
        "hardware": measured.hardware and dataclasses.asdict(measured.hardware),
        "provenance": {name: dict(facts) for name, facts in measured.provenance.items()},
        "not_counted": list(not_counted(found.models)),
    }


def to_json(found: Content) -> str:
    """Return a report as JSON; see :func:`to_dict`."""
    return json.dumps(to_dict(found), indent=1) + "\n"


def to_csv(found: Content) -> str:
    """Return a report as one long table, a number a line; see :data:`COLUMNS`.

    ``table`` is ``total`` (one row, named after the code length), ``step`` (rows are steps from 1),
    ``part`` (rows are "class name" or "size name" of boxes), ``layer`` (rows are "name (kind)") or
    ``energy`` (rows are models). Shares are fractions of one,
    energies in pJ; additions, spikes and energies are for one input. What is not known, or never
    reached, is left empty. Energy is split by the first model.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for priced in found.runs:
        for part in (_totals, _steps, _parts, _layers, _energies):
            for *names, value in part(found, priced):
                lines.writerow([priced.run.label, *names, "" if value is None else value])
    return text.getvalue()


def _totals(found: Content, priced: Priced) -> Iterator[_Line]:
    x = priced.run.result
    answers: dict[str, float | None] = (
        {
            "accuracy": x.accuracy(),
            "ann_accuracy": found.measured.ann_accuracy,
            "agreement": x.agreement(),
        }
        if x.has_scores
        else dict(_errors(x))
    )
    values = {
        **answers,
        "samples": x.samples,
        "additions": x.additions_per_sample,
        "macs": x.macs,
        "analog_macs": x.analog_macs,
        **{name.replace(" ", "_").replace("-", "_"): n for name, n in x.operations.items()},
        "spike_purity": x.spike_purity,
        "spikes_per_neuron": x.spikes_per_neuron,
        "latency_ticks": x.most_ticks,
        "mean_ticks": x.mean_ticks,
        "ticks_per_input": x.ticks_per_input,
    }
    for name, value in values.items():
        yield "total", f"T={x.T}", name, value


def _steps(_: Content, priced: Priced) -> Iterator[_Line]:
    x = priced.run.result
    samples = max(1, x.samples)
    for t in range(1, x.last_step + 1):
        yield "step", str(t), "tick", x.latency_ticks - x.steps + t
        if x.has_scores:
            yield "step", str(t), "accuracy", x.accuracy(t)
            yield "step", str(t), "agreement", x.agreement(t)
        for name, value in _errors(x, t):
            yield "step", str(t), name, value
        if x.additions_by_step:
            yield "step", str(t), "additions", x.additions_by_step[t - 1] / samples
            yield "step", str(t), "spikes", x.spikes_by_step[t - 1] / samples


def _errors(x: LengthResult, t: int | None = None) -> Iterator[tuple[str, float | None]]:
    """Yield what is said of each output after some steps, all by default."""
    for series in x.series:
        yield series.name, series.at(t)
        if t is None:
            yield f"ann_{series.name}", series.reference
    for each in x.errors:
        if each.is_floating:
            yield f"relative_error ({each.name})", each.relative_error(t)
            yield f"snr_db ({each.name})", each.snr_db(t)
        else:
            yield f"equality ({each.name})", each.equality(t)


def _parts(_: Content, priced: Priced) -> Iterator[_Line]:
    for part in priced.run.result.parts:
        row = f"{part.kind} {part.name}"
        yield "part", row, "boxes", part.boxes
        yield "part", row, "AP", part.ap
        if part.kind == "class":
            yield "part", row, "AP50", part.ap50
        yield "part", row, "ann_AP", part.ann


def _layers(found: Content, priced: Priced) -> Iterator[_Line]:
    x = priced.run.result
    samples, model = max(1, x.samples), found.models[0]
    for layer, energy in zip(x.layers, energy_by_layer(x, model), strict=True):
        row = f"{layer.name} ({layer.kind})"
        yield "layer", row, "spikes", layer.spikes / samples
        yield "layer", row, "neurons", layer.neurons
        yield "layer", row, "additions", layer.additions / samples
        yield "layer", row, "operations_on_values", layer.function_operations
        yield "layer", row, "macs", layer.macs
        yield "layer", row, "analog_macs", layer.analog_macs
        yield "layer", row, f"energy_pj ({model.name})", energy


def _energies(_: Content, priced: Priced) -> Iterator[_Line]:
    for energy in priced.energies:
        name = energy.model.name
        yield "energy", name, "snn_pj", energy.total
        for opponent in OPPONENTS:
            yield "energy", name, f"{opponent}_pj", energy.of(opponent)
            yield "energy", name, f"ratio_{opponent}", energy.ratio(opponent)
            yield "energy", name, f"break_even_{opponent}", energy.break_even(opponent)
