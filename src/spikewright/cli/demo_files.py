# SPDX-License-Identifier: Apache-2.0
"""What all demos begin and end with: whose files may be replaced, what is told, what is written."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikewright.cli.files import check_outputs, write
from spikewright.cli.terminal import Terminal
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.report.write import write_report

__all__ = ["begin", "store"]


def begin(
    folder: Path,
    files: Iterable[str],
    schema: str,
    epochs: int,
    terminal: Terminal,
    *,
    force: bool,
) -> tuple[list[str], Callable[[str], None]]:
    """Check what a demo is asked for before any work.

    Args:
        folder: Where files go.
        files: Their names.
        schema: What ``demo.json`` of an earlier demo of the same kind says.
        epochs: Passes over the training data.
        terminal: Where the text goes.
        force: Whether files that are not of an earlier demo may be replaced.

    Returns:
        The blocks of text that were told so far, and what tells one.

    Raises:
        ConfigError: If ``epochs`` is below 1, something else is in the way, or there is no folder
            to make it in.
    """
    if epochs < 1:
        raise ConfigError(f"--epochs: expected at least 1, got {epochs}. Raise it.")
    _claim(folder, files, schema, force=force)
    said: list[str] = []

    def tell(block: str) -> None:
        said.append(block)
        terminal.tell(block + "\n")

    return said, tell


def store(
    folder: Path,
    files: Mapping[str, str],
    terminal: Terminal,
    weights: Mapping[str, bytes],
    snn: SpikingNetwork,
    data: Mapping[str, Mapping[str, Any]],
    said: Sequence[str],
) -> dict[str, str]:
    """Write what a demo has found, and its report if that can be made.

    Args:
        folder: Where files go; made if it is missing.
        files: Name to what it is, of all files.
        terminal: Is told if there is no report.
        weights: File name to content, of the original network.
        snn: The spiking network, written to ``snn.safetensors``.
        data: File name to JSON-able data; ``result.json`` is what the report is made of.
        said: The blocks of text, written to ``summary.txt``.

    Returns:
        The files that were written, with what they are.
    """
    folder.mkdir(exist_ok=True)
    for name, content in weights.items():
        write(folder / name, content)
    snn.save(folder / "snn.safetensors")
    for name, found in data.items():
        write(folder / name, json.dumps(found, indent=1) + "\n")
    write(folder / "summary.txt", "\n\n".join(said) + "\n")
    written = dict(files)
    try:
        write_report([folder / "result.json"], folder / "report.html")
    except ConfigError as error:  # matplotlib and jinja2 are an extra
        del written["report.html"]
        terminal.note(f"no report.html: {error}")
    return written


def _claim(folder: Path, files: Iterable[str], schema: str, *, force: bool) -> None:
    """Refuse a folder whose files this program has not written itself."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder, got a file. Choose another with -o.")
    if not folder.parent.is_dir():
        raise ConfigError(
            f"{folder}: expected a folder {folder.parent} to make it in, got none. Make it first."
        )
    if folder.is_dir():
        check_outputs((folder / name for name in files), force=force or _is_ours(folder, schema))


def _is_ours(folder: Path, schema: str) -> bool:
    try:
        found = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("schema") == schema
