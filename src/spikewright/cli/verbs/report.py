# SPDX-License-Identifier: Apache-2.0
"""``spikewright report``: what was measured as a page to look at, or as Markdown, JSON or CSV."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from spikewright.cli.options import COMMON, CommonOptions
from spikewright.cli.terminal import Terminal

__all__ = ["report"]


def report(
    *results: Annotated[Path, Parameter(metavar="RESULT")],
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE")] = None,
    energy: Annotated[tuple[str, ...], Parameter(metavar="NAME", negative="")] = (),
    open: bool = False,  # noqa: A002 - the option's name
    force: bool = False,
    common: CommonOptions = COMMON,
) -> int:
    """Make a report of what was measured: a page that needs no network and no other file.

    For example: spikewright report result.json -o report.html --open

    A result is what `spikewright evaluate -o FILE` or `spikewright compare -o FILE`
    wrote. Several are compared; they must be of one checkpoint with one
    calibration, on the same inputs.

    Args:
        results: The result files.
        output: Where to write: .html (a page), .md, .json or .csv. [default: report.html beside
            the first result]
        energy: Energy model, or FILE.toml with one of your own. Repeatable; energy is split and
            drawn by the first. [default: all that `spikewright list energy` shows]
        open: Show the page in the browser.
        force: Replace the file if it exists.
        common: What every verb takes.
    """
    from spikewright.cli.report_run import run

    terminal = Terminal(common.json, common.quiet)
    return run(terminal, results, output, energy=energy, open_page=open, force=force)
