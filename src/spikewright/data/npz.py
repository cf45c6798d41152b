# SPDX-License-Identifier: Apache-2.0
"""Data sets in one ``.npz`` file, which is how users bring their own without writing code.

Four layouts are told apart by their keys:

- ``images`` (uint8 NHWC or NHW) and ``labels``;
- ``x`` (float, any shape, already preprocessed) and ``y``;
- ``jpeg``, ``offsets`` and ``labels``: JPEG files one after another;
- ``webp``, ``offsets`` and ``labels``: lossless WebP sheets of many square tiles each.

Nothing pickled is read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikewright.data.images import ArrayReader, ArraySet, ImageReader, ImageSet, PackedReader
from spikewright.data.preprocess import Preprocess
from spikewright.data.sheets import SheetReader
from spikewright.errors import ConfigError, FileFormatError

__all__ = ["from_npz", "packed_files", "pixels", "read_layout"]

MOST_BYTES = 1 << 30
"""What a small file may unpack to, 1 GiB; a larger one may become ``MOST_TIMES`` its size."""

MOST_TIMES = 32

Layouts = Sequence[Sequence[str]]

LAYOUTS: Layouts = (
    ("images", "labels"),
    ("x", "y"),
    ("jpeg", "offsets", "labels"),
    ("webp", "offsets", "labels"),
)


def from_npz(
    path: str | Path,
    *,
    part: str | None = None,
    preprocess: Preprocess | None = None,
    tile: int = 32,
) -> ImageSet | ArraySet:
    """Open a ``.npz`` file of images or arrays with labels.

    Args:
        path: The file.
        part: Reads the keys ``<part>_images`` and so on, for files that hold several sets.
        preprocess: How images become tensors. Default: values / 255, one grey channel for NHW
            images.
        tile: Height and width in pixels of the tiles of WebP sheets.

    Returns:
        A data set of (float32 tensor, label). Coded images are decoded when they are read.

    Raises:
        FileFormatError: If the file is missing or damaged, lacks keys, or its arrays have the
            wrong kind, shape or length.
        ConfigError: If ``preprocess`` is given for ``x`` and ``y``, which are taken as they are.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(folder + "/my.npz", images=np.zeros((2, 4, 4), np.uint8), labels=[7, 1])
        ...     data = from_npz(folder + "/my.npz")
        >>> image, label = data[0]
        >>> tuple(image.shape), label
        ((1, 4, 4), 7)
    """
    path = Path(path)
    where = path.name if part is None else f"{path.name}:{part}"
    arrays = read_layout(path, where, LAYOUTS, "" if part is None else f"{part}_")
    if "x" in arrays:
        if preprocess is not None:
            raise ConfigError(
                f"{where}: expected no preprocess for float arrays, got one. "
                "x and y are taken as they are: apply it before saving, or save uint8 images."
            )
        return ArraySet(
            where, _floats(arrays["x"], where), _labels(arrays["y"], len(arrays["x"]), where)
        )
    reader: ImageReader
    if "images" in arrays:
        images = pixels(arrays["images"], where)
        preprocess = preprocess or Preprocess(channels="L" if images.shape[3] == 1 else "RGB")
        reader, count = ArrayReader(images), len(images)
    else:
        key = "jpeg" if "jpeg" in arrays else "webp"
        packed = packed_files(arrays[key], arrays["offsets"], key, where)
        if key == "webp":
            count = int(np.size(arrays["labels"]))
            reader = SheetReader(packed, tile, count)
        else:
            reader, count = packed, len(packed)
    labels = _labels(arrays["labels"], count, where)
    return ImageSet(where, reader, labels, preprocess or Preprocess())


def read_layout(
    path: Path, where: str, layouts: Layouts, prefix: str = "", extra: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of the first layout that a file holds.

    Args:
        path: The file.
        where: What it is, for messages.
        layouts: Keys that belong together.
        prefix: Stands before all keys in the file, and not in what is returned.
        extra: Keys that are read, too, if they are there.

    Raises:
        FileFormatError: If it is missing, damaged, unpacks to too much, or has no such layout.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a file, got none. Check the path.")
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FileFormatError(
                    f"{where}: expected an .npz archive, got one plain array. "
                    "Save it with np.savez."
                )
            keys = set(archive.files)
            for layout in layouts:
                if keys >= {prefix + key for key in layout}:
                    names = [*layout, *(key for key in extra if prefix + key in keys)]
                    _check_sizes(archive, [prefix + key for key in names], path, where)
                    return {key: archive[prefix + key] for key in names}
    except (FileFormatError, KeyboardInterrupt):
        raise
    except Exception as error:  # a damaged archive fails in as many ways as there are bytes
        raise FileFormatError(
            f"{where}: expected an .npz file of plain arrays, got one that cannot be read "
            f"({error}). It may be truncated or hold Python objects: write it again."
        ) from error
    wanted = " or ".join("+".join(prefix + key for key in layout) for layout in layouts)
    raise FileFormatError(
        f"{where}: expected the keys {wanted}, got {', '.join(sorted(keys)) or 'none'}. "
        "Rename the arrays"
        + (
            ", or name the part before '_images' with part=."
            if layouts is LAYOUTS and not prefix
            else "."
        )
    )


def _check_sizes(archive: Any, keys: list[str], path: Path, where: str) -> None:  # noqa: ANN401
    """Refuse a small file that unpacks to a huge one, before it does.

    Args:
        archive: NumPy's opened file.
        keys: Names of the arrays that will be read.
        path: The file.
        where: What it is, for the message.
    """
    sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.zip.infolist()}
    unpacked = sum(sizes[key] for key in keys)
    most = max(MOST_BYTES, MOST_TIMES * path.stat().st_size)
    if unpacked > most:
        raise FileFormatError(
            f"{where}: expected arrays of at most {most:,} bytes in a file of this size, got "
            f"{unpacked:,}. Save them with np.savez, not compressed."
        )


def pixels(images: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    """Check images and return them as "image height width channel".

    Raises:
        FileFormatError: If they are of another kind or shape.
    """
    if images.dtype != np.uint8:
        raise FileFormatError(
            f"{where}: expected images of uint8, got {images.dtype}. "
            "Save floats that are already preprocessed as x and y instead."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in {1, 3} or 0 in images.shape:
        raise FileFormatError(
            f"{where}: expected images NHW or NHWC with 1 or 3 channels, got shape {images.shape}. "
            "Move the channels last."
        )
    return images


def _floats(x: npt.NDArray[Any], where: str) -> npt.NDArray[np.float32]:
    if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2 or 0 in x.shape:
        raise FileFormatError(
            f"{where}: expected x of floats, sample first, got {x.dtype} of shape {x.shape}. "
            "Save uint8 images as images and labels instead."
        )
    if not np.isfinite(x).all():
        first = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))[0])
        raise FileFormatError(
            f"{where}: expected finite x, got NaN or infinity, first in sample {first}. "
            "Clean the data."
        )
    if float(np.abs(x).max()) > float(np.finfo(np.float32).max):
        raise FileFormatError(
            f"{where}: expected x that float32 holds, got numbers up to {np.abs(x).max():.3g}. "
            "Scale the data."
        )
    return x.astype(np.float32, copy=False)


def _labels(labels: npt.NDArray[Any], count: int, where: str) -> npt.NDArray[np.int64]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise FileFormatError(
            f"{where}: expected labels as one row of whole numbers, got {labels.dtype} of shape "
            f"{labels.shape}. Save class numbers."
        )
    if len(labels) != count:
        raise FileFormatError(
            f"{where}: expected one label per image, got {count} images and {len(labels)} labels. "
            "Write the file again."
        )
    if count == 0 or labels.min() < 0:
        raise FileFormatError(
            f"{where}: expected at least one label and none below 0, got "
            f"{'none' if count == 0 else labels.min()}. Number the classes from 0."
        )
    if labels.max() >= 1 << 31:
        raise FileFormatError(
            f"{where}: expected class numbers below 2^31, got {labels.max()}. Number them from 0."
        )
    return labels.astype(np.int64)


def packed_files(
    blob: npt.NDArray[Any], offsets: npt.NDArray[Any], key: str, where: str
) -> PackedReader:
    """Check packed files and where they begin.

    Raises:
        FileFormatError: If the bytes are no row of uint8, or the offsets do not rise within it.
    """
    if blob.dtype != np.uint8 or blob.ndim != 1:
        raise FileFormatError(
            f"{where}: expected {key} as one row of uint8, got {blob.dtype} of shape {blob.shape}. "
            "Join the bytes of the files."
        )
    right_kind = offsets.ndim == 1 and np.issubdtype(offsets.dtype, np.integer) and len(offsets) > 1
    steps = np.diff(offsets.astype(np.int64)) if right_kind else np.array([-1])
    if not right_kind or offsets[0] != 0 or offsets[-1] != len(blob) or steps.min() <= 0:
        raise FileFormatError(
            f"{where}: expected offsets rising from 0 to the {len(blob)} bytes of {key}, got "
            f"{offsets.dtype} of shape {offsets.shape} that do not. Write the file again."
        )
    return PackedReader(where, blob, offsets.astype(np.int64))
