# SPDX-License-Identifier: Apache-2.0
"""Finished cells as files: found again by everything they depend on, never half written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikewright.comparison.store import Store
from spikewright.errors import ConfigError, FileFormatError

PARTS = {"model": "m", "T": 8, "settings": {"name": "burst"}}
CELL = {"T": 8, "numbers": (1, 2)}


def file_of(folder: Path) -> Path:
    Store(folder).write(PARTS, CELL)
    (path,) = (folder / "cells").iterdir()
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data["cell"].update(T=9),
        lambda data: data["cell"]["numbers"].append(3),
        lambda data: data.update(schema="spikewright.comparison.cell/0"),
        lambda data: data["of"].update(T=9),
        lambda data: data.pop("digest"),
        lambda data: data.update(cell=[]),
    ],
)
def test_a_changed_file_is_one_clear_error(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    path = file_of(tmp_path)
    change(path, edit)
    with pytest.raises(FileFormatError, match=f"{path.name}: expected a finished cell .* Delete"):
        Store(tmp_path).read(PARTS)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = file_of(tmp_path)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"{path.name}: expected a finished cell .* Delete"):
        Store(tmp_path).read(PARTS)


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="store: expected a folder to write to"):
        Store(tmp_path / "file")


def test_cells_are_read_back_by_their_parts_alone(tmp_path: Path) -> None:
    path = file_of(tmp_path / "new" / "store")
    assert len(path.stem) == 64
    store = Store(tmp_path / "new" / "store")
    assert store.read(dict(reversed(PARTS.items()))) == {"T": 8, "numbers": [1, 2]}
    assert store.read({**PARTS, "T": 9}) is None


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:9])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).write(PARTS, CELL)
    assert list((tmp_path / "cells").iterdir()) == []


def test_without_a_folder_cells_live_as_long_as_the_store() -> None:
    store = Store(None)
    assert store.read(PARTS) is None
    store.write(PARTS, CELL)
    assert store.read(PARTS) == {"T": 8, "numbers": [1, 2]}
