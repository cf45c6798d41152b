# SPDX-License-Identifier: Apache-2.0
"""Files are read within bounds, and written whole, with the permissions of any new file."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import FileFormatError
from spikewright.files import parse_json, read_bytes, read_text, replacing, write
from spikewright.training import checkpoint


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_files_get_the_permissions_that_the_umask_gives(
    tmp_path: Path, umask: Callable[[int], int], mask: int
) -> None:
    """Every kind of file, new and replaced, whatever the mask was when it was written first."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    snn = sw.convert(model, calibration=torch.rand(8, 4), T=4)
    for now in (mask, 0o022, mask):
        umask(now)
        snn.save(tmp_path / "snn.safetensors")
        trained = checkpoint.Checkpoint(run={}, model={"a": torch.zeros(1)})
        checkpoint.write(tmp_path / "last.safetensors", trained)
        write(tmp_path / "text.json", "{}")
        written = sorted(tmp_path.iterdir())
        assert [p.name for p in written] == ["last.safetensors", "snn.safetensors", "text.json"]
        assert {mode(p) for p in written} == {0o666 & ~now}
    assert sw.load(tmp_path / "snn.safetensors").T == 4


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    with pytest.raises(FileFormatError, match="could not be written"):
        write(path / "b", "new")
    with pytest.raises(FileFormatError, match="could not be written"):
        write(tmp_path / "none" / "b", "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_pipe_a_device_and_a_folder_are_no_files(tmp_path: Path) -> None:
    """None of them is waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FileFormatError, match="expected a thing, got a pipe or device"):
            read_bytes(path, "a thing", 10)
    with pytest.raises(FileFormatError, match="could not be read"):
        read_bytes(tmp_path, "a thing", 10)
    with pytest.raises(FileFormatError, match="expected a thing, got no file"):
        read_bytes(tmp_path / "none", "a thing", 10)
    with pytest.raises(FileFormatError, match="could not be read"):
        read_bytes(Path("a\0b"), "a thing", 10)


def test_more_than_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 11)
    assert read_bytes(path, "a thing", 11) == b"x" * 11
    with pytest.raises(FileFormatError, match="of at most 10 bytes, got more"):
        read_bytes(path, "a thing", 10)
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(path, "a text")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 70 + "]" * 70, "nested more than 64 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 64 levels deep"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested more than 64 levels deep"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "'c' is there twice"),
        ('["\\ud800"]', "half of a character"),
        ('{"\\uDFFF": 1}', "half of a character"),
        ("[NaN]", "NaN is no number of JSON"),
        ("[-Infinity]", "-Infinity is no number of JSON"),
        ("[1", "Expecting"),
        ("1" * 5000, "digits"),
    ],
)
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text, finite=True)


def test_json_that_is_taken() -> None:
    assert parse_json("[" * 60 + "]" * 60)
    assert parse_json('["\\ud83d\\ude00", {"a": NaN}]')[0] == "😀"
