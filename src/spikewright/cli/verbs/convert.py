# SPDX-License-Identifier: Apache-2.0
"""``spikewright convert``: a trained network in, one file with the spiking network out."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.terminal import command

__all__ = ["convert"]

OUTPUT = Path("snn.safetensors")


def convert(
    *,
    conversion: options.ConversionOptions = options.CONVERSION,
    output: Annotated[Path, Parameter(name=("--output", "-o"), metavar="FILE")] = OUTPUT,
    integer: bool = False,
    force: bool = False,
    how: RunOptions = RUN,
) -> int:
    """Turn a trained network into a spiking one and save it.

    For example: spikewright convert --model resnet20 --weights resnet20.safetensors
    --calibration folder:train --T 8 -o snn.safetensors

    Args:
        output: Where to save the spiking network. [default: snn.safetensors]
        integer: Save its integer form: 8-bit weights, whole-number thresholds; needs k = 2.
        force: Replace the file if it exists.
        conversion: The network and how it is converted.
        how: Where it runs, and what every verb takes.
    """
    from spikewright.cli.files import check_output
    from spikewright.cli.networks import convert_model
    from spikewright.cli.report import fit

    terminal = how.terminal
    check_output(output, force=force)
    snn = convert_model(conversion, terminal, how.place).snn
    if integer:
        snn = snn.to_integer()
    snn.save(output)
    timing = snn.timing()
    data = {
        "schema": "spikewright.convert/1",
        "output": str(output),
        "integer": snn.integer,
        "T": snn.T,
        "steps": snn.steps,
        "k": snn.k,
        "neurons": snn.neurons(),
        "latency_ticks": timing.latency_ticks,
        "ticks_per_input": timing.ticks_per_input(2),
        "provenance": snn.provenance,
    }
    terminal.result(
        f"{fit(snn.summary())}\n\nwritten: {output}\n"
        f"next:    {command('evaluate', '--snn', output, '--data', 'SPEC')}",
        data,
    )
    return 0
