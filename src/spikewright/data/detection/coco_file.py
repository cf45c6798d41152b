# SPDX-License-Identifier: Apache-2.0
"""What a COCO ``instances`` file says, checked entry by entry."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright.data.detection.lines import text_of
from spikewright.data.detection.marks import Mark, Size
from spikewright.errors import FileFormatError
from spikewright.files import parse_json
from spikewright.text import shorten

__all__ = ["CocoFile", "read_coco"]

MOST_BYTES = 1 << 30
"""Most bytes of an annotation file, 1 GiB; that of COCO's training set has 449 MiB."""

_LONGEST = 1 << 20  # side of a picture, pixels
_LARGEST = 1e12  # number in a box, or area


@dataclass(frozen=True, eq=False)
class CocoFile:
    """Pictures, classes and boxes of a COCO file.

    Attributes:
        classes: Names, in the order of the file's ``categories``.
        category_ids: Their numbers in the file.
        image_ids: Numbers of the pictures in the file, in its order.
        files: Names of the picture files, None where it has none.
        sizes: Heights and widths of the pictures, None where it has none.
        marks: Boxes in pixels.
    """

    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_ids: tuple[int, ...]
    files: tuple[str | None, ...]
    sizes: tuple[Size | None, ...]
    marks: tuple[Mark, ...]


def read_coco(path: Path) -> CocoFile:
    """Read a COCO annotation file (``images``, ``annotations``, ``categories``).

    ``bbox`` is left, top, width, height, in pixels. ``area`` and ``iscrowd`` may be missing, and
    so may ``file_name``, ``width`` and ``height`` of a picture. Outlines are not read.

    Raises:
        FileFormatError: If it is missing, no JSON, or an entry is missing or wrong, has a number
            that another one has, or names a category or picture that is not there.

    References:
        https://cocodataset.org/#format-data
    """
    text = text_of(path, "a COCO annotation file", MOST_BYTES)
    try:
        data = parse_json(text, finite=True)
    except ValueError as error:
        raise FileFormatError(
            f"{path}: expected a COCO annotation file, got no JSON ({error}). Write it again."
        ) from error
    entries = _Entries(path, data)
    categories, images = entries.of("categories"), entries.of("images")
    if not categories or not images:
        raise entries.wrong("categories, images", "at least one of each", "none")
    labels = entries.numbered("categories", categories)
    places = entries.numbered("images", images)
    return CocoFile(
        classes=tuple(
            entries.text(f"categories[{i}].name", category.get("name"))
            for i, category in enumerate(categories)
        ),
        category_ids=tuple(labels),
        image_ids=tuple(places),
        files=tuple(
            entries.text(f"images[{i}].file_name", name) if name is not None else None
            for i, name in enumerate(image.get("file_name") for image in images)
        ),
        sizes=tuple(_size(entries, f"images[{i}]", image) for i, image in enumerate(images)),
        marks=_marks(entries, labels, places),
    )


def _size(entries: "_Entries", place: str, image: dict[str, Any]) -> Size | None:
    """Return height and width of a picture, None if it has neither."""
    height: Any = image.get("height")
    width: Any = image.get("width")
    if height is None and width is None:
        return None
    if not all(_is_number(side, 1, _LONGEST) and side == int(side) for side in (height, width)):
        wanted = f"whole numbers of pixels in 1..{_LONGEST}, or neither"
        raise entries.wrong(f"{place}.height, width", wanted, f"{height!r}, {width!r}")
    return int(height), int(width)


def _marks(entries: "_Entries", labels: dict[int, int], places: dict[int, int]) -> tuple[Mark, ...]:
    """Check the annotations and return their boxes."""
    annotations = entries.of("annotations")
    strange = [i for i, a in enumerate(annotations) if not _is_one_of(a.get("image_id"), places)]
    if strange:
        raise entries.wrong(
            f"annotations[{strange[0]}].image_id",
            f"one of its {len(places)} pictures",
            f"{annotations[strange[0]].get('image_id')!r} ({len(strange)} such annotations)",
        )
    return tuple(_mark(entries, i, a, labels, places) for i, a in enumerate(annotations))


def _mark(
    entries: "_Entries",
    index: int,
    annotation: dict[str, Any],
    labels: dict[int, int],
    places: dict[int, int],
) -> Mark:
    place, category = f"annotations[{index}]", annotation.get("category_id")
    if not _is_one_of(category, labels):
        wanted = f"one of its {len(labels)} categories"
        raise entries.wrong(f"{place}.category_id", wanted, repr(category))
    box, area, crowd = (annotation.get(key) for key in ("bbox", "area", "iscrowd"))
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(_is_number(side, -_LARGEST, _LARGEST) for side in box)
    ):
        raise entries.wrong(f"{place}.bbox", "four numbers: left, top, width, height", repr(box))
    if area is not None and not _is_number(area, 0, _LARGEST):
        raise entries.wrong(f"{place}.area", "a number of square pixels, or none", repr(area))
    if crowd not in (None, 0, 1):
        raise entries.wrong(f"{place}.iscrowd", "0 or 1", repr(crowd))
    left, top, width, height = box
    return Mark(
        image=places[annotation["image_id"]],
        label=labels[annotation["category_id"]],
        box=(left, top, left + width, top + height),
        crowd=bool(crowd),
        area=area,
    )


def _is_number(value: Any, least: float, most: float) -> bool:  # noqa: ANN401 - from JSON
    """Tell a number in a range; neither truth values nor NaN are in any."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_one_of(value: object, known: dict[int, int]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in known


@dataclass(frozen=True)
class _Entries:
    """The parts of a file, and errors that say where in it something is wrong."""

    path: Path
    data: Any

    def wrong(self, place: str, expected: str, got: str) -> FileFormatError:
        got = shorten(got, 80)
        return FileFormatError(
            f"{self.path}: {place}: expected {expected}, got {got}. Correct the file."
        )

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return the objects of one list."""
        found = self.data.get(key) if isinstance(self.data, dict) else None
        if not isinstance(found, list):
            wanted = "a COCO annotation file with the lists images, annotations and categories"
            raise FileFormatError(
                f"{self.path}: expected {wanted}, got one without {key}. Check the path."
            )
        for index, entry in enumerate(found):
            if not isinstance(entry, dict):
                raise self.wrong(f"{key}[{index}]", "an object", repr(entry))
        return found

    def numbered(self, key: str, entries: list[dict[str, Any]]) -> dict[int, int]:
        """Return the places of objects in their list by their numbers."""
        places: dict[int, int] = {}
        for index, entry in enumerate(entries):
            number = entry.get("id")
            if not isinstance(number, int) or isinstance(number, bool) or number in places:
                wanted = "a whole number that no other one has"
                raise self.wrong(f"{key}[{index}].id", wanted, repr(number))
            places[number] = index
        return places

    def text(self, place: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise self.wrong(place, "a name", repr(value))
        return value
