# SPDX-License-Identifier: Apache-2.0
"""``spikewright demo``: from data to a measured spiking network, without any setup."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole

__all__ = ["demo"]

OUTPUTS = {
    "classification": Path("spikewright-demo"),
    "detection": Path("spikewright-demo-detection"),
}
EPOCHS = {"classification": 8, "detection": 7}


def demo(
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FOLDER")] = None,
    task: Literal["classification", "detection"] = "classification",
    epochs: Whole = None,
    force: bool = False,
    how: RunOptions = RUN,
) -> int:
    """Train a small network on handwritten digits, convert it, verify it, measure it.

    Needs no data and no options; takes less than a minute and writes its results to a folder.

    With --task detection it finds digits in pictures, which takes about three minutes.

    Args:
        output: Where to write; files of an earlier demo are replaced. [default: spikewright-demo,
            of detection spikewright-demo-detection]
        task: What the network is for. [default: classification]
        epochs: Passes over the training data; fewer are faster and less accurate. [default: 8, of
            detection 7]
        force: Replace files there that are not of an earlier demo.
        how: Where it runs, and what every verb takes.
    """
    if task == "detection":
        from spikewright.cli.demo_detection import run
    else:
        from spikewright.cli.demo_run import run

    return run(
        OUTPUTS[task] if output is None else output,
        EPOCHS[task] if epochs is None else epochs,
        how.terminal,
        force=force,
        machine=how.machine,
    )
