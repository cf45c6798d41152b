# SPDX-License-Identifier: Apache-2.0
"""What all demos begin with: whose files may be replaced, and a text that is told and kept."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from spikewright.cli.files import check_outputs
from spikewright.cli.terminal import Terminal
from spikewright.errors import ConfigError

__all__ = ["begin"]


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
