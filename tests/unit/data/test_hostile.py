# SPDX-License-Identifier: Apache-2.0
"""Small files that ask for a lot: each is one error, and none is waited for."""

import gzip
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikewright.data import Preprocess, from_folder, from_npz, named
from spikewright.data import npz as npz_module
from spikewright.errors import ConfigError, FileFormatError
from tests.unit.data.files import cifar, coded, mnist, pictures


def png(width: int, height: int) -> bytes:
    """A picture whose header says so many pixels; its content is one row."""

    def part(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * min(width, 1000)))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 14_000, 100_000])
def test_a_picture_over_the_limit_of_pillow(tmp_path: Path, side: int) -> None:
    """Over the limit Pillow warns, over twice the limit it raises: both are the same error."""
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "bomb.png").write_bytes(png(side, side))
    items = from_folder(tmp_path)
    with pytest.raises(
        FileFormatError, match=r"bomb\.png\): expected an image of at most [\d,]+ pixels"
    ):
        items[0]


def test_a_pipe_among_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    os.mkfifo(tmp_path / "cats" / "0.png")
    with pytest.raises(FileFormatError, match="expected an image, got a pipe or device"):
        from_folder(tmp_path)[0]


def test_pictures_that_other_programs_would_open(tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript: it is not among the kinds that are decoded."""
    (tmp_path / "cats").mkdir()
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "cats" / "0.png").write_bytes(script)
    with pytest.raises(FileFormatError, match="do not decode"):
        from_folder(tmp_path)[0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF"])
def test_the_usual_kinds_are_decoded(tmp_path: Path, kind: str) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "0.png").write_bytes(coded(pictures(1, 8, 6)[0], kind))
    assert tuple(from_folder(tmp_path)[0][0].shape) == (3, 8, 6)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_a_small_archive_that_unpacks_to_a_huge_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz_module, "MOST_BYTES", 100_000)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((100, 10_000), np.float32), y=np.zeros(100, np.int64))
    assert path.stat().st_size < 10_000
    with pytest.raises(
        FileFormatError, match=r"arrays of at most [\d,]+ bytes in a file of this size"
    ):
        from_npz(path)
    draw = np.random.default_rng(0)
    np.savez_compressed(path, x=draw.random((100, 10_000)), y=np.zeros(100, np.int64))
    assert len(from_npz(path)) == 100  # as large, but the file is, too


def test_a_header_that_promises_more_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1048576, 1048576, 1024), }"
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", start)
        archive.writestr("y.npy", start)
    with pytest.raises(FileFormatError, match="cannot be read"):
        from_npz(path)


def test_numbers_that_float32_does_not_hold(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((2, 3), 1e200), y=[0, 1])
    with pytest.raises(FileFormatError, match="expected x that float32 holds"):
        from_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 3)), y=np.array([1 << 63], np.uint64))
    with pytest.raises(FileFormatError, match=r"expected class numbers below 2\^31"):
        from_npz(tmp_path / "a.npz")


def test_a_zipped_idx_file_is_unpacked_up_to_a_bound(tmp_path: Path) -> None:
    mnist(tmp_path, zipped=True)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=9) as packed:
        packed.write(bytes((0, 0, 8, 3)) + struct.pack(">3I", 3, 28, 28))
        for _ in range(300):
            packed.write(bytes(1 << 20))
    with pytest.raises(FileFormatError, match="expected 3x28x28 values"):
        named("mnist-test", tmp_path)


class Giant:
    """An array that its pickle asks for before it says what is in it."""

    def __reduce__(self) -> tuple[object, ...]:
        return np.ndarray, ((1 << 40,),)


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (Giant(), [0]),
        (np.zeros((1, 3072), np.float64), [0]),
        (np.zeros((1, 3072), np.uint8), [[0]]),
        (np.zeros((1, 3072), np.uint8), ["cat"]),
        ([[0] * 3072], [0]),
    ],
)
def test_a_batch_that_is_none(tmp_path: Path, data: object, labels: object) -> None:
    cifar(tmp_path)
    content = pickle.dumps({"data": data, "labels": labels}, protocol=2)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(FileFormatError, match="expected a CIFAR-10 batch, got a file that is not"):
        named("cifar10-test", tmp_path)


def test_sizes_that_no_picture_has() -> None:
    with pytest.raises(ConfigError, match="1 to 16384 pixels"):
        Preprocess(size=1 << 20)
    with pytest.raises(ConfigError, match="mean: expected a number"):
        Preprocess.from_dict({"mean": [10**400]})
