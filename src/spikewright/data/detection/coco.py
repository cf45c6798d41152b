# SPDX-License-Identifier: Apache-2.0
"""COCO: a JSON file of boxes and a folder of pictures."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from spikewright.data.detection.coco_file import CocoFile, read_coco
from spikewright.data.detection.marks import known_sizes, table_of
from spikewright.data.detection.sets import DetectionSet
from spikewright.data.images import FileReader
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError

__all__ = ["from_coco"]


def from_coco(
    annotations: str | Path,
    pictures: str | Path | None = None,
    *,
    preprocess: Preprocess | None = None,
) -> DetectionSet:
    """Open a COCO annotation file and the pictures that it names.

    Args:
        annotations: The JSON file, see :func:`spikewright.data.detection.read_coco`.
        pictures: The folder that its ``file_name`` entries start from. None looks for the first
            picture where such folders usually are: beside the file, in ``images`` or a folder
            called like the file (``instances_val2017.json``: ``val2017``), and one level above.
        preprocess: How pictures become tensors. Default: values / 255 at the stored size.

    Returns:
        All pictures of the file, in its order, those without boxes too; pictures are decoded when
        they are read. Class numbers are places in its ``categories``.

    Raises:
        FileFormatError: If the file is damaged, or pictures that it names are not there.

    Warns:
        SpikewrightWarning: If boxes are left out because they have no area inside their picture.
    """
    path = Path(annotations)
    found = read_coco(path)
    names = _file_names(path, found)
    folder = _folder(path, names[0]) if pictures is None else Path(pictures)
    files = [folder / name for name in names]
    check_present(path, folder, files)
    reader = FileReader(path.stem, files)
    return DetectionSet(
        name=path.stem,
        classes=found.classes,
        reader=reader,
        marks=table_of(path.stem, names, known_sizes(found.sizes, reader), found.marks),
        preprocess=preprocess or Preprocess(),
        category_ids=found.category_ids,
        image_ids=found.image_ids,
    )


def check_present(where: Path, folder: Path, files: Sequence[Path]) -> None:
    """Refuse a set of which pictures are missing.

    Args:
        where: What names the pictures, for the message.
        folder: Where they were looked for, for the message.
        files: The pictures.

    Raises:
        FileFormatError: If some are not there; it names the first and tells how many.
    """
    if missing := [file for file in files if not _is_file(file)]:
        raise FileFormatError(
            f"{where}: expected its {len(files)} pictures in {folder}, got {len(missing)} that are "
            f"not there, first {missing[0]}. Name the right folder, or bring them."
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have, or a folder that may not be looked into
        return False


def _file_names(path: Path, found: CocoFile) -> list[str]:
    """Return the names of all pictures; they may not lead out of the folder of pictures."""
    names = []
    for index, name in enumerate(found.files):
        if (
            name is None
            or "\0" in name
            or PurePath(name).is_absolute()
            or ".." in PurePath(name).parts
        ):
            raise FileFormatError(
                f"{path}: images[{index}].file_name: expected a path inside the folder of "
                f"pictures, got {name!r}. Correct the file."
            )
        names.append(name)
    return names


def _folder(path: Path, first: str) -> Path:
    """Find the folder of pictures by the first one."""
    ends = ("", "images", path.stem, path.stem.removeprefix("instances_"))
    starts = (
        path.parent,
        path.parent / "images",
        path.parent.parent,
        path.parent.parent / "images",
    )
    for folder in (start / end for start in starts for end in ends):
        if _is_file(folder / first):
            return folder
    raise FileFormatError(
        f"{path}: expected its pictures beside it, got no {first} there, nor in images or "
        f"{ends[-1]}. Name their folder with pictures=."
    )
