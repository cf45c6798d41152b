# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all, and none is replaced unasked."""

from pathlib import Path

import pytest

from spikewright.cli.files import check_output, write
from spikewright.errors import ConfigError, FileFormatError


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(ConfigError, match=r"result.json: exists already. Replace it with --force"):
        check_output(path, force=False)
    check_output(path, force=True)


def test_a_folder_is_no_file_even_with_force(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a file to write, got a folder"):
        check_output(tmp_path, force=True)


def test_a_missing_folder_is_found_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a folder .*nowhere to write to, got none"):
        check_output(tmp_path / "nowhere" / "result.json", force=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_was_there_survives_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:1])
        raise error

    monkeypatch.setattr(Path, "write_bytes", half)
    expected = FileFormatError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_and_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a", "θ")
    write(tmp_path / "a", b"\xce\xb8!")
    assert (tmp_path / "a").read_bytes().decode() == "θ!"
    assert len(list(tmp_path.iterdir())) == 1
