# SPDX-License-Identifier: Apache-2.0
"""The two data sets every layout on disk becomes, and where their images come from.

A *reader* knows one way in which images are stored and returns the i-th as an array; a set adds
labels and preprocessing. So a new layout is a new reader and nothing else.
"""

import dataclasses
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikewright._vision import pillow_image
from spikewright.data.items import check_index, check_labels
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError
from spikewright.files import read_bytes

__all__ = [
    "ArrayReader",
    "ArraySet",
    "FileReader",
    "ImageReader",
    "ImageSet",
    "PackedReader",
    "decode",
    "size_of",
]

Mode = Literal["RGB", "L"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Kinds of image files that are decoded; Pillow runs other programs for some that are not here."""

MOST_BYTES = 1 << 28
"""Most bytes of one image file."""


_ORIENTATION = 0x0112  # where EXIF has it
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What brings a picture upright of which a camera noted that number in EXIF."""


@runtime_checkable
class ImageReader(Protocol):
    """Where the images of a set come from."""

    def __len__(self) -> int: ...

    def read(self, index: int, mode: Mode) -> npt.NDArray[np.uint8]:
        """Return image ``index``, "height width channel"; coded images are decoded to ``mode``."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet(Dataset[tuple[Tensor, int]]):
    """Images with labels; item i is (float32 "channel height width", label).

    Args:
        name: Shown in messages and reports.
        reader: Where the images come from.
        labels: "image", class numbers from 0.
        preprocess: Applied to every image.

    Raises:
        FileFormatError: If the numbers of images and labels differ.
    """

    name: str
    reader: ImageReader
    labels: npt.NDArray[np.int64]
    preprocess: Preprocess

    def __post_init__(self) -> None:
        check_labels(self.name, "image", len(self.reader), len(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        check_index(self.name, index, len(self))
        mode: Mode = "L" if self.preprocess.channels == "L" else "RGB"
        return self.preprocess(self.reader.read(index, mode)), int(self.labels[index])


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySet(Dataset[tuple[Tensor, int]]):
    """Ready-made network inputs with labels; item i is (float32 ``x[i]``, label).

    Args:
        name: Shown in messages and reports.
        x: "sample *feature", float32, already preprocessed.
        y: "sample", class numbers from 0.
    """

    name: str
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        check_index(self.name, index, len(self))
        return torch.from_numpy(self.x[index].copy()), int(self.y[index])


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayReader:
    """Images held as one array, "image height width channel"."""

    images: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int, mode: Mode) -> npt.NDArray[np.uint8]:
        """Return the stored image as it is; ``mode`` is for coded images."""
        image: npt.NDArray[np.uint8] = self.images[index]
        return image


@dataclasses.dataclass(frozen=True, eq=False)
class PackedReader:
    """Image files one after another in one array: i is ``blob[offsets[i]:offsets[i + 1]]``."""

    name: str
    blob: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, index: int, mode: Mode) -> npt.NDArray[np.uint8]:
        """Decode image ``index``."""
        return decode(self._coded(index), mode, f"{self.name}[{index}]")

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of image ``index`` in pixels, without decoding it."""
        return size_of(self._coded(index), f"{self.name}[{index}]")

    def _coded(self, index: int) -> bytes:
        return self.blob[self.offsets[index] : self.offsets[index + 1]].tobytes()


@dataclasses.dataclass(frozen=True, eq=False)
class FileReader:
    """One file per image.

    Args:
        name: Shown in messages.
        paths: The files.
        upright: Whether images are turned as a camera noted in EXIF.
    """

    name: str
    paths: Sequence[Path]
    upright: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, mode: Mode) -> npt.NDArray[np.uint8]:
        """Read and decode file ``index``."""
        return decode(self._coded(index), mode, self._where(index), upright=self.upright)

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of image ``index`` as it is stored, without decoding it."""
        return size_of(self._coded(index), self._where(index))

    def _where(self, index: int) -> str:
        return f"{self.name}[{index}] ({self.paths[index]})"

    def _coded(self, index: int) -> bytes:
        try:
            return read_bytes(self.paths[index], "an image", MOST_BYTES)
        except FileFormatError as error:
            raise FileFormatError(f"{self.name}[{index}]: {error}") from error


def decode(coded: bytes, mode: Mode, where: str, *, upright: bool = False) -> npt.NDArray[np.uint8]:
    """Decode one image file held in memory (of the kinds in ``FORMATS``).

    Args:
        coded: The bytes of the file.
        mode: ``"RGB"`` or ``"L"``; other colour models are converted to it.
        where: Which image this is, for the error.
        upright: Whether it is turned as a camera noted in EXIF.

    Returns:
        "height width channel", uint8.

    Raises:
        FileFormatError: If the bytes do not decode, or to more pixels than Pillow thinks safe
            (``PIL.Image.MAX_IMAGE_PIXELS``, 89 million).
        ConfigError: If Pillow is not installed.
    """
    with _opened(coded, where) as picture:
        turned = picture.convert(mode)
        if upright and (turn := _TURNS.get(picture.getexif().get(_ORIENTATION))):
            turned = turned.transpose(pillow_image().Transpose[turn])
        image = np.asarray(turned)
    return image.reshape(*image.shape[:2], len(mode))


def size_of(coded: bytes, where: str) -> tuple[int, int]:
    """Return height and width in pixels of an image file held in memory, without decoding it.

    Args:
        coded: The bytes of the file.
        where: Which image this is, for the error.

    Raises:
        FileFormatError: As :func:`decode`.
        ConfigError: If Pillow is not installed.
    """
    with _opened(coded, where) as picture:
        return int(picture.height), int(picture.width)


@contextmanager
def _opened(coded: bytes, where: str) -> Iterator[Any]:
    """Open an image file held in memory; failures in the block are its fault, too."""
    pillow = pillow_image()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(io.BytesIO(coded), formats=FORMATS) as picture:
                yield picture
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise FileFormatError(
            f"{where}: expected an image of at most {pillow.MAX_IMAGE_PIXELS:,} pixels, got a "
            f"larger one ({error}). Make it smaller, or remove it."
        ) from error
    except Exception as error:  # Pillow's readers fail in as many ways as there are bytes
        raise FileFormatError(
            f"{where}: expected an image, got {len(coded)} bytes that do not decode ({error}). "
            "Replace or remove it."
        ) from error
