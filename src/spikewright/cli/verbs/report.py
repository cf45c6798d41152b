# SPDX-License-Identifier: Apache-2.0
"""``spikewright report``: what was measured as a page to look at, or as Markdown, JSON or CSV."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from spikewright.cli.options import COMMON, CommonOptions

__all__ = ["report"]

NAME = "report.html"


def report(
    *results: Annotated[Path, Parameter(metavar="RESULT")],
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE")] = None,
    energy: Annotated[tuple[str, ...], Parameter(metavar="NAME", negative="")] = (),
    hardware: Annotated[Path | None, Parameter(metavar="MANIFEST")] = None,
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
        hardware: manifest.json of the same network's export --to verilog --simulate; its cycles
            stand beside ticks.
        open: Show the page in the browser.
        force: Replace the file if it exists.
        common: What every verb takes.
    """
    import webbrowser

    from spikewright.cli.files import check_output, write
    from spikewright.cli.report import fit
    from spikewright.energy.energy_model import choose_models
    from spikewright.errors import ConfigError
    from spikewright.report.content import content
    from spikewright.report.data import to_dict
    from spikewright.report.hardware import with_hardware
    from spikewright.report.read import read
    from spikewright.report.write import form_of

    if not results:
        raise ConfigError(
            "report: expected a result file, got none. Write one: spikewright evaluate … -o FILE."
        )
    path = results[0].with_name(NAME) if output is None else output
    form = form_of(path)
    if open and path.suffix != ".html":
        raise ConfigError(f"--open: expected a page to show, got {path}. End its name in .html.")
    if path.resolve() in [result.resolve() for result in results]:
        raise ConfigError(f"--output {path}: expected another file than the results. Choose one.")
    check_output(path, force=force)
    measured = read(results)
    measured = measured if hardware is None else with_hardware(measured, hardware)
    found = content(measured, choose_models(energy or None))
    write(path, form(found))
    lines = [f"{i}. {sentence}" for i, sentence in enumerate(found.verdict, 1)]
    common.terminal.result(
        fit("\n".join([found.measured.title, "", *lines, "", f"written: {path}"])),
        {**to_dict(found), "written": str(path)},
    )
    if open and not webbrowser.open(path.resolve().as_uri()):
        common.terminal.note(f"no browser was found to show {path} in")
    return 0
