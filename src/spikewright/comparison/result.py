# SPDX-License-Identifier: Apache-2.0
"""The outcome of a comparison: rows, tables, CSV, JSON, figures."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spikewright.comparison.cells import Ann, Cell, points
from spikewright.comparison.entries import Entry
from spikewright.comparison.rows import TOLERANCES, Row, curve, rows_of
from spikewright.energy import EnergyModel, choose_models, energy_of
from spikewright.errors import ConfigError
from spikewright.evaluation.answer_text import error_text, series_notes
from spikewright.files import write
from spikewright.report.figures import Plot, Series, save
from spikewright.text import number, percent, table

__all__ = ["FIGURES", "SCHEMA", "Comparison"]

SCHEMA = "spikewright.comparison/5"

FIGURES = (
    "accuracy-steps",
    "accuracy-ticks",
    "accuracy-additions",
    "accuracy-spikes",
    "accuracy-energy",
)
"""Names of the files that :meth:`Comparison.figures` writes, without their endings."""

_PLACE = ("label", "method", "T", "t", "tick")
_WORK = ("additions_per_input", "spikes_per_neuron")


@dataclass(frozen=True)
class Comparison:
    """Many methods at many T on one checkpoint: same images, same calibration.

    Attributes:
        entries: What was compared, in the order given.
        ann: The original network on the same inputs.
        cells: What is finished, entry by entry, from the smallest T to the largest.
        interrupted: Whether the user stopped it before all cells were done.
        provenance: Model, calibration and data: names, numbers and digests.
    """

    entries: tuple[Entry, ...]
    ann: Ann
    cells: tuple[Cell, ...]
    interrupted: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    def of(self, label: str) -> list[Cell]:
        """Return the finished cells of one entry, smallest T first."""
        return [cell for cell in self.cells if cell.label == label]

    def rows(self) -> list[Row]:
        """Return one row for each entry and T that is finished."""
        return [row for e in self.entries for row in rows_of(e, self.of(e.label), self.ann)]

    def table(self, width: int = 80) -> str:
        """Return the rows as text: one table, or two if one is wider than ``width``."""
        rows = self.rows()
        bounds = any(r.latency_ticks != r.latency_bound for r in rows)
        return self._table(rows, width) + (f"\n{_BOUND}" if bounds else "")

    def _table(self, rows: Sequence[Row], width: int) -> str:
        labelled, scores = self.ann.accuracy is not None, self.ann.classes > 0
        trained = any(r.training for r in rows)
        names = self._figures_of_merit
        shares = [[percent(r.accuracy if labelled else r.agreement)] for r in rows]
        if names:
            shares = [[percent(r.series.get(name)) for name in names] for r in rows]
        elif not scores:
            shares = [[error_text(r.error, r.snr_db)] for r in rows]
        cost = [
            [
                r.label,
                str(r.T),
                *share,
                number(r.additions),
                f"{r.relative:.3f}",
                number(r.analog_macs),
                f"{r.spikes_per_neuron:.3f}",
                _latency(r),
                *([r.training or "none"] if trained else []),
            ]
            for r, share in zip(rows, shares, strict=True)
        ]
        what = names or (("accuracy" if labelled else "agrees") if scores else "error",)
        head = ["label", "T", *what, "additions", "÷ MACs", "MACs left", "spikes", "latency"]
        head += ["training"] if trained else []
        if not labelled:
            words = _SPIKES if scores else f"{_ERROR}\n{_WORK_WORDS}"
            if names:
                notes = series_notes(self.cells[0].result.series) if self.cells else ()
                ann = next(iter(notes), "").partition(" SNN")[0]
                words = "\n".join(filter(None, (ann, _FIGURES_AFTER, _WORK_WORDS)))
            return f"{self._head()}\n\n{table(head, cost, width=width)}\n\n{words}"
        reach = {r.label: [r.label, *_reach(r)] for r in rows}
        reach_head = ["label"]
        for tolerance in TOLERANCES:
            reach_head += [f"≤ {tolerance} from T", "additions"]
        both = [line + reach[line[0]][1:] for line in cost]
        one = table([*head, *reach_head[1:]], both, width=10**6)
        if max(map(len, one.splitlines())) <= width:
            return f"{self._head()}\n\n{one}\n\n{_SPIKES}\n{_REACH}"
        two = table(reach_head, list(reach.values()), width=width)
        first = table(head, cost, width=width)
        return f"{self._head()}\n\n{first}\n\n{_SPIKES}\n\n{two}\n\n{_REACH}"

    @property
    def _figures_of_merit(self) -> tuple[str, ...]:
        """Names of the task's figures, if it has such."""
        return tuple(each.name for each in self.cells[0].result.series) if self.cells else ()

    def to_csv(self, path: str | Path) -> None:
        """Write every label, T and step as one line; shares are fractions of one.

        Class scores have ``accuracy`` and ``agreement``, other outputs ``error`` and ``snr_db``:
        those of the output which is furthest off, see :class:`Row`.

        ``additions_per_input`` and ``spikes_per_neuron`` are those up to step ``t`` (synchronous
        schedule) or of the whole run (layered).

        Raises:
            FileFormatError: If the file cannot be written.
        """
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        names = self._figures_of_merit
        answers = names or (("accuracy", "agreement") if self.ann.classes else ("error", "snr_db"))
        lines.writerow([*_PLACE, *answers, *_WORK])
        for cell in self.cells:
            for p in points(cell.result):
                found = [p.series[a] if names else getattr(p, a) for a in answers]
                shares = ["" if share is None else share for share in found]
                own = [cell.label, cell.method, cell.T, p.t, p.tick]
                lines.writerow([*own, *shares, p.additions, p.spikes_per_neuron])
        write(Path(path), text.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data; the decisions on single inputs are left out."""
        ann = {k: v for k, v in self.ann.to_dict().items() if k != "decisions"}
        return {
            "schema": SCHEMA,
            "provenance": self.provenance,
            "interrupted": self.interrupted,
            "ann": {**ann, "accuracy": self.ann.accuracy},
            "entries": [
                {
                    "label": e.label,
                    "method": e.config.name,
                    "T": list(e.T or ()),
                    "training": e.training,
                }
                for e in self.entries
            ],
            "rows": [row.to_dict() for row in self.rows()],
            "cells": [cell.to_dict() for cell in self.cells],
        }

    def to_json(self) -> str:
        """Return the outcome as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def figures(
        self, folder: str | Path, suffix: Literal["svg", "png"] = "svg"
    ) -> tuple[Path, ...]:
        """Draw accuracy over steps, ticks, additions, spikes a neuron and energy.

        The original is a dashed line. In all but the first, what no other equals or beats for less
        is joined by a broad line (Pareto front). Energy is priced by the first model.

        Without labels, agreement with the original is drawn; of outputs that are no class scores
        the error. Over additions, spikes and energy, steps below a thousandth of the most
        are left out.

        Args:
            folder: Where to write; made if it is missing, files there are replaced.
            suffix: Kind of file.

        Returns:
            The files, named as in :data:`FIGURES`.

        Raises:
            ConfigError: If nothing is finished, or matplotlib is not installed.
            FileFormatError: If a file cannot be written.
        """
        if not self.cells:
            raise ConfigError("figures: expected at least one finished cell, got none.")
        folder = Path(folder)
        ann = self.ann.accuracy
        share = "top-1 accuracy (%)" if ann is not None else "same decision as the ANN (%)"
        if not self.ann.classes:
            share = "error against the ANN (%)"
        if self._figures_of_merit:
            first = self.cells[0].result.series[0]
            share, ann = f"{first.name} (%)", first.reference
        plain = Plot(
            series=(),
            x_label="",
            y_label=share,
            title=f"{self.ann.samples:,} inputs",
            level=None if ann is None else 100 * ann,
            level_label="ANN",
        )
        labels = (
            "time steps T (or step t of an anytime method)",
            "latency (ticks from input to decision)",
            "additions per input",
            "spikes of a neuron per input",
            f"energy per input (pJ, {_model().name})",
        )
        paths = []
        for name, x_label, series in zip(FIGURES, labels, self._series(), strict=True):
            plot = dataclasses.replace(plain, series=series, x_label=x_label)
            base, rises = (
                2 if name in FIGURES[:2] else 10,
                bool(self.ann.classes or self._figures_of_merit),
            )
            front = name != "accuracy-steps"
            plot = dataclasses.replace(plot, x_base=base, front=front, rises=rises)
            paths.append(save(plot, folder / f"{name}.{suffix}"))
        return tuple(paths)

    def _series(self) -> tuple[tuple[Series, ...], ...]:
        """Return the curves of each figure."""
        found: tuple[list[Series], ...] = ([], [], [], [], [])
        names = self._figures_of_merit
        what = ("accuracy" if self.ann.labelled else "agreement") if self.ann.classes else "error"
        for entry in self.entries:
            points = curve(self.of(entry.label))
            shares = [p.series[names[0]] if names else getattr(p, what) for _, p in points]
            known = [
                (e, share) for e, share in zip(points, shares, strict=True) if share is not None
            ]
            along, y = [e for e, _ in known], [100 * share for _, share in known]
            cells = self.of(entry.label)
            x = [
                (float(T), float(p.tick), p.additions, p.spikes_per_neuron, _energy(cells, T, p.t))
                for T, p in along
            ]
            for i, series in enumerate(found):
                series.append(
                    Series(entry.label, tuple((a[i], b) for a, b in zip(x, y, strict=True)))
                )
        return tuple(_shown(series, _SHOWN if i > 1 else 0.0) for i, series in enumerate(found))

    def _head(self) -> str:
        text = f"{self.ann.samples:,} inputs"
        if self.ann.accuracy is not None:
            text += f"; ANN accuracy {percent(self.ann.accuracy)} on the same inputs"
        if self.cells:
            text += f", {number(self.cells[0].result.macs)} multiply-adds (MACs)"
        if self.interrupted:
            text += "\ninterrupted: only what was finished is shown"
        return text


_SHOWN = 1e-3
"""Share of the largest cost of all from which on figures over work show a step."""


def _shown(series: Sequence[Series], share: float) -> tuple[Series, ...]:
    """Leave out what costs less than a share of the most, and curves of which nothing is left."""
    lowest = share * max((x for s in series for x, _ in s.points), default=0.0)
    kept = (Series(s.label, tuple(p for p in s.points if p[0] > lowest)) for s in series)
    return tuple(s for s in kept if s.points)


def _model() -> EnergyModel:
    return choose_models()[0]


def _energy(cells: Sequence[Cell], T: int, t: int) -> float:
    """Return the energy of an input, in pJ: of the run at T, or of an anytime run by step t."""
    if cells[0].anytime:
        return energy_of(cells[0].result, _model(), t).total
    (result,) = (cell.result for cell in cells if cell.T == T)
    return energy_of(result, _model()).total


_WORK_WORDS = "additions, MACs left: per input; spikes: per neuron and input; latency: ticks."
_BOUND = "a ≤ b: the slowest input is at rest after a ticks, b is the bound."
_SPIKES = (
    f"T: time steps of the train; accuracy after the last of them, never the best.\n{_WORK_WORDS}"
)
_FIGURES_AFTER = "T: time steps of the train; figures after the last of them, never the best."
_ERROR = (
    "T: time steps of the train. The outputs are no class scores, so there is no\n"
    "accuracy; error: ‖SNN − ANN‖ / ‖ANN‖ over all inputs after the last step, of\n"
    "integer outputs the share of unequal elements; of several outputs the largest;\n"
    "dB: ‖ANN‖² / ‖SNN − ANN‖², of several outputs the least."
)
_REACH = (
    "≤ x from T: from that T (or step) on accuracy stays at most x points below the\n"
    "ANN's, to the largest T measured; additions: per input, up to there."
)


def _latency(row: Row) -> str:
    ticks, bound = row.latency_ticks, row.latency_bound
    return str(ticks) if ticks == bound else f"{ticks} ≤ {bound}"


def _reach(row: Row) -> Sequence[str]:
    """Return the cells of a row about :class:`Within`."""
    cells: list[str] = []
    for within in row.within:
        if within.T is None or within.additions is None:
            cells += ["not reached", "-"]
        else:
            cells += [str(within.T), number(within.additions)]
    return cells
