# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC: one XML file a picture, and lists of pictures."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from spikewright.data.detection.coco import check_present
from spikewright.data.detection.lines import ClassNames, class_names, lines_of, text_of
from spikewright.data.detection.marks import Mark, Size, known_sizes, table_of
from spikewright.data.detection.sets import DetectionSet
from spikewright.data.images import FileReader
from spikewright.data.pictures import pictures_in
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError

__all__ = ["VOC_CLASSES", "from_voc"]

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The twenty classes of PASCAL VOC, in the order of their numbers."""

MOST_BYTES = 1 << 24
"""Most bytes of one XML file."""


def from_voc(
    folder: str | Path,
    split: str | None = None,
    *,
    classes: ClassNames = VOC_CLASSES,
    preprocess: Preprocess | None = None,
) -> DetectionSet:
    """Open a folder in the layout of PASCAL VOC (``VOC2007``, say).

    VOC counts pixels from 1 and both edges of a box are in it: the first pixel alone is
    (1, 1, 1, 1). Here a pixel covers (0, 0, 1, 1), so 1 is taken off ``xmin`` and ``ymin`` and
    nothing off ``xmax`` and ``ymax``; areas and overlaps are then those of VOC's own evaluation.

    Args:
        folder: Holds ``Annotations/*.xml`` and ``JPEGImages``. A picture is called like its XML
            file; the ``filename`` in it is not read.
        split: The list ``ImageSets/Main/<split>.txt``; None takes every XML file, sorted by name.
        classes: Names in the order of their numbers, or a file with one a line.
        preprocess: How pictures become tensors. Default: values / 255 at the stored size.

    Returns:
        The listed pictures, in that order; objects marked ``difficult`` are there and marked.

    Raises:
        FileFormatError: If files are missing or damaged, or an object has another class.

    Warns:
        SpikewrightWarning: If boxes are left out because they have no area inside their picture.

    References:
        http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
    """
    folder = Path(folder)
    names = class_names(classes)
    stems = _listed(folder, split)
    where = folder.name if split is None else f"{folder.name}-{split}"
    by_stem = {path.stem: path for path in reversed(pictures_in(folder / "JPEGImages"))}
    files = [by_stem.get(stem, folder / "JPEGImages" / f"{stem}.jpg") for stem in stems]
    check_present(folder, folder / "JPEGImages", files)
    labels = {name: label for label, name in enumerate(names)}
    sizes: list[Size | None] = []
    marks: list[Mark] = []
    for image, stem in enumerate(stems):
        size, found = _read(folder / "Annotations" / f"{stem}.xml", image, labels)
        sizes.append(size)
        marks.extend(found)
    reader = FileReader(where, files)
    return DetectionSet(
        name=where,
        classes=names,
        reader=reader,
        marks=table_of(where, [file.name for file in files], known_sizes(sizes, reader), marks),
        preprocess=preprocess or Preprocess(),
    )


def _listed(folder: Path, split: str | None) -> list[str]:
    """Return the names of the pictures of a split, without ending."""
    marked = folder / "Annotations"
    present = sorted(path.stem for path in marked.glob("*.xml")) if marked.is_dir() else []
    if not present:
        raise FileFormatError(
            f"{folder}: expected Annotations/*.xml, got none. Check the path: it is the folder "
            "that holds Annotations, ImageSets and JPEGImages."
        )
    if split is None:
        return present
    lists = folder / "ImageSets" / "Main"
    path = lists / f"{split}.txt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in lists.glob("*.txt"))) or "none"
        raise FileFormatError(
            f"{path}: expected a list of pictures, got no file. Splits that are there: {known}."
        )
    listed: dict[str, None] = {}
    for where, words in lines_of(path, "a list of pictures"):
        if words[0] in listed:
            raise FileFormatError(
                f"{where}: expected each picture once, got {words[0]} again. Remove the line."
            )
        listed[words[0]] = None
    if missing := sorted(set(listed) - set(present)):
        raise FileFormatError(
            f"{path}: expected an XML file of each of its {len(listed)} pictures, got none of "
            f"{len(missing)}, first {marked / missing[0]}.xml. Bring them, or take another split."
        )
    if not listed:
        raise FileFormatError(f"{path}: expected a list of pictures, got none. Check the file.")
    return list(listed)


def _read(path: Path, image: int, labels: Mapping[str, int]) -> tuple[Size | None, list[Mark]]:
    """Return height and width of a picture, if they are told, and its boxes."""
    text = text_of(path, "an XML file of VOC", MOST_BYTES)
    if "<!DOCTYPE" in text:  # it could define entities that grow to gigabytes
        raise FileFormatError(
            f"{path}: expected XML without a DOCTYPE, got one. Remove it: VOC has none."
        )
    try:
        root = ET.fromstring(text)  # nothing is fetched, and there are no entities: see above
    except (ET.ParseError, ValueError) as error:  # ET says line and column
        raise FileFormatError(
            f"{path}: expected an XML file of VOC, got one that cannot be read ({error}). "
            "Write it again."
        ) from error
    size = [_number(path, root, f"size/{side}", 0.0) for side in ("height", "width")]
    known = None if min(size) < 1 else (int(size[0]), int(size[1]))
    found = root.iterfind("object")
    return known, [_mark(path, i, entry, image, labels) for i, entry in enumerate(found)]


def _mark(path: Path, index: int, entry: ET.Element, image: int, labels: Mapping[str, int]) -> Mark:
    name = (entry.findtext("name") or "").strip()
    if name not in labels:
        raise FileFormatError(
            f"{path}: object {index}: expected one of the classes {', '.join(labels)}, got "
            f"{name!r}. Name the classes of the set with classes=."
        )
    left, top, right, bottom = (
        _number(path, entry, f"bndbox/{edge}", None, f"object {index}: ")
        for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    difficult = _number(path, entry, "difficult", 0.0, f"object {index}: ")
    return Mark(image, labels[name], (left - 1, top - 1, right, bottom), difficult=difficult != 0)


def _number(
    path: Path, entry: ET.Element, key: str, default: float | None, where: str = ""
) -> float:
    """Return a number of an element; the default if it is not there."""
    text = entry.findtext(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        raise FileFormatError(
            f"{path}: {where}expected a number as {key}, got {text!r}. Correct the file."
        )
    return value
