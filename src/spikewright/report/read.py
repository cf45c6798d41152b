# SPDX-License-Identifier: Apache-2.0
"""Result files of all kinds as one: what was measured, on which network, on which inputs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from spikewright.errors import ConfigError, FileFormatError
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.rasters import Example
from spikewright.evaluation.result import SCHEMA, Result
from spikewright.files import parse_json, read_text
from spikewright.report.latency import Hardware
from spikewright.text import counted

__all__ = ["COMPARISONS", "Measured", "Reportable", "Run", "measured_of", "read"]

COMPARISONS = ("spikewright.comparison/5",)
"""Schemas of the comparisons that can be read."""


@runtime_checkable
class Reportable(Protocol):
    """A result or a comparison: what can be written as the JSON that :func:`read` takes."""

    def to_json(self) -> str:
        """Return it as JSON text."""
        ...


@dataclass(frozen=True)
class Run:
    """One network on all inputs.

    Attributes:
        label: What the report calls it; no two runs have the same.
        line: Runs with the same one are points of one curve.
        result: What was measured.
        examples: Inputs that were looked at closely.
    """

    label: str
    line: str
    result: LengthResult
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What a report is about.

    Attributes:
        title: The network, and what was done with it.
        runs: One or several; an evaluation's are sorted by T.
        compares: Whether they are rivals; if not, the last one is what the report is about.
        ann_accuracy: Share of right decisions of the original network, if it was run.
        provenance: Where the numbers come from, by file.
        data: What is known of the inputs: name, samples, preprocessing.
        interrupted: Whether the user stopped a measurement before all was done.
        hardware: Cycles of the exported network, if they were measured.
    """

    title: str
    runs: tuple[Run, ...]
    compares: bool
    ann_accuracy: float | None
    provenance: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Any]
    interrupted: bool
    hardware: Hardware | None = None


@dataclass(frozen=True)
class _File:
    """One file, read."""

    path: Path
    title: str
    runs: tuple[Run, ...]
    compares: bool
    ann: tuple[int, int]  # right decisions, labelled inputs
    record: Mapping[str, Any]
    identity: Mapping[str, Any]  # what rivals must have in common
    data: Mapping[str, Any]
    interrupted: bool


def read(paths: Sequence[Path]) -> Measured:
    """Read what ``evaluate`` and ``compare`` wrote; several files are compared.

    Args:
        paths: The files.

    Raises:
        FileFormatError: If a file cannot be read, is cut off, or is something else.
        ConfigError: If there is none, or they are of different checkpoints, calibrations or inputs.
    """
    return _joined([_read(path) for path in paths])


def measured_of(found: Reportable, data: Mapping[str, Any] | None = None) -> Measured:
    """Return what a report of an evaluation or comparison is about, without a file between.

    Args:
        found: What was measured.
        data: What is known of the inputs: a name, how images became inputs.

    Raises:
        ConfigError: If a comparison has no finished cell.
    """
    facts = {"data": dict(data or {})}
    try:
        return _joined([_parsed(Path("result"), {**json.loads(found.to_json()), **facts})])
    except FileFormatError as error:
        raise ConfigError(str(error)) from error


def _read(path: Path) -> _File:
    try:
        data = parse_json(read_text(path, "the result of an evaluation or comparison"))
    except FileFormatError:
        raise
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path}: expected the result of an evaluation or comparison, got no text. Of a "
            "network, make one: spikewright evaluate --snn FILE … -o FILE.json."
        ) from error
    except ValueError as error:
        raise FileFormatError(
            f"{path}: expected the result of an evaluation or comparison, got a file that is cut "
            f"off or no JSON ({error}). Measure again with -o FILE."
        ) from error
    return _parsed(path, data)


def _parsed(path: Path, data: Any) -> _File:  # noqa: ANN401 - whatever JSON holds
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in (SCHEMA, *COMPARISONS):
        raise FileFormatError(
            f"{path}: expected the result of an evaluation ({SCHEMA}) or comparison "
            f"({COMPARISONS[-1]}), got {_short(schema) if schema else 'another JSON file'}. "
            "Measure with this version: evaluate -o FILE or compare -o FILE."
        )
    try:
        if schema == SCHEMA:
            return _evaluation(path, Result.from_dict(data), data)
        return _comparison(path, data)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise FileFormatError(
            f"{path}: expected every field of {schema}, but one is missing or of another kind "
            f"({error}). Measure again."
        ) from error


def _evaluation(path: Path, result: Result, file: Mapping[str, Any]) -> _File:
    network = result.provenance
    model, method = str(network.get("model", "network")), str(network.get("method", "?"))
    runs = tuple(Run(f"{method} T={x.T}", f"{method} T={x.T}", x) for x in result.lengths)
    last = runs[-1]
    identity = {
        "model": model,
        "statistics digest": network.get("statistics_digest"),
        "multiply-adds": last.result.macs,
    }
    data = _facts(file)
    return _File(
        path=path,
        title=f"{model} as a spiking network: {method}, T={last.result.T}",
        runs=(*runs[:-1], Run(last.label, last.line, last.result, result.examples)),
        compares=False,
        ann=(result.reference_correct, result.reference_samples),
        record={**network, "simulator": result.simulator, "data": data},
        identity=identity,
        data=data,
        interrupted=result.interrupted,
    )


