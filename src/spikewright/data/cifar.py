# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 from the folder that torchvision downloads, read without executing any pickle.

The batches are pickles. An unpickler that knows arrays and nothing else reads them, so a foreign
file in their place is an error and not a program.
"""

import io
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spikewright.data.images import ArrayReader, ImageSet
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError
from spikewright.files import read_bytes

__all__ = ["load_cifar10"]

_BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
_MOST_BYTES = 1 << 26  # twice those of a batch


def _empty(*_: object) -> npt.NDArray[np.uint8]:
    """Return what a pickle fills with an array's bytes; how large it is, they say."""
    return np.empty(0, np.uint8)


class _Array:
    """Stands for the class of arrays, which a pickle names but must not make."""


_ARRAY_PARTS = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy._core.multiarray", "_reconstruct"): _empty,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): str.encode,
}


def load_cifar10(root: Path, part: Literal["train", "test"], preprocess: Preprocess) -> ImageSet:
    """Load CIFAR-10 (A. Krizhevsky, 2009) in torchvision's layout.

    Args:
        root: The folder that holds ``cifar-10-batches-py``.
        part: ``"train"`` or ``"test"``.
        preprocess: How images become tensors.

    Returns:
        Items are (float32 "3 32 32", class).

    Raises:
        FileFormatError: If a batch is missing, damaged, or holds anything but images and labels.
    """
    batches = [_batch(root / "cifar-10-batches-py" / name) for name in _BATCHES[part]]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return ImageSet(f"cifar10-{part}", ArrayReader(images), labels, preprocess)


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays, and refuses every other name a pickle may ask for."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (pickle's own signature)
        try:
            return _ARRAY_PARTS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _batch(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    if not path.is_file():
        raise FileFormatError(
            f"{path}: expected a CIFAR-10 batch, got no file. "
            "Give the folder that holds cifar-10-batches-py."
        )
    try:
        content = io.BytesIO(read_bytes(path, "a CIFAR-10 batch", _MOST_BYTES))
        batch = _ArrayUnpickler(content, encoding="latin1").load()
        pixels, labels = batch["data"], batch["labels"]
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise ValueError("its labels are no list of whole numbers")
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            raise ValueError("its images are no array of uint8")
        labels = np.array(labels, dtype=np.int64)
        images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    except Exception as error:  # a damaged pickle fails in as many ways as there are bytes
        raise FileFormatError(
            f"{path}: expected a CIFAR-10 batch, got a file that is not one ({error}). "
            "It may be truncated: download it again."
        ) from error
    if labels.shape != images.shape[:1]:
        raise FileFormatError(
            f"{path}: expected images and as many labels, got images of shape {pixels.shape} and "
            f"labels of shape {labels.shape}. Download it again."
        )
    return np.ascontiguousarray(images), labels
