# SPDX-License-Identifier: Apache-2.0
"""The folder of a demo: whose files may be replaced."""

import json
from collections.abc import Iterable
from pathlib import Path

from spikewright.cli.files import check_outputs
from spikewright.errors import ConfigError

__all__ = ["claim"]


def claim(folder: Path, files: Iterable[str], schema: str, *, force: bool) -> None:
    """Refuse a folder whose files this program has not written itself.

    Args:
        folder: Where files go.
        files: Their names.
        schema: What ``demo.json`` of an earlier demo of the same kind says.
        force: Whether other files may be replaced.

    Raises:
        ConfigError: If something else is in the way, or there is no folder to make it in.
    """
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
