# SPDX-License-Identifier: Apache-2.0
"""MNIST from the folder that torchvision downloads (the original idx files, gzipped or not)."""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from spikewright.data.images import ArrayReader, ImageSet
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError
from spikewright.files import read_bytes

__all__ = ["load_mnist"]

_MOST_BYTES = 1 << 28  # five times those of the training images
_PREFIX = {"train": "train", "test": "t10k"}


def load_mnist(root: Path, part: Literal["train", "test"], preprocess: Preprocess) -> ImageSet:
    """Load MNIST (Y. LeCun, C. Cortes, C. Burges) in torchvision's layout.

    Args:
        root: The folder that holds ``MNIST/raw``.
        part: ``"train"`` or ``"test"``.
        preprocess: How images become tensors.

    Returns:
        Items are (float32 "1 28 28", digit).

    Raises:
        FileFormatError: If a file is missing, truncated, not an idx file, or the two disagree.
    """
    raw, prefix = root / "MNIST" / "raw", _PREFIX[part]
    images = _idx(raw / f"{prefix}-images-idx3-ubyte", axes=3)
    labels = _idx(raw / f"{prefix}-labels-idx1-ubyte", axes=1)
    reader = ArrayReader(images[..., None])
    return ImageSet(f"mnist-{part}", reader, labels.astype(np.int64), preprocess)


def _idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """Read one idx file: 0, 0, 8 for uint8, the number of axes, big-endian sizes, values."""
    zipped = path.with_name(path.name + ".gz")
    try:
        if path.is_file():
            content = read_bytes(path, "an idx file", _MOST_BYTES)
        elif zipped.is_file():
            with gzip.open(io.BytesIO(read_bytes(zipped, "a gzip file", _MOST_BYTES))) as packed:
                content = packed.read(_MOST_BYTES)
        else:
            raise FileFormatError(
                f"{path}: expected an idx file, got no file. Give the folder that holds MNIST/raw."
            )
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(
            f"{zipped}: expected a gzip file, got one that cannot be read ({error}). "
            "Download it again."
        ) from error
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes((0, 0, 8, axes)):
        raise FileFormatError(
            f"{path}: expected an idx file of {axes} axes, got one that begins with "
            f"{content[:4].hex() or 'nothing'}. Download it again."
        )
    shape = struct.unpack(f">{axes}I", content[4:start])
    values = np.frombuffer(content, np.uint8, offset=start)
    if len(values) != np.prod(shape, dtype=np.int64):
        raise FileFormatError(
            f"{path}: expected {'x'.join(map(str, shape))} values, got {len(values)}. "
            "Download it again."
        )
    return values.reshape(shape).copy()  # writable
