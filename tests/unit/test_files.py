# SPDX-License-Identifier: Apache-2.0
"""Files are read within bounds, and written whole, with the permissions of any new file."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import FileFormatError
from spikewright.files import parse_json, read_bytes, read_text, replacing, write


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


SCRIPT = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
import torch
from torch import nn
import spikewright as sw
from spikewright.files import write
from spikewright.training import checkpoint
folder = Path(sys.argv[1])
snn = sw.convert(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)),
                 calibration=torch.rand(8, 4), T=4)
snn.save(folder / "snn.safetensors")
checkpoint.write(folder / "last.safetensors",
                 checkpoint.Checkpoint(run={}, model={"a": torch.zeros(1)}))
write(folder / "text.json", "{}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("mask", ["022", "027", "077", "002"])
def test_files_get_the_permissions_that_the_umask_gives(tmp_path: Path, mask: str) -> None:
    """A process of its own sets a real umask and writes every kind of file."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), mask],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    written = sorted(tmp_path.iterdir())
    assert [p.name for p in written] == ["last.safetensors", "snn.safetensors", "text.json"]
    assert {mode(p) for p in written} == {0o666 & ~int(mask, 8)}


def test_a_saved_network_can_be_read_by_others(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    path = tmp_path / "snn.safetensors"
    before = os.umask(0o022)
    try:
        sw.convert(model, calibration=torch.rand(8, 4), T=4).save(path)
        assert mode(path) == 0o644
        os.umask(0o077)
        sw.load(path).save(path)
        assert mode(path) == 0o600
    finally:
        os.umask(before)


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
