# SPDX-License-Identifier: Apache-2.0
"""Writes tiny sets of pictures with boxes in the layouts that are found on disk in the wild."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.data.files import Pixels, coded, packed, pictures

HEIGHT, WIDTH = 20, 30


def picture_files(folder: Path, names: tuple[str, ...]) -> Pixels:
    """One PNG file a name, whatever its ending; returns the pictures."""
    images = pictures(len(names), HEIGHT, WIDTH)
    for name, image in zip(names, images, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(coded(image))
    return images


def coco_data(names: tuple[str, ...] = ("a.jpg", "b.jpg")) -> dict[str, Any]:
    """The first picture has a cat and a crowd of dogs; the others are empty."""
    return {
        "images": [
            {"id": 10 * (i + 1), "file_name": name, "width": WIDTH, "height": HEIGHT}
            for i, name in enumerate(names)
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 17, "bbox": [1, 2, 3.5, 4], "area": 9.5},
            {"id": 2, "image_id": 10, "category_id": 18, "bbox": [0, 0, 30, 20], "iscrowd": 1},
        ],
    }


def coco(folder: Path, data: object | None = None) -> Path:
    """A COCO file with its two pictures beside it; returns the file."""
    picture_files(folder, ("a.jpg", "b.jpg"))
    path = folder / "boxes.json"
    path.write_text(json.dumps(coco_data() if data is None else data))
    return path


def voc_object(name: str, box: tuple[object, ...], more: str = "") -> str:
    edges = ("xmin", "ymin", "xmax", "ymax")
    inside = "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, box, strict=True))
    return f"<object><name>{name}</name><bndbox>{inside}</bndbox>{more}</object>"


def voc_text(*objects: str, size: tuple[int, int] | None = (HEIGHT, WIDTH)) -> str:
    told = "" if size is None else f"<height>{size[0]}</height><width>{size[1]}</width>"
    return f"<annotation><size>{told}</size>{''.join(objects)}</annotation>"


def voc(folder: Path, texts: dict[str, str]) -> Path:
    """A VOC folder with one picture a text; returns the folder."""
    picture_files(folder / "JPEGImages", tuple(f"{name}.jpg" for name in texts))
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    return folder


def yolo(folder: Path, texts: dict[str, str | None], names: str | None = "cat\ndog\n") -> Path:
    """A YOLO folder with one picture a text, None has no label file; returns the folder."""
    picture_files(folder / "images", tuple(f"{name}.jpg" for name in texts))
    (folder / "labels").mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / "labels" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
    if names is not None:
        (folder / "classes.txt").write_text(names)
    return folder


def jpegs(count: int = 2) -> dict[str, Any]:
    """Packed pictures as in an npz file."""
    parts = packed([coded(image, "JPEG") for image in pictures(count, HEIGHT, WIDTH)])
    return {"jpeg": parts["blob"], "offsets": parts["offsets"]}


def whole_npz(**changes: Any) -> dict[str, Any]:
    """Packed pictures with boxes: one in the first, two in the second; None leaves a key out."""
    arrays = {
        **jpegs(),
        "boxes": np.array([[1, 2, 4, 6], [0, 0, 30, 20], [5, 5, 9, 8]], np.float32),
        "labels": np.array([1, 0, 1]),
        "box_offsets": np.array([0, 1, 3]),
        "classes": np.array(["cat", "dog"]),
        **changes,
    }
    return {key: value for key, value in arrays.items() if value is not None}
