# SPDX-License-Identifier: Apache-2.0
"""Opening pictures with boxes by a path, whatever lies there."""

from collections.abc import Mapping, Sequence
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
            - a folder with ``annotations/*.json``: COCO, one file or ``split``'s, whose name ends
              so (``annotations/instances_val2017.json`` is that of ``val2017``);
            - a folder with ``Annotations`` and ``JPEGImages``: PASCAL VOC, see :func:`from_voc`;
            - a folder with ``images`` and ``labels``: YOLO, see :func:`from_yolo`.
        split: Part of a COCO, VOC or YOLO folder.
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
    if files := sorted((path / "annotations").glob("*.json")):
        _only(path, "a folder of COCO", options, "split", "pictures")
        return from_coco(_of_split(path, files, split), pictures, preprocess=preprocess)
    if (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir():
        _only(path, "a folder of PASCAL VOC", options, "split", "classes")
        return from_voc(path, split, classes=classes or VOC_CLASSES, preprocess=preprocess)
    halves = [path, path / split] if split else [path]
    if any((half / "images").is_dir() and (half / "labels").is_dir() for half in halves):
        _only(path, "a folder of YOLO", options, "split", "classes")
        return from_yolo(path, split, classes=classes, preprocess=preprocess)
    got = "another folder" if path.is_dir() else "a file" if path.exists() else "nothing"
    raise FileFormatError(
        f"{path}: expected pictures with boxes (a COCO .json file or a folder with annotations/"
        "*.json, an .npz file, a VOC folder with Annotations and JPEGImages, or a YOLO folder with "
        "images and labels), got "
        f"{got} there. Check the path; a YOLO folder may need a split."
    )


def _of_split(folder: Path, files: Sequence[Path], split: str | None) -> Path:
    """Return the annotation file of a split; without one, the only file there is.

    Raises:
        FileFormatError: If there is none, or several could be meant.
    """
    fitting = [f for f in files if split is None or f.stem.endswith(split)]
    exact = [f for f in fitting if f.stem in (split, f"instances_{split}")]
    chosen = exact or fitting
    if len(chosen) != 1:
        wanted = "one file" if split is None else f"one file whose name ends in {split}"
        raise FileFormatError(
            f"{folder / 'annotations'}: expected {wanted}, got {len(chosen)} of "
            f"{', '.join(f.name for f in files)}. Name the split, or the file itself."
        )
    return chosen[0]


def _only(path: Path, what: str, options: Mapping[str, object], *taken: str) -> None:
    """Refuse options that a format does not have."""
    extra = [key for key, value in options.items() if value is not None and key not in taken]
    if extra:
        raise ConfigError(
            f"{path}: expected no {', '.join(extra)} for {what}, got one. Leave it out."
        )
