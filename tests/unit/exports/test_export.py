# SPDX-License-Identifier: Apache-2.0
"""A folder is there as a whole or not at all, and its manifest has the digest of every file."""

import errno
import hashlib
import json
from pathlib import Path

import pytest
import torch

import spikewright as sw
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError
from spikewright.exports import folder as folders
from tests.unit.exports.conftest import Deep, Made


def test_the_manifest_has_the_digest_of_every_file(made: Made, tmp_path: Path) -> None:
    snn, _ = made(Deep)
    found = sw.export(snn, tmp_path / "out", to="integers")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(found.manifest))
    others = {p.name for p in (tmp_path / "out").iterdir()} - {"manifest.json"}
    assert set(manifest["files"]) == others == {"program.json", "tensors.safetensors"}
    for name, file in manifest["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            file["bytes"],
            file["sha256"],
        )


def test_batches_of_a_loader_give_the_first_inputs(made: Made, tmp_path: Path) -> None:
    snn, x = made(Deep)
    batches = [(part, torch.zeros(len(part))) for part in x.split(7)]
    found = sw.export(snn, tmp_path / "a", to="vectors", inputs=batches, samples=9)
    sw.export(snn, tmp_path / "b", to="vectors", inputs=x[:9])
    assert found.manifest["samples"] == 9
    one, two = (tmp_path / n / "vectors.safetensors" for n in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_an_existing_folder_is_refused_and_stays(made: Made, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match=r"out: exists already\. Remove it"):
        sw.export(made(Deep)[0], tmp_path / "out", to="integers")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_parent_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a folder .*no to write to, got none"):
        sw.export(made(Deep)[0], tmp_path / "no" / "out", to="integers")


def test_a_full_disk_leaves_nothing_behind(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folders, "save_file", full)
    with pytest.raises(FileFormatError, match=r"No space left on device\)\. Nothing was left"):
        sw.export(made(Deep)[0], tmp_path / "out", to="integers")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target_and_missing_inputs_are_told(made: Made, tmp_path: Path) -> None:
    snn, x = made(Deep)
    with pytest.raises(UnknownNameError, match="Did you mean 'vectors'"):
        sw.export(snn, tmp_path / "out", to="vector")
    with pytest.raises(ConfigError, match="expected inputs for golden vectors, got none"):
        sw.export(snn, tmp_path / "out", to="vectors")
    with pytest.raises(ConfigError, match="expected at least one, got none"):
        sw.export(snn, tmp_path / "out", to="vectors", inputs=[])
    with pytest.raises(ConfigError, match="samples: expected at least 1, got 0"):
        sw.export(snn, tmp_path / "out", to="vectors", inputs=x, samples=0)


def test_inputs_beyond_the_range_of_the_sums_are_refused(made: Made, tmp_path: Path) -> None:
    snn, x = made(Deep)
    with pytest.raises(ConfigError, match=r"from -128 to 127 steps, got \d+ outside"):
        sw.export(snn, tmp_path / "out", to="vectors", inputs=x * 3)
    assert list(tmp_path.iterdir()) == []
