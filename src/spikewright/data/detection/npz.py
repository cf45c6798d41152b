# SPDX-License-Identifier: Apache-2.0
"""Pictures in one ``.npz`` file, with their boxes in it or in a COCO file beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikewright.data.detection.coco_file import read_coco
from spikewright.data.detection.lines import ClassNames, class_names
from spikewright.data.detection.marks import Mark, known_sizes, table_of
from spikewright.data.detection.sets import DetectionSet
from spikewright.data.images import PackedReader
from spikewright.data.npz import packed_files, read_layout
from spikewright.data.preprocess import Preprocess
from spikewright.errors import ConfigError, FileFormatError

__all__ = ["from_npz"]

_WHOLE = ("jpeg", "offsets", "boxes", "labels", "box_offsets")
_EXTRA = ("ids", "classes", "crowd", "difficult", "areas")
_LAYOUTS = (_WHOLE, ("jpeg", "offsets", "ids"))


def from_npz(
    path: str | Path,
    annotations: str | Path | None = None,
    *,
    classes: ClassNames | None = None,
    preprocess: Preprocess | None = None,
) -> DetectionSet:
    """Open a file of JPEG pictures, one after another, with boxes.

    Picture i is ``jpeg[offsets[i]:offsets[i + 1]]``. Its boxes are either

    - in the file: ``boxes[box_offsets[i]:box_offsets[i + 1]]`` (left, top, right, bottom, in
      pixels) with ``labels``, names as an array of texts ``classes``, and, if they are there,
      ``crowd``, ``difficult``, ``areas``, a number a box, and ``ids``, a number a picture; or
    - in a COCO file, under the number ``ids[i]``.

    Args:
        path: The file.
        annotations: The COCO file; None takes boxes in the file, or else the JSON file of the
            same name beside it.
        classes: Names in the order of their numbers, for boxes in the file; or a file with one a
            line. None takes those in the file.
        preprocess: How pictures become tensors. Default: values / 255 at the stored size.

    Returns:
        The pictures in the order of the file; they are decoded when they are read.

    Raises:
        FileFormatError: If a file is missing or damaged, arrays do not fit each other, or the two
            files are not of the same pictures.
        ConfigError: If names of classes are given beside a COCO file.

    Warns:
        SpikewrightWarning: If boxes are left out because they have no area inside their picture.
    """
    path = Path(path)
    layouts = _LAYOUTS if annotations is None else _LAYOUTS[1:]
    arrays = read_layout(path, path.name, layouts, extra=_EXTRA)
    reader = packed_files(arrays["jpeg"], arrays["offsets"], "jpeg", path.name)
    ids = arrays.get("ids")
    if ids is not None and not _is_row(ids, len(reader), np.integer):
        raise _wrong(path, "ids", f"{len(reader)} whole numbers", ids)
    if ids is not None and len(np.unique(ids)) < len(ids):
        values, counts = np.unique(ids, return_counts=True)
        raise FileFormatError(
            f"{path.name}: expected ids that differ, got {values[counts > 1][0]} more than once. "
            "Write the file again."
        )
    settings = preprocess or Preprocess()
    numbers = () if ids is None else tuple(ids.tolist())
    if "boxes" in arrays:
        return _with_boxes(path, arrays, reader, numbers, classes, settings)
    if classes is not None:
        raise ConfigError(
            f"{path.name}: expected no classes beside a COCO file, which names them, got some. "
            "Leave them out."
        )
    beside = path.with_suffix(".json") if annotations is None else Path(annotations)
    return _with_coco(path, beside, reader, numbers, settings)


def _with_coco(
    path: Path, beside: Path, reader: PackedReader, ids: tuple[int, ...], preprocess: Preprocess
) -> DetectionSet:
    """Take boxes from a COCO file."""
    found = read_coco(beside)
    listed = {number: place for place, number in enumerate(found.image_ids)}
    packed = {number: index for index, number in enumerate(ids)}
    for numbers, there, lacking in ((packed, listed, beside), (listed, packed, path)):
        if missing := [number for number in numbers if number not in there]:
            raise FileFormatError(
                f"{path.name} and {beside.name}: expected the same pictures, got {len(missing)} "
                f"that are not in {lacking.name}, first {missing[0]}. Give files that belong "
                "together."
            )
    order = [listed[number] for number in ids]
    moved = [mark._replace(image=packed[found.image_ids[mark.image]]) for mark in found.marks]
    return DetectionSet(
        name=path.stem,
        classes=found.classes,
        reader=reader,
        marks=table_of(
            path.name,
            [found.files[place] or str(found.image_ids[place]) for place in order],
            known_sizes([found.sizes[place] for place in order], reader),
            moved,
        ),
        preprocess=preprocess,
        category_ids=found.category_ids,
        image_ids=ids,
    )


def _with_boxes(
    path: Path,
    arrays: dict[str, npt.NDArray[Any]],
    reader: PackedReader,
    ids: tuple[int, ...],
    classes: ClassNames | None,
    preprocess: Preprocess,
) -> DetectionSet:
    """Take boxes that are in the file."""
    names = class_names(_stored_names(path, arrays) if classes is None else classes)
    boxes, labels, starts = arrays["boxes"], arrays["labels"], arrays["box_offsets"]
    if (
        boxes.ndim != 2
        or boxes.shape[1] != 4
        or not np.issubdtype(boxes.dtype, np.number)
        or np.iscomplexobj(boxes)
        or not np.isfinite(boxes).all()
    ):
        raise _wrong(path, "boxes", "finite numbers (boxes, 4)", boxes)
    count = len(boxes)
    if not _is_row(labels, count, np.integer) or (
        count and not 0 <= labels.min() <= labels.max() < len(names)
    ):
        raise _wrong(path, "labels", f"{count} class numbers in 0..{len(names) - 1}", labels)
    if (
        not _is_row(starts, len(reader) + 1, np.integer)
        or (starts[0], starts[-1]) != (0, count)
        or np.diff(starts.astype(np.int64)).min() < 0
    ):
        raise _wrong(path, "box_offsets", f"{len(reader) + 1} numbers from 0 to {count}", starts)
    marked = {}
    for key in ("crowd", "difficult"):
        marked[key] = arrays.get(key, np.zeros(count, bool))
        if not _is_row(marked[key], count, np.bool_):
            raise _wrong(path, key, f"{count} truth values", marked[key])
    areas = arrays.get("areas")
    if areas is not None and (
        not _is_row(areas, count, np.floating) or not (np.isfinite(areas) & (areas >= 0)).all()
    ):
        raise _wrong(path, "areas", f"{count} finite numbers, none below 0", areas)
    counts = np.diff(starts.astype(np.int64))
    owner = np.repeat(np.arange(len(reader)), counts.tolist())
    area = [None] * count if areas is None else areas.tolist()
    columns = owner, labels, boxes, marked["crowd"], marked["difficult"]
    marks = [
        Mark(image, label, tuple(box), crowd, difficult, size)
        for image, label, box, crowd, difficult, size in zip(
            *(column.tolist() for column in columns), area, strict=True
        )
    ]
    shown = [str(number) for number in ids or range(len(reader))]
    sizes = known_sizes([None] * len(reader), reader)
    return DetectionSet(
        name=path.stem,
        classes=names,
        reader=reader,
        marks=table_of(path.name, shown, sizes, marks),
        preprocess=preprocess,
        image_ids=ids or None,
    )


def _stored_names(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> list[str]:
    stored = arrays.get("classes")
    if stored is None or stored.ndim != 1 or stored.dtype.kind != "U":
        raise FileFormatError(
            f"{path.name}: expected classes as one row of texts, got "
            f"{'none' if stored is None else f'{stored.dtype} of shape {stored.shape}'}. "
            "Save the names as well, or give them with classes=."
        )
    return [str(name) for name in stored]


def _is_row(values: npt.NDArray[Any], count: int, kind: npt.DTypeLike) -> bool:
    return values.shape == (count,) and np.issubdtype(values.dtype, kind)


def _wrong(path: Path, key: str, expected: str, got: npt.NDArray[Any]) -> FileFormatError:
    return FileFormatError(
        f"{path.name}: expected {key} as {expected}, got {got.dtype} of shape {got.shape} that "
        "is something else. Write the file again."
    )
