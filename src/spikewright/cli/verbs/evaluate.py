# SPDX-License-Identifier: Apache-2.0
"""``spikewright evaluate``: accuracy at every step, spikes, additions and latency, on data."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole, Wholes

__all__ = ["evaluate"]


def evaluate(
    *,
    data: options.Spec = None,
    lengths: Wholes = None,
    limit: Whole = None,
    simulator: Literal["collapsed", "timefold", "reference"] | None = None,
    layers: bool = False,
    energy: Annotated[tuple[str, ...], Parameter(metavar="NAME", negative="")] = (),
    examples: Whole = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE")] = None,
    force: bool = False,
    network: options.NetworkOptions = options.NETWORK,
    reference: options.ReferenceOptions = options.REFERENCE,
    how: RunOptions = RUN,
) -> int:
    """Measure a spiking network: accuracy at every step, spikes, energy, latency.

    Outputs that are no class scores have an error against the original network instead of accuracy.

    Takes a saved network (--snn), or a model to convert on the fly (--model, --calibration).
    Ctrl-C ends it after the batch at hand; what is done by then is shown and written.
    Under torchrun, processes divide the inputs; the numbers are those of one process.

    Args:
        data: Labelled inputs: a name that `spikewright list data` shows, folder:PATH, FILE.npz,
            FILE.npz:PART, or random (noise without labels: agreement or errors only).
        lengths: Convert with each of these T, instead of --T, and compare; needs --model.
        limit: Use so many inputs, evenly spread over the set.
        simulator: Tick by tick (reference), or the fast one of the network's schedule, which is the
            default: collapsed (layered) or timefold (synchronous). Their spikes are the same.
        layers: Add a table of every layer.
        energy: Energy model, or FILE.toml with one of your own. Repeatable. [default: all that
            come with the package]
        examples: Inputs whose spikes are kept for the report. [default: 4 with --output]
        output: Write the result to this file as JSON, too; `spikewright report` makes a page of it.
        force: Replace the file if it exists.
        network: The spiking network, or how it is converted.
        reference: What it is compared with.
        how: Where it runs, and what every verb takes.
    """
    from functools import partial

    from spikewright.cli.distributed import distributed
    from spikewright.cli.evaluation_run import run

    verb = partial(
        run,
        data=data,
        lengths=lengths,
        limit=limit,
        simulator=simulator,
        layers=layers,
        energy=energy,
        examples=examples,
        output=output,
        force=force,
        network=network,
        reference=reference,
        place=how.place,
    )
    return distributed(verb, how.terminal)
