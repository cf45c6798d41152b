# SPDX-License-Identifier: Apache-2.0
"""The work of ``spikewright compare``: cheap checks first, then one comparison, then its files."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from spikewright.cli.files import check_outputs, write
from spikewright.cli.machine import MachineOptions
from spikewright.cli.options import (
    CALIBRATION_SAMPLES,
    CalibrationOptions,
    DataOptions,
    ModelOptions,
)
from spikewright.cli.report import COMPARED, fit, preprocessing
from spikewright.cli.sources import (
    batches,
    describe,
    open_data,
    open_model,
    preprocess_of,
    sample_shape,
    spread,
)
from spikewright.cli.terminal import Terminal, command
from spikewright.cli.trained import PREFIX, training_of
from spikewright.comparison import Comparison, Entry, compare
from spikewright.comparison.entries import DEFAULT_T, entries_of
from spikewright.comparison.result import FIGURES
from spikewright.errors import CalibrationError, ConfigError, unknown_name
from spikewright.text import counted

__all__ = ["report", "run"]


def run(
    methods: tuple[str, ...],
    networks: tuple[str, ...],
    T: tuple[int, ...] | None,
    data: str | None,
    *,
    limit: int | None,
    store: Path | None,
    csv: Path | None,
    output: Path | None,
    figures: tuple[Path, Literal["svg", "png"]] | None,
    force: bool,
    model: ModelOptions,
    calibration: CalibrationOptions,
    images: DataOptions,
    machine: MachineOptions,
    terminal: Terminal,
) -> int:
    """Compare as the options say; see the verb.

    Returns:
        The exit code: 0, or 130 if the user stopped it.

    Raises:
        ConfigError: If an option is missing or out of range; see also
            :func:`spikewright.compare`.
        CalibrationError: If no calibration data are named.
    """
    if not methods:
        raise ConfigError(
            "--methods: expected methods to compare, got none. Name some; `spikewright list "
            "methods` shows them."
        )
    entries = entries_of(methods, DEFAULT_T if T is None else T)
    if data is None:
        raise ConfigError("--data: expected inputs to measure on, got none. Name a data set.")
    if calibration.calibration is None:
        raise CalibrationError(
            "--calibration: expected data to choose the scales on, got none. Name a few hundred "
            "training inputs, e.g. --calibration folder:PATH, or random for a first try."
        )
    check_outputs([path for path in (csv, output) if path is not None], force=force)
    if figures is not None:
        _check_folder(figures[0], figures[1], force=force)
    place = machine.place
    network = open_model(model, terminal, place=place)
    entries = _with_networks(entries, networks, terminal, place)
    count = calibration.calibration_samples
    chosen = spread(
        open_data(calibration.calibration, "--calibration", images, shape=model.shape),
        CALIBRATION_SAMPLES if count is None else count,
        "--calibration-samples",
    )
    items = open_data(
        data,
        "--data",
        images,
        shape=sample_shape(chosen),
        shape_from="--calibration",
        recorded=preprocess_of(chosen),
    )
    items = spread(items, limit, "--limit")
    found = compare(
        network,
        entries,
        calibration=batches(chosen, images, place),
        data=batches(items, images, place),
        store=store,
        progress=terminal.progress,
    )
    if csv is not None:
        found.to_csv(csv)
        terminal.note(f"every step written to {csv}")
    if figures is not None and found.cells:
        for path in found.figures(*figures):
            terminal.note(f"figure written to {path}")
    facts = {
        "calibration": describe(chosen),
        "data": describe(items),
        "machine": machine.describe(),
    }
    if output is not None:
        write(output, json.dumps({**found.to_dict(), **facts}, indent=1) + "\n")
        page = command("report", output)
        terminal.note(f"comparison written to {output}; this makes a page of it: {page}")
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
        facts: What :func:`spikewright.cli.sources.describe` says of calibration and data.
    """
    data = facts["data"]
    part = "" if data["samples"] == data["of"] else f", {data['samples']:,} of its"
    head = [
        f"{found.provenance['title']}: {counted(len(found.entries), 'method')} compared",
        f"  calibrated  on {found.provenance['calibration_samples']:,} inputs of "
        f"{facts['calibration']['name']}",
        f"  data        {data['name']}{part or ','} {data['of']:,} inputs",
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
