# SPDX-License-Identifier: Apache-2.0
"""What ``spikewright evaluate`` does once its options are read, in one process or in several."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from spikewright import api
from spikewright.api import SimulatorName
from spikewright.cli.files import check_output, write
from spikewright.cli.networks import original, subject
from spikewright.cli.options import (
    CalibrationOptions,
    DataOptions,
    MethodOptions,
    ModelOptions,
)
from spikewright.cli.report import evaluation
from spikewright.cli.sources import batches, describe, part, spread
from spikewright.cli.terminal import Terminal
from spikewright.errors import CalibrationError, ConfigError
from spikewright.measure.gather import gather
from spikewright.processes import one_error, rank

__all__ = ["run"]


def run(
    terminal: Terminal,
    *,
    data: str | None,
    snn: Path | None,
    reference: ModelOptions,
    lengths: Sequence[int] | None,
    limit: int | None,
    simulator: SimulatorName | None,
    layers: bool,
    output: Path | None,
    force: bool,
    model: ModelOptions,
    calibration: CalibrationOptions,
    method: MethodOptions,
    images: DataOptions,
) -> int:
    """Measure this process's part of the data; the first process writes and prints the whole.

    Raises:
        ConfigError: If an option is missing or out of range; see also
            :func:`spikewright.api.evaluate`.
        ProcessError: If another process has died; nothing is written then.
    """
    with one_error():
        if data is None:
            raise ConfigError("--data: expected inputs to measure on, got none. Name a data set.")
        if lengths is not None and snn is not None:
            raise ConfigError(
                "--lengths: expected --model, got --snn. A saved network holds one code length; "
                "convert the model again."
            )
        if output is not None and rank() == 0:
            check_output(output, force=force)
        if lengths:
            method = dataclasses.replace(method, T=max(lengths))
        found = subject(snn, model, calibration, method, images, terminal)
        items = spread(found.inputs(data, images), limit, "--limit")
        ann = original(found, reference, terminal)
    measured = None
    with one_error():
        mine = part(items)
        if mine is not None:
            measured = api.evaluate(
                found.snn,
                batches(mine, images),
                reference=ann,
                code_lengths=lengths,
                simulator=simulator,
                progress=terminal.progress,
            )
    result = gather(measured)
    if result is None:
        raise CalibrationError("--data: expected at least one input, got none. Check the set.")
    if rank() == 0:
        report = {**result.to_dict(), "data": describe(items)}
        if output is not None:
            write(output, json.dumps(report, indent=1) + "\n")
            terminal.note(f"result written to {output}")
        terminal.result(evaluation(result, found.snn, describe(items), layers=layers), report)
    return 130 if result.interrupted else 0
