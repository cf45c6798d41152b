# SPDX-License-Identifier: Apache-2.0
"""``spikewright export``: a spiking network leaves for other tools."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.option_values import Whole

__all__ = ["export"]


def export(
    snn: Annotated[Path, Parameter(metavar="SNN")],
    *,
    to: Annotated[str, Parameter(metavar="TARGET")],
    output: Annotated[Path, Parameter(name=("--output", "-o"), metavar="FOLDER")],
    data: options.Spec = None,
    samples: Whole = 20,
    lanes: Whole = None,
    engine: Literal["layer", "shared"] = "layer",
    simulate: Annotated[bool, Parameter(negative="")] = False,
    images: options.DataOptions = options.IMAGES,
    common: options.CommonOptions = options.COMMON,
) -> int:
    """Write a network for other tools, exactly or not at all.

    For example: spikewright export snn.safetensors --to vectors --data digits-test -o vectors

    Args:
        snn: A saved network; one in floating point is rounded first, as convert --integer does,
            but for nir.
        to: What to write: vectors (the integer program, and every spike and potential for some
            inputs), integers (the program alone), c (one C99 file), onnx, verilog or nir
            (synchronous networks in floating point).
        output: Where to write; a folder that does not exist yet.
        data: Inputs of golden vectors, or of a simulation. random: noise of the right shape.
        samples: How many of them, evenly spread over the set. [default: 20]
        lanes: Of Verilog: channels that are computed at once, at most. [default: 32]
        engine: Of Verilog: a machine for every layer, or one shared by all. [default: layer]
        simulate: Of Verilog: run the inputs of --data in Verilator, compare every word, and write
            the cycles of an inference to the manifest.
        images: How images become inputs.
        common: What every verb takes.
    """
    from spikewright.cli.items import batches, spread
    from spikewright.cli.networks import Subject
    from spikewright.cli.report import fit
    from spikewright.exports import LANES, TARGETS
    from spikewright.exports import export as write
    from spikewright.network import load

    terminal = common.terminal
    network = load(snn)
    if to in TARGETS and TARGETS[to].integer and not network.integer:
        network = network.to_integer()
    x = None
    if data is not None:
        items = spread(Subject(network).inputs(data, images), samples, "--samples")
        x = next(iter(batches(items, options.DataOptions(batch_size=samples))))[0]
    count = 20 if x is None else len(x)
    found = write(
        network, output, to=to, inputs=x, samples=count,
        lanes=LANES if lanes is None else lanes, engine=engine, simulate=simulate,
    )  # fmt: skip
    terminal.result(
        f"{fit(found.table())}\n\nwritten: {output}",
        {"schema": "spikewright.export/1", "output": str(output), **found.manifest},
    )
    return 0
