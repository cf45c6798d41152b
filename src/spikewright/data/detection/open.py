# SPDX-License-Identifier: Apache-2.0
"""Opening pictures with boxes by a path, whatever lies there."""

from collections.abc import Mapping
from pathlib import Path

from spikewright.data.detection.coco import from_coco
from spikewright.data.detection.lines import ClassNames
from spikewright.data.detection.npz import from_npz
from spikewright.data.detection.sets import DetectionSet
from spikewright.data.detection.voc import VOC_CLASSES, from_voc
from spikewright.data.detection.yolo import from_yolo
from spikewright.data.preprocess import Preprocess
from spikewright.errors import ConfigError, FileFormatError

__all__ = ["open_detection"]


def open_detection(
    path: str | Path,
    *,
    split: str | None = None,
    pictures: str | Path | None = None,
    classes: ClassNames | None = None,
    preprocess: Preprocess | None = None,
) -> DetectionSet:
    """Open pictures with boxes; what lies at the path says in which format.

    Args:
        path: One of

            - ``FILE.json``: COCO, see :func:`from_coco`;
            - ``FILE.npz``: packed pictures, see :func:`from_npz`;
            - a folder with ``Annotations`` and ``JPEGImages``: PASCAL VOC, see :func:`from_voc`;
            - a folder with ``images`` and ``labels``: YOLO, see :func:`from_yolo`.
        split: Part of a VOC or YOLO folder.
        pictures: Folder or ``.npz`` file of the pictures of a JSON file; None looks beside it.
        classes: Names of the classes in the order of their numbers, or a file with one a line, for
            VOC, YOLO and ``.npz`` files that hold boxes.
        preprocess: How pictures become tensors. Default: values / 255 at the stored size.

    Raises:
        ConfigError: If an option is given that the format does not have.
        FileFormatError: If there is none of these, or files are missing or damaged.

    Warns:
        SpikewrightWarning: If boxes are left out because they have no area inside their picture.
    """
    path = Path(path)
    options = {"split": split, "pictures": pictures, "classes": classes}
    if path.suffix == ".json":
        _only(path, "a COCO file", options, "pictures")
        pack = path.with_suffix(".npz") if pictures is None else Path(pictures)
        if pack.suffix == ".npz" and (pictures is not None or pack.is_file()):
            return from_npz(pack, path, preprocess=preprocess)
        return from_coco(path, pictures, preprocess=preprocess)
    if path.suffix == ".npz":
        _only(path, "an .npz file", options, "classes")
        return from_npz(path, classes=classes, preprocess=preprocess)
    if (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir():
        _only(path, "a folder of PASCAL VOC", options, "split", "classes")
        return from_voc(path, split, classes=classes or VOC_CLASSES, preprocess=preprocess)
    halves = [path, path / split] if split else [path]
    if any((half / "images").is_dir() and (half / "labels").is_dir() for half in halves):
        _only(path, "a folder of YOLO", options, "split", "classes")
        return from_yolo(path, split, classes=classes, preprocess=preprocess)
    got = "another folder" if path.is_dir() else "a file" if path.exists() else "nothing"
    raise FileFormatError(
        f"{path}: expected pictures with boxes (a COCO .json file, an .npz file, a VOC folder with "
        "Annotations and JPEGImages, or a YOLO folder with images and labels), got "
        f"{got} there. Check the path; a YOLO folder may need a split."
    )


def _only(path: Path, what: str, options: Mapping[str, object], *taken: str) -> None:
    """Refuse options that a format does not have."""
    extra = [key for key, value in options.items() if value is not None and key not in taken]
    if extra:
        raise ConfigError(
            f"{path}: expected no {', '.join(extra)} for {what}, got one. Leave it out."
        )
