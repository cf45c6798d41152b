# SPDX-License-Identifier: Apache-2.0
"""What ``evaluate`` and ``compare`` are asked for; their texts are what ``--help`` prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.option_values import Whole, Wholes

__all__ = ["COMPARISON", "EVALUATION", "ComparisonOptions", "EvaluationOptions"]

Specs = Annotated[tuple[str, ...], Parameter(metavar="SPEC", consume_multiple=True)]
Folder = Annotated[Path | None, Parameter(metavar="FOLDER")]
Output = Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is measured of a spiking network, and where the result goes.

    Attributes:
        data: Labelled inputs: a name that `spikewright list data` shows, folder:PATH, FILE.npz,
            FILE.npz:PART, boxes:PATH, or random (noise without labels: agreement or errors only).
        lengths: Convert with each of these T, instead of --T, and compare; needs --model.
        limit: Use so many inputs, evenly spread over the set.
        simulator: Tick by tick (reference), or the fast one of the network's schedule, which is the
            default: collapsed (layered) or timefold (synchronous). Their spikes are the same.
        layers: Add a table of every layer.
        by_class: Add the average precision of every class and of small, medium and large boxes.
        energy: Energy model, or FILE.toml with one of your own. Repeatable. [default: all that
            come with the package]
        examples: Inputs whose spikes are kept for the report. [default: 4 with --output]
        output: Write the result to this file as JSON, too; `spikewright report` makes a page of it.
        force: Replace the file if it exists.
        network: The spiking network, or how it is converted.
        reference: What it is compared with.
        task: What it is for.
    """

    data: options.Spec = None
    lengths: Wholes = None
    limit: Whole = None
    simulator: Literal["collapsed", "timefold", "reference"] | None = None
    layers: bool = False
    by_class: Annotated[bool, Parameter(negative="")] = False
    energy: Annotated[tuple[str, ...], Parameter(metavar="NAME", negative="")] = ()
    examples: Whole = None
    output: Output = None
    force: bool = False
    network: options.NetworkOptions = options.NETWORK
    reference: options.ReferenceOptions = options.REFERENCE
    task: options.TaskOptions = options.TASK


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """Which methods are compared, on what, and where the result goes.

    Attributes:
        methods: What to compare, one or several: NAME, NAME:key=value,key=value, NAME@4,8,16 (its
            own T), or both with a label in front, LABEL=NAME:...@... . Repeatable.
        networks: Networks of their own for some methods, which are trained for them: LABEL=MODEL,
            MODEL as for --model, e.g. stbp=trained:runs/stbp/last.safetensors. Repeatable.
        T: Time steps of the methods that have none of their own. [default: 4,8,16]
        data: Labelled inputs: a name that `spikewright list data` shows, folder:PATH, FILE.npz,
            FILE.npz:PART, boxes:PATH, or random (noise without labels: agreement or errors only).
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
        task: What it is for.
    """

    methods: Specs = ()
    networks: Specs = ()
    T: Annotated[Wholes, Parameter(name="--T")] = None
    data: options.Spec = None
    limit: Whole = None
    store: Folder = None
    csv: options.File = None
    output: Output = None
    figures: Folder = None
    figure_format: Literal["svg", "png"] = "svg"
    force: bool = False
    model: options.ModelOptions = options.MODEL
    calibration: options.CalibrationOptions = options.CALIBRATION
    images: options.DataOptions = options.IMAGES
    task: options.TaskOptions = options.TASK


EVALUATION = EvaluationOptions()
COMPARISON = ComparisonOptions()
"""What the verbs get where nothing is given."""
