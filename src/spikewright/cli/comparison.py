# SPDX-License-Identifier: Apache-2.0
"""The work of ``spikewright compare``: cheap checks first, then one comparison, then its files."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spikewright.cli.files import check_outputs, write
from spikewright.cli.items import (
    batches,
    classes_of,
    describe,
    preprocess_of,
    sample_shape,
    spread,
)
from spikewright.cli.machine import RunOptions
from spikewright.cli.measuring import ComparisonOptions
from spikewright.cli.options import ModelOptions
from spikewright.cli.report import COMPARED, data_text, fit, preprocessing
from spikewright.cli.sources import open_calibration, open_data, open_model
from spikewright.cli.task import check_task, task_of
from spikewright.cli.terminal import Terminal, command
from spikewright.cli.trained import PREFIX, training_of
from spikewright.comparison import Comparison, Entry, compare
from spikewright.comparison.entries import DEFAULT_T, entries_of
from spikewright.comparison.result import FIGURES
from spikewright.errors import ConfigError, unknown_name
from spikewright.text import counted

__all__ = ["report", "run"]


def run(what: ComparisonOptions, how: RunOptions) -> int:
    """Compare as the options say; see the verb.

    Returns:
        The exit code: 0, or 130 if the user stopped it.

    Raises:
        ConfigError: If an option is missing or out of range; see also
            :func:`spikewright.compare`.
        CalibrationError: If no calibration data are named.
    """
    if not what.methods:
        raise ConfigError(
            "--methods: expected methods to compare, got none. Name some; `spikewright list "
            "methods` shows them."
        )
    entries = entries_of(what.methods, DEFAULT_T if what.T is None else what.T)
    if what.data is None:
        raise ConfigError("--data: expected inputs to measure on, got none. Name a data set.")
    check_task(what.task)
    check_outputs([path for path in (what.csv, what.output) if path is not None], force=what.force)
    if what.figures is not None:
        _check_folder(what.figures, what.figure_format, force=what.force)
    chosen = open_calibration(what.calibration, what.images, what.model.shape)
    place, terminal = how.place, how.terminal
    network = open_model(what.model, terminal, place=place)
    entries = _with_networks(entries, what.networks, terminal, place)
    items = open_data(
        what.data,
        "--data",
        what.images,
        shape=sample_shape(chosen),
        shape_from="--calibration",
        recorded=preprocess_of(chosen),
    )
    items = spread(items, what.limit, "--limit")
    found = compare(
        network,
        entries,
        calibration=batches(chosen, what.images, place),
        data=batches(items, what.images, place),
        task=task_of(what.task, classes_of(items)),
        store=what.store,
        progress=terminal.progress,
    )
    if what.csv is not None:
        found.to_csv(what.csv)
        terminal.note(f"every step written to {what.csv}")
    if what.figures is not None and found.cells:
        for path in found.figures(what.figures, what.figure_format):
            terminal.note(f"figure written to {path}")
    facts = {
        "calibration": describe(chosen),
        "data": describe(items),
        "machine": how.machine.describe(),
    }
    if what.output is not None:
        write(what.output, json.dumps({**found.to_dict(), **facts}, indent=1) + "\n")
        page = command("report", what.output)
        terminal.note(f"comparison written to {what.output}; this makes a page of it: {page}")
    terminal.result(report(found, facts), {**found.to_dict(), **facts})
    return 130 if found.interrupted else 0


def _with_networks(
    entries: tuple[Entry, ...],
    networks: tuple[str, ...],
    terminal: Terminal,
    place: torch.device,
) -> tuple[Entry, ...]:
    """Give entries the networks that are named for them."""
    found = {e.label: e for e in entries}
    for text in networks:
        label, equals, spec = (part.strip() for part in text.partition("="))
        if not equals or not spec:
            raise ConfigError(f"--networks: expected LABEL=MODEL, got {text!r}.")
        if label not in found:
            raise unknown_name("--networks: label", label, list(found))
        own = open_model(ModelOptions(model=spec), terminal, place=place)
        took = training_of(spec) if spec.startswith(PREFIX) else "not stated"
        found[label] = dataclasses.replace(found[label], model=own, training=took)
    return tuple(found.values())


def report(found: Comparison, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the whole report of a comparison, at most 80 columns wide.

    Args:
        found: What was measured.
        facts: What :func:`spikewright.cli.items.describe` says of calibration and data.
    """
    data = facts["data"]
    head = [
        f"{found.provenance['title']}: {counted(len(found.entries), 'method')} compared",
        f"  calibrated  on {found.provenance['calibration_samples']:,} inputs of "
        f"{facts['calibration']['name']}",
        data_text(data),
    ]
    if data["preprocess"] is not None:
        head.append(f"  images      {preprocessing(data['preprocess'])}")
    return fit("\n".join([*head, "", found.table(), "", COMPARED]))


def _check_folder(folder: Path, suffix: str, *, force: bool) -> None:
    """Refuse, before any work, a place where figures could not or must not be written."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--figures {folder}: expected a folder, got a file. Choose another.")
    if folder.is_dir():
        check_outputs([folder / f"{name}.{suffix}" for name in FIGURES], force=force)
    elif not folder.parent.is_dir():
        raise ConfigError(
            f"--figures {folder}: expected a folder {folder.parent} to make it in, got none. "
            "Make it first."
        )
