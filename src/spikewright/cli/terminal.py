# SPDX-License-Identifier: Apache-2.0
"""What is written where: results to standard output, everything else to standard error."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from spikewright.errors import SpikewrightWarning

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Terminal", "command", "shown_warnings"]


@dataclass(frozen=True)
class Terminal:
    """The two streams of one run of the command.

    Args:
        json: Whether standard output gets one JSON object and nothing else.
        quiet: Whether progress and notes are left out.
    """

    json: bool = False
    quiet: bool = False

    @property
    def progress(self) -> bool:
        """Whether to draw progress bars: not into files, and not if asked to be quiet."""
        return not self.quiet and sys.stderr.isatty()

    def result(self, text: str, data: Mapping[str, Any]) -> None:
        """Print the outcome, as text or as JSON."""
        if self.json:
            print(json.dumps(data, indent=1))
        else:
            _show(text)

    def tell(self, text: str) -> None:
        """Say on standard output what is being done; left out if only the result is wanted."""
        if not (self.json or self.quiet):
            _show(text)

    def note(self, text: str) -> None:
        """Say on standard error what a user should know about this run."""
        if not self.quiet:
            print(f"note: {text}", file=sys.stderr, flush=True)


def _show(text: str) -> None:
    """Print a text; in a terminal titles of tables stand out, in a pipe or file nothing does."""
    if not sys.stdout.isatty():
        print(text, flush=True)
        return
    from rich.console import Console

    # rich leaves colours out itself where NO_COLOR or the kind of terminal says so.
    Console(highlight=False, soft_wrap=True).print(_styled(text))


def _styled(text: str) -> "Text":
    """Return a text whose table titles are bold and whose rules are dim."""
    from rich.text import Text

    lines, styled = text.split("\n"), Text()
    for i, line in enumerate(lines):
        after = lines[i + 1] if i + 1 < len(lines) else ""
        style = "dim" if _is_rule(line) else "bold" if _is_rule(after) else ""
        styled.append(line + ("\n" if i + 1 < len(lines) else ""), style)
    return styled


def _is_rule(line: str) -> bool:
    return "─" in line and not line.strip("─ ")


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Print each warning as one line on standard error."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        origin = "" if issubclass(category, SpikewrightWarning) else f" ({filename}:{lineno})"
        print(f"warning: {message}{origin}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def command(*words: object) -> str:
    """Return a command of this program that can be pasted in the folder the user is in.

    It begins with ``spikewright`` where the shell finds that, else with the interpreter's path.

    Args:
        *words: What follows; each is quoted where the shell would read it as something else.

    Example:
        >>> command("report", "my result.json").partition("spikewright ")[2]
        "report 'my result.json'"
    """
    program = ["spikewright"]
    if not shutil.which("spikewright"):
        python = Path(sys.executable)
        with suppress(ValueError):
            python = python.relative_to(Path.cwd())
        program = [str(python), "-m", "spikewright"]
    line = [*program, *map(str, words)]
    return subprocess.list2cmdline(line) if os.name == "nt" else shlex.join(line)
