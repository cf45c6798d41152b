# SPDX-License-Identifier: Apache-2.0
"""Pictures without labels, which is all that calibration needs."""

import dataclasses
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.images import ArrayReader, FileReader, ImageReader, Mode
from spikewright.data.items import check_index
from spikewright.data.npz import packed_files, pixels, read_layout
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError

__all__ = ["PictureSet", "open_pictures", "pictures_in"]

ENDINGS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)
"""How names of picture files end, in small letters."""


@dataclasses.dataclass(frozen=True, eq=False)
class PictureSet(Dataset[tuple[Tensor]]):
    """Pictures without labels; item i is (float32 "channel height width",).

    Args:
        name: Shown in messages and reports.
        reader: Where the pictures come from.
        preprocess: Applied to every picture.
    """

    name: str
    reader: ImageReader
    preprocess: Preprocess

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> tuple[Tensor]:
        check_index(self.name, index, len(self))
        mode: Mode = "L" if self.preprocess.channels == "L" else "RGB"
        return (self.preprocess(self.reader.read(index, mode)),)


def open_pictures(path: str | Path, *, preprocess: Preprocess | None = None) -> PictureSet:
    """Open pictures whatever they show; labels beside them are not read.

    Args:
        path: A folder, whose pictures and those of all folders in it are taken, sorted by path; or
            an ``.npz`` file with ``jpeg`` and ``offsets``, or with ``images``, see
            :func:`spikewright.data.from_npz`.
        preprocess: How pictures become tensors. Default: values / 255 at the stored size.

    Returns:
        Items are (float32 "channel height width",); files are decoded when they are read.

    Raises:
        FileFormatError: If there is no such folder or file, or no picture in it.
    """
    path = Path(path)
    reader: ImageReader
    if path.is_dir():
        reader = FileReader(path.name, pictures_in(path))
    else:
        arrays = read_layout(path, path.name, (("jpeg", "offsets"), ("images",)))
        if "jpeg" in arrays:
            reader = packed_files(arrays["jpeg"], arrays["offsets"], "jpeg", path.name)
        else:
            images = pixels(arrays["images"], path.name)
            preprocess = preprocess or Preprocess(channels="L" if images.shape[3] == 1 else "RGB")
            reader = ArrayReader(images)
    return PictureSet(path.name, reader, preprocess or Preprocess())


def pictures_in(folder: Path) -> list[Path]:
    """List the picture files in a folder and in all folders in it, sorted by path.

    Raises:
        FileFormatError: If there is no such folder, it cannot be read, or holds no picture.
    """
    if not folder.is_dir():
        raise FileFormatError(f"{folder}: expected a folder of pictures, got none. Check the path.")
    try:
        found = sorted(path for path in folder.rglob("*") if _is_picture(path.name))
    except OSError as error:
        raise FileFormatError(
            f"{folder}: could not be read ({error.strerror}). Check the path."
        ) from error
    if not found:
        raise FileFormatError(
            f"{folder}: expected pictures ({', '.join(sorted(ENDINGS))}), got none. Check the path."
        )
    return found


def _is_picture(name: str) -> bool:
    """Tell by a name; those that begin with a dot are no pictures, although macOS writes some."""
    return not name.startswith(".") and Path(name).suffix.lower() in ENDINGS
