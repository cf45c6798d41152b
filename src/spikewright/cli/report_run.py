# SPDX-License-Identifier: Apache-2.0
"""The work of ``spikewright report``: cheap checks first, then one file."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from spikewright.cli.files import check_output, write
from spikewright.cli.report import fit
from spikewright.cli.terminal import Terminal
from spikewright.energy.energy_model import choose_models
from spikewright.errors import ConfigError
from spikewright.report.content import content
from spikewright.report.data import to_dict
from spikewright.report.read import read
from spikewright.report.write import form_of

__all__ = ["run"]

_NAME = "report.html"


def run(
    terminal: Terminal,
    results: Sequence[Path],
    output: Path | None,
    *,
    energy: Sequence[str],
    open_page: bool,
    force: bool,
) -> int:
    """Write the report as the ending of the file says; see the verb.

    Returns:
        The exit code, 0.

    Raises:
        ConfigError: If an option is missing or wrong, or the results cannot be compared.
        FileFormatError: If a file is no result, or the report cannot be written.
        UnknownNameError: If an energy model is not known.
    """
    if not results:
        raise ConfigError(
            "report: expected a result file, got none. Write one: spikewright evaluate … -o FILE."
        )
    path = results[0].with_name(_NAME) if output is None else output
    form = form_of(path)
    if open_page and path.suffix != ".html":
        raise ConfigError(f"--open: expected a page to show, got {path}. End its name in .html.")
    if path.resolve() in [result.resolve() for result in results]:
        raise ConfigError(f"--output {path}: expected another file than the results. Choose one.")
    check_output(path, force=force)
    found = content(read(results), choose_models(energy or None))
    write(path, form(found))
    lines = [f"{i}. {sentence}" for i, sentence in enumerate(found.verdict, 1)]
    terminal.result(
        fit("\n".join([found.measured.title, "", *lines, "", f"written: {path}"])),
        {**to_dict(found), "written": str(path)},
    )
    if open_page and not webbrowser.open(path.resolve().as_uri()):
        terminal.note(f"no browser was found to show {path} in")
    return 0
