# SPDX-License-Identifier: Apache-2.0
"""Writes tiny data sets in the layouts that are found on disk in the wild."""

import gzip
import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def pictures(count: int, height: int, width: int, channels: int = 3) -> Pixels:
    """Random images, "image height width channel", always the same."""
    draw = np.random.default_rng(7)
    return draw.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def coded(image: Pixels, kind: str = "PNG", **settings: Any) -> bytes:
    """One image as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(image.squeeze()).save(stream, kind, **settings)
    return stream.getvalue()


def packed(files: list[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Files one after another, and where they begin."""
    return {
        "blob": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
    }


class _Python2Pickler(pickle._Pickler):
    """Writes byte strings the way Python 2 did, as the CIFAR-10 batches were written."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    dispatch[bytes] = save_bytes

    def save_global(self, value: Any, name: str | None = None) -> None:
        if getattr(value, "__name__", "") == "_reconstruct":
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n")
        else:
            super().save_global(value, name)

    dispatch[type(np.empty(0).__reduce__()[0])] = save_global


def cifar_batch(path: Path, content: object) -> None:
    """One pickled batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        _Python2Pickler(stream, protocol=2).dump(content)


def cifar(root: Path, per_batch: int = 2) -> tuple[Pixels, list[int]]:
    """The five training batches and the test batch; returns the test images and labels."""
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    images = pictures(per_batch * len(names), 32, 32)
    labels = [n % 10 for n in range(len(images))]
    for position, name in enumerate(names):
        part = slice(position * per_batch, (position + 1) * per_batch)
        rows = images[part].transpose(0, 3, 1, 2).reshape(per_batch, -1)
        content = {b"data": np.ascontiguousarray(rows), b"labels": labels[part]}
        cifar_batch(root / "cifar-10-batches-py" / name, content)
    return images[-per_batch:], labels[-per_batch:]


def idx(values: Pixels) -> bytes:
    """An array as an idx file."""
    return (
        bytes((0, 0, 8, values.ndim))
        + struct.pack(f">{values.ndim}I", *values.shape)
        + values.tobytes()
    )


def mnist(root: Path, *, zipped: bool) -> tuple[Pixels, Pixels]:
    """The test part; returns images and labels."""
    images, labels = pictures(3, 28, 28, 1)[..., 0], np.array([7, 2, 1], np.uint8)
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, values in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        if zipped:
            (raw / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
        else:
            (raw / name).write_bytes(idx(values))
    return images, labels


def image_folder(root: Path, classes: tuple[str, ...], per_class: int = 2) -> Pixels:
    """A folder of PNG files per class; returns the images in reading order."""
    images = pictures(len(classes) * per_class, 6, 5)
    for position, image in enumerate(images):
        folder = root / classes[position // per_class]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{position:03}.png").write_bytes(coded(image))
    return images
