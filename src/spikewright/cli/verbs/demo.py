# SPDX-License-Identifier: Apache-2.0
"""``spikewright demo``: from data to a measured spiking network, without any setup."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole

__all__ = ["demo"]

OUTPUT = Path("spikewright-demo")
EPOCHS = 8


def demo(
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"), metavar="FOLDER")] = OUTPUT,
    epochs: Whole = EPOCHS,
    force: bool = False,
    how: RunOptions = RUN,
) -> int:
    """Train a small network on handwritten digits, convert it, verify it, measure it.

    Needs no data and no options; takes less than a minute and writes its results to a folder.

    Args:
        output: Where to write; files of an earlier demo are replaced. [default: spikewright-demo]
        epochs: Passes over the training data; fewer are faster and less accurate. [default: 8]
        force: Replace files there that are not of an earlier demo.
        how: Where it runs, and what every verb takes.
    """
    from spikewright.cli.demo_run import run

    return run(
        output,
        EPOCHS if epochs is None else epochs,
        how.terminal,
        force=force,
        machine=how.machine,
    )
