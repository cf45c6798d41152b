# SPDX-License-Identifier: Apache-2.0
"""A report as Markdown: the same words and tables as the page, without figures."""

import re
from collections.abc import Callable, Iterable

from spikewright.energy.energy_text import memory_text
from spikewright.report import findings, tables
from spikewright.report.content import Content, Priced, model_name, not_counted
from spikewright.report.latency import pipeline_finding
from spikewright.report.merit import merit_of
from spikewright.report.part_tables import part_tables
from spikewright.report.read import Measured
from spikewright.report.record import record_of
from spikewright.report.scenes import scene_lines
from spikewright.report.work_table import work_table
from spikewright.text import counted

__all__ = ["markdown"]


def markdown(found: Content) -> str:
    """Return a report as Markdown (tables as on GitHub); the same input gives the same text."""
    measured, models = found.measured, found.models
    parts = [f"# {_plain(measured.title)}", _about(measured)]
    if measured.interrupted:
        parts.append("**Interrupted:** only what was finished is shown.")
    parts += ["## Verdict", "\n".join(f"{i}. {_plain(s)}" for i, s in enumerate(found.verdict, 1))]
    if not measured.compares:
        keys = tables.key_figures(found)
        parts += [f"### {_plain(found.main.run.label)} in numbers"]
        parts += ["\n".join(f"- {name}: **{value}** ({why})" for name, value, why in keys)]
    if len(found.runs) > 1:
        parts += ["### All runs", _table(tables.row_table(found))]
    over_steps = findings.accuracy_over_steps(measured)
    parts += [f"## {over_steps.plot.title}", _plain(over_steps.finding)]
    for priced in found.runs:
        parts += [f"### {_plain(priced.run.label)}, step by step"]
        parts += [_table(tables.step_table(priced.run.result))]
        parts += map(_table, part_tables(priced.run.result))
        if outputs := tables.output_table(priced.run.result):
            parts += [_table(outputs)]
    if measured.compares:
        what = "accuracy" if merit_of(measured.runs).rises else "precision"
        parts += [f"## What {what} costs", _plain(findings.over_additions(measured).finding)]
        parts += [_plain(findings.over_energy(found).finding)]
    for title, write in (("Energy by model", _energy), ("Layer by layer", _layers)):
        parts += [f"## {title}", *_each(found, write)]
    parts += ["### Where the prices come from"]
    parts += ["\n".join(f"- {_plain(model_name(m))}: {_plain(m.source)}." for m in models)]
    parts += ["## Pipeline", *_each(found, _pipeline)]
    if any(priced.run.examples for priced in found.runs):
        parts += ["## Single inputs", *_each(found, _samples)]
    parts += ["## Provenance", *_provenance(measured)]
    parts += ["## What was not counted"]
    parts += ["\n".join(f"- {_plain(text)}" for text in not_counted(models))]
    return "\n\n".join(parts) + "\n"


def _about(measured: Measured) -> str:
    name = measured.data.get("name")
    of = f" of {_plain(str(name))}" if name else ""
    last = measured.runs[-1].result
    return f"On {counted(last.samples, last.unit)}{of}."


def _each(found: Content, write: Callable[[Content, Priced], str]) -> list[str]:
    """Return what is written of every run, under its name if there are several."""
    parts = []
    for priced in found.runs:
        text = write(found, priced)
        if text and len(found.runs) > 1:
            parts.append(f"### {_plain(priced.run.label)}")
        if text:
            parts.append(text)
    return parts


def _energy(_: Content, priced: Priced) -> str:
    finding = _plain(findings.ratio_finding(priced.energies))
    table = _table(tables.energy_table(priced.energies))
    return f"{finding}\n\n{table}\n\n{_plain(memory_text(priced.run.result))}"


def _layers(found: Content, priced: Priced) -> str:
    x, model = priced.run.result, found.models[0]
    return f"{_table(work_table(x, model))}\n\n{_table(tables.layer_table(x, model))}"


def _pipeline(_: Content, priced: Priced) -> str:
    return _plain(pipeline_finding(priced.run.result))


def _samples(_: Content, priced: Priced) -> str:
    lines = list[str]()
    for example in priced.run.examples:
        lines.append(f"- Input {example.index + 1}: {_plain(findings.answers(example))}")
        boxes = () if example.scene is None else scene_lines(example.scene)
        lines += [f"  - {who}: {_plain(text)}" for who, text in boxes]
    return "\n".join(lines)


def _provenance(measured: Measured) -> list[str]:
    parts = []
    for file in record_of(measured):
        pairs = [*file.pairs, *(pair for _, folded in file.folded for pair in folded)]
        parts.append(f"### {_plain(file.name)}")
        parts.append("\n".join(f"- {_plain(name)}: {_plain(text)}" for name, text in pairs))
    return parts


def _table(table: tables.Table) -> str:
    """Write a table under its caption."""
    rule = ["---" if i < table.left else "---:" for i in range(len(table.head))]
    lines: list[Iterable[str]] = [map(_plain, table.head), rule]
    lines += [[_plain(field.text) for field in row] for row in table.rows]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{_plain(table.caption)}\n\n{rows}"


def _plain(text: str) -> str:
    r"""Write a text so that nothing in it is Markdown or HTML.

    Example:
        >>> _plain("<b>*a|b*")
        '\\<b\\>\\*a\\|b\\*'
    """
    return re.sub(r"([\\`*_\[\]<>|#&~])", r"\\\1", " ".join(text.split()))
