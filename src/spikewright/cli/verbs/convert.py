# SPDX-License-Identifier: Apache-2.0
"""``spikewright convert``: a trained network in, one file with the spiking network out."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from spikewright.cli.machine import MACHINE, MachineOptions
from spikewright.cli.options import (
    COMMON,
    CONVERSION,
    CommonOptions,
    ConversionOptions,
)
from spikewright.cli.terminal import Terminal, command

__all__ = ["convert"]

OUTPUT = Path("snn.safetensors")


def convert(
    *,
    conversion: ConversionOptions = CONVERSION,
    output: Annotated[Path, Parameter(name=("--output", "-o"), metavar="FILE")] = OUTPUT,
    integer: bool = False,
    force: bool = False,
    machine: MachineOptions = MACHINE,
    common: CommonOptions = COMMON,
) -> int:
    """Turn a trained network into a spiking one and save it.

    For example: spikewright convert --model resnet20 --weights resnet20.safetensors
    --calibration folder:train --T 8 -o snn.safetensors

    Args:
        output: Where to save the spiking network. [default: snn.safetensors]
        integer: Save its integer form: 8-bit weights, whole-number thresholds; needs k = 2.
        force: Replace the file if it exists.
        conversion: The network and how it is converted.
        machine: Where it runs.
        common: What every verb takes.
    """
    from spikewright.cli.files import check_output
    from spikewright.cli.networks import convert_model
    from spikewright.cli.report import fit

    terminal = Terminal(common.json, common.quiet)
    check_output(output, force=force)
    snn = convert_model(conversion, terminal, machine.place).snn
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
