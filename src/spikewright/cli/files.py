# SPDX-License-Identifier: Apache-2.0
"""Never writing over another file unasked."""

from collections.abc import Iterable
from pathlib import Path

from spikewright.errors import ConfigError
from spikewright.files import write

__all__ = ["check_output", "check_outputs", "write"]


def check_output(path: Path, *, force: bool) -> None:
    """Refuse, before any work is done, what could not or must not be written.

    Args:
        path: The file that will be written.
        force: Whether an existing file may be replaced.

    Raises:
        ConfigError: If it exists and ``force`` is off, is a folder, or its folder is missing.
    """
    if path.is_dir():
        raise ConfigError(f"{path}: expected a file to write, got a folder. Add a file name.")
    if path.exists() and not force:
        raise ConfigError(
            f"{path}: exists already. Replace it with --force, or choose another name."
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"{path}: expected a folder {path.parent} to write to, got none. Make it first."
        )


def check_outputs(paths: Iterable[Path], *, force: bool) -> None:
    """Do ``check_output`` for each."""
    for path in paths:
        check_output(path, force=force)