def _comparison(path: Path, file: Mapping[str, Any]) -> _File:
    found, ann = file["provenance"], file["ann"]
    runs = tuple(
        Run(f"{c['label']} T={c['T']}", str(c["label"]), LengthResult.from_dict(c["result"]))
        for c in file["cells"]
    )
    if not runs:
        raise FileFormatError("expected at least one finished cell, got none. Finish it first.")
    own = [e["label"] for e in file["entries"] if e.get("training")]
    common = [r for r in runs if r.line not in own] or list(runs)
    correct, labelled = ann["correct"], ann["labelled"]
    if any(type(n) is not int for n in (correct, labelled)) or not 0 <= correct <= labelled:
        raise FileFormatError(
            "expected whole numbers of right decisions, no more than labels, got others."
        )
    title, data = str(found["title"]), _facts(file)
    return _File(
        path=path,
        title=f"{title} as a spiking network: {counted(len({r.line for r in runs}), 'method')} "
        "compared",
        runs=runs,
        compares=True,
        ann=(correct, labelled),
        record={
            **found,
            "entries": file["entries"],
            "calibration": file.get("calibration", {}),
            "data": {**data, "digest": found.get("data")},
        },
        identity={
            "model": title,
            "statistics digest": found.get("statistics"),
            "multiply-adds": common[0].result.macs,
        },
        data=data,
        interrupted=bool(file["interrupted"]),
    )


def _facts(file: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a file says of its inputs."""
    data = file.get("data", {})
    if not isinstance(data, Mapping):
        raise FileFormatError(f"expected facts about its inputs, got {_short(data)}.")
    return data


def _joined(files: Sequence[_File]) -> Measured:
    """Put files together, if they may be compared.

    Raises:
        ConfigError: If they may not, or there is none.
    """
    if not files:
        raise ConfigError("report: expected at least one result file, got none. Name some.")
    first = files[0]
    for other in files[1:]:
        _require_same(first, other)
    runs = [(file, run) for file in files for run in file.runs]
    if len(files) > 1:
        title = f"{first.identity['model']} as a spiking network: {len(runs)} results compared"
    else:
        title = first.title
    labels = _unique([run.label for _, run in runs], [file.path.stem for file, _ in runs])
    lines = {f: _lines(f, files) for f in range(len(files))}
    place = [f for f, file in enumerate(files) for _ in file.runs]
    correct, labelled = max((file.ann for file in files), key=lambda ann: ann[1])
    return Measured(
        title=title,
        runs=tuple(
            Run(
                label,
                label if run.line == run.label else lines[f] + run.line,
                run.result,
                run.examples,
            )
            for label, (_, run), f in zip(labels, runs, place, strict=True)
        ),
        compares=len(files) > 1 or first.compares,
        ann_accuracy=correct / labelled if labelled else None,
        provenance={
            name: file.record
            for name, file in zip(
                _unique([f.path.name for f in files], [str(f.path) for f in files]),
                files,
                strict=True,
            )
        },
        data=first.data,
        interrupted=any(file.interrupted for file in files),
    )


def _lines(place: int, files: Sequence[_File]) -> str:
    """Return what tells the curves of one file from those of other comparisons."""
    others = [f for f in files if f.compares]
    return f"{files[place].path.stem}: " if files[place].compares and len(others) > 1 else ""


def _unique(names: Sequence[str], more: Sequence[str]) -> list[str]:
    """Return names of which none is there twice.

    Example:
        >>> _unique(["a", "b", "a", "a"], ["x", "y", "z", "z"])
        ['a (x)', 'b', 'a (z)', 'a (z) 2']
    """
    often = Counter(names)
    found: list[str] = []
    for name, own in zip(names, more, strict=True):
        wanted = f"{name} ({own})" if often[name] > 1 else name
        label, count = wanted, 1
        while label in found:
            count += 1
            label = f"{wanted} {count}"
        found.append(label)
    return found


def _require_same(a: _File, b: _File) -> None:
    """Refuse to compare what was not measured on one checkpoint, calibration and data."""
    names = f"{a.path} and {b.path}: expected results"
    for what, mine in a.identity.items():
        theirs = b.identity[what]
        if mine != theirs:
            raise ConfigError(
                f"{names} of one checkpoint with one calibration, got different ones: {what} "
                f"{_short(mine)} and {_short(theirs)}. Report them one by one."
            )
    facts = [{**f.data, "inputs measured": max(x.result.samples for x in f.runs)} for f in (a, b)]
    for what in sorted(set(facts[0]) & set(facts[1])):
        if facts[0][what] != facts[1][what]:
            raise ConfigError(
                f"{names} on the same inputs, got different ones: {what} "
                f"{_short(facts[0][what])} and {_short(facts[1][what])}. Report them one by one."
            )
    if a.ann[1] and b.ann[1] and a.ann != b.ann:
        raise ConfigError(
            f"{names} of one checkpoint on the same inputs, but the original network is right on "
            f"{a.ann[0]:,} of {a.ann[1]:,} and {b.ann[0]:,} of {b.ann[1]:,}. Report them one by "
            "one."
        )


def _short(value: object) -> str:
    """Write a value so that it fits into a line."""
    text = f"{value}"
    return f"{text[:16]}…" if len(text) > 40 else text
