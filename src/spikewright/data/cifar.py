# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 from the folder that torchvision downloads, read without executing any pickle.

The batches are pickles. An unpickler that knows arrays and nothing else reads them, so a foreign
file in their place is an error and not a program.
"""

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spikewright.data.images import ArrayReader, ImageSet
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError

__all__ = ["load_cifar10"]

_BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
_ARRAY_PARTS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
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
        with path.open("rb") as stream:
            batch = _ArrayUnpickler(stream, encoding="latin1").load()
        pixels, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
        images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    except Exception as error:  # a damaged pickle fails in as many ways as there are bytes
        raise FileFormatError(
            f"{path}: expected a CIFAR-10 batch, got a file that is not one ({error}). "
            "It may be truncated: download it again."
        ) from error
    if (
        pixels.dtype != np.uint8
        or labels.shape != images.shape[:1]
        or labels.dtype.kind not in "iu"
    ):
        raise FileFormatError(
            f"{path}: expected uint8 images and as many labels, got {pixels.dtype} of shape "
            f"{pixels.shape} and labels of shape {labels.shape}. Download it again."
        )
    return np.ascontiguousarray(images), labels.astype(np.int64)
