# SPDX-License-Identifier: Apache-2.0
"""Finished cells as files: written at once, found again by everything that they depend on.

A file's name is the digest of method, settings, T, model, calibration, data and release, so a
changed one is looked for under another name and old cells are never mixed in.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikewright.errors import ConfigError, FileFormatError
from spikewright.files import parse_json, read_text, write

__all__ = ["SCHEMA", "Store", "key_of"]

SCHEMA = "spikewright.comparison.cell/6"


def key_of(parts: Mapping[str, Any]) -> str:
    """Return SHA-256 of JSON-able data, 64 hexadecimal digits.

    Example:
        >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Store:
    """Cells by key: in memory, and in a folder if there is one.

    Args:
        folder: Made if it is missing; None keeps nothing beyond this object.

    Raises:
        ConfigError: If the folder is a file or cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self._kept: dict[str, dict[str, Any]] = {}
        self._cells = None if folder is None else folder / "cells"
        if self._cells is not None:
            try:
                self._cells.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(
                    f"store: expected a folder to write to, got {folder} ({error.strerror}). "
                    "Choose another one."
                ) from error

    def path(self, parts: Mapping[str, Any]) -> Path | None:
        """Return the file of a cell, None without a folder."""
        return None if self._cells is None else self._cells / f"{key_of(parts)}.json"

    def read(self, parts: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a finished cell, None if there is none.

        Args:
            parts: Everything that the cell depends on.

        Raises:
            FileFormatError: If its file is damaged.
        """
        kept, path = self._kept.get(key_of(parts)), self.path(parts)
        if kept is not None or path is None or not path.exists():
            return kept
        try:
            data = parse_json(read_text(path, "a finished cell"))
            digest, cell = data["digest"], data["cell"]
            whole = data["schema"] == SCHEMA and data["of"] == dict(parts)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(path, f"one that cannot be read ({error})") from error
        if not whole or not isinstance(cell, dict) or digest != key_of(cell):
            raise damaged(path, "one that was changed")
        return cell

    def write(self, parts: Mapping[str, Any], cell: Mapping[str, Any]) -> None:
        """Keep a finished cell.

        Raises:
            FileFormatError: If its file cannot be written.
        """
        content = json.loads(json.dumps(cell))
        self._kept[key_of(parts)] = content
        path = self.path(parts)
        if path is not None:
            data = {"schema": SCHEMA, "of": dict(parts), "digest": key_of(content), "cell": content}
            write(path, json.dumps(data, indent=1) + "\n")


def damaged(path: Path | None, what: str) -> FileFormatError:
    """Return the error for a file that is no finished cell."""
    return FileFormatError(
        f"{path}: expected a finished cell of a comparison, got {what}. "
        "Delete it; it will be measured again."
    )
