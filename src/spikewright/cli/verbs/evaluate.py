# SPDX-License-Identifier: Apache-2.0
"""``spikewright evaluate``: accuracy at every step, spikes, additions and latency, on data."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli.options import (
    CALIBRATION,
    COMMON,
    IMAGES,
    METHOD,
    MODEL,
    CalibrationOptions,
    CommonOptions,
    DataOptions,
    File,
    MethodOptions,
    ModelOptions,
    Spec,
)
from spikewright.cli.terminal import Terminal
from spikewright.cli.tokens import Whole, Wholes

__all__ = ["evaluate"]


def evaluate(
    *,
    data: Spec = None,
    snn: File = None,
    reference: Spec = None,
    reference_weights: File = None,
    lengths: Wholes = None,
    limit: Whole = None,
    simulator: Literal["collapsed", "timefold", "reference"] | None = None,
    layers: bool = False,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE")] = None,
    force: bool = False,
    model: ModelOptions = MODEL,
    calibration: CalibrationOptions = CALIBRATION,
    method: MethodOptions = METHOD,
    images: DataOptions = IMAGES,
    common: CommonOptions = COMMON,
) -> int:
    """Measure a spiking network: accuracy at every step, spikes, additions, latency.

    Takes a saved network (--snn), or a model to convert on the fly (--model, --calibration).
    Ctrl-C ends it after the batch at hand; what is done by then is shown and written.

    Args:
        data: Labelled inputs: a name that `spikewright list data` shows, folder:PATH, FILE.npz,
            FILE.npz:PART, or random (noise without labels: agreement only).
        snn: A saved spiking network.
        reference: The original network, for agreement; it is --model where that is given.
        reference_weights: Its weights.
        lengths: Convert with each of these T, instead of --T, and compare; needs --model.
        limit: Use so many inputs, evenly spread over the set.
        simulator: Tick by tick (reference), or the fast one of the network's schedule, which is the
            default: collapsed (layered) or timefold (synchronous). Their spikes are the same.
        layers: Add a table of every layer.
        output: Write the result to this file as JSON, too.
        force: Replace the file if it exists.
        model: The network, as trained.
        calibration: What the scales are chosen on.
        method: How it is converted.
        images: How images become inputs.
        common: What every verb takes.
    """
    import dataclasses
    import json

    from spikewright import api
    from spikewright.cli.files import check_output, write
    from spikewright.cli.networks import original, subject
    from spikewright.cli.report import evaluation
    from spikewright.cli.sources import batches, describe, spread
    from spikewright.errors import ConfigError

    terminal = Terminal(common.json, common.quiet)
    if data is None:
        raise ConfigError("--data: expected inputs to measure on, got none. Name a data set.")
    if lengths is not None and snn is not None:
        raise ConfigError(
            "--lengths: expected --model, got --snn. A saved network holds one code length; "
            "convert the model again."
        )
    if output is not None:
        check_output(output, force=force)
    if lengths:
        method = dataclasses.replace(method, T=max(lengths))
    found = subject(snn, model, calibration, method, images, terminal)
    items = found.inputs(data, images)
    items = spread(items, limit, "--limit")
    ann = original(found, ModelOptions(model=reference, weights=reference_weights), terminal)
    result = api.evaluate(
        found.snn,
        batches(items, images),
        reference=ann,
        code_lengths=lengths,
        simulator=simulator,
        progress=terminal.progress,
    )
    report = {**result.to_dict(), "data": describe(items)}
    if output is not None:
        write(output, json.dumps(report, indent=1) + "\n")
        terminal.note(f"result written to {output}")
    terminal.result(evaluation(result, found.snn, describe(items), layers=layers), report)
    return 130 if result.interrupted else 0
