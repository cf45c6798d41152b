# SPDX-License-Identifier: Apache-2.0
"""``spikewright compare``: many methods at many T on one model, same images, same calibration."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole, Wholes

__all__ = ["compare"]

Specs = Annotated[tuple[str, ...], Parameter(metavar="SPEC", consume_multiple=True)]
Folder = Annotated[Path | None, Parameter(metavar="FOLDER")]


def compare(
    *,
    methods: Specs = (),
    networks: Specs = (),
    T: Annotated[Wholes, Parameter(name="--T")] = None,
    data: options.Spec = None,
    limit: Whole = None,
    store: Folder = None,
    csv: options.File = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE")] = None,
    figures: Folder = None,
    figure_format: Literal["svg", "png"] = "svg",
    force: bool = False,
    model: options.ModelOptions = options.MODEL,
    calibration: options.CalibrationOptions = options.CALIBRATION,
    images: options.DataOptions = options.IMAGES,
    how: RunOptions = RUN,
) -> int:
    """Compare conversion methods at several T on one model: accuracy, additions, latency.

    For example: spikewright compare --model digits-cnn --weights w.safetensors
    --calibration digits-train --data digits-test --methods burst tsc@4,8 --T 8,32

    Methods whose network does not depend on T are run once, at the largest T.
    Ctrl-C ends it after the batch at hand; with --store the same command goes on
    from there.

    Args:
        methods: What to compare, one or several: NAME, NAME:key=value,key=value, NAME@4,8,16 (its
            own T), or both with a label in front, LABEL=NAME:...@... . Repeatable.
        networks: Networks of their own for some methods, which are trained for them: LABEL=MODEL,
            MODEL as for --model, e.g. stbp=trained:runs/stbp/last.safetensors. Repeatable.
        T: Time steps of the methods that have none of their own. [default: 4,8,16]
        data: Labelled inputs: a name that `spikewright list data` shows, folder:PATH, FILE.npz,
            FILE.npz:PART, or random (noise without labels: agreement or errors only).
        limit: Use so many inputs, evenly spread over the set.
        store: Keep every finished cell there, and read those of earlier runs.
        csv: Write every method, T and step to this file, too.
        output: Write everything to this file as JSON, for `spikewright report`.
        figures: Write figures to this folder, too: accuracy over steps, ticks and additions.
        figure_format: Kind of the figures. [default: svg]
        force: Replace files that exist.
        model: The network, as trained.
        calibration: What the scales are chosen on.
        images: How images become inputs.
        how: Where it runs, and what every verb takes.
    """
    from spikewright.cli.comparison import run

    return run(
        methods,
        networks,
        T,
        data,
        limit=limit,
        store=store,
        csv=csv,
        output=output,
        figures=None if figures is None else (figures, figure_format),
        force=force,
        model=model,
        calibration=calibration,
        images=images,
        machine=how.machine,
        terminal=how.terminal,
    )
