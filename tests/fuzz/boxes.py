# SPDX-License-Identifier: Apache-2.0
"""Valid sets of pictures with boxes, one of each format, and who reads them."""

import json
import random
import shutil
from pathlib import Path

import numpy as np

from spikewright.data import open_detection
from tests.fuzz.edits import edit_bytes, edit_json
from tests.unit.data.detection import files

WORDS = ("images", "annotations", "bbox", "id", "image_id", "category_id", "file_name", "a.jpg")
EDITED = (
    *("coco/boxes.json", "voc/Annotations/a.xml", "voc/ImageSets/Main/val.txt"),
    *("yolo/labels/a.txt", "yolo/classes.txt", "npz/a.npz", "npz/b.npz", "npz/b.json"),
)


def make_boxes(folder: Path) -> None:
    """Write a set of every format."""
    valid = folder / "valid"
    for name in ("coco", "npz"):
        (valid / name).mkdir(parents=True)
    files.coco(valid / "coco")
    voc_object = files.voc_object("cat", (1, 2, 3, 4), "<difficult>1</difficult>")
    voc = files.voc(valid / "voc", {"a": files.voc_text(voc_object), "b": files.voc_text()})
    (voc / "ImageSets" / "Main" / "val.txt").write_text("a\nb\n")
    files.yolo(valid / "yolo", {"a": "1 0.5 0.5 0.5 0.5\n0 0.1 0.2 0.3 0.4\n", "b": None})
    np.savez(valid / "npz" / "a.npz", **files.whole_npz(crowd=np.zeros(3, bool)))
    np.savez(valid / "npz" / "b.npz", **files.jpegs(), ids=[10, 20])
    (valid / "npz" / "b.json").write_text(json.dumps(files.coco_data()))


def edit_boxes(folder: Path, draw: random.Random) -> tuple[Path, str]:
    """Change one file of one set."""
    name = draw.choice(EDITED)
    kind = name.partition("/")[0]
    shutil.copytree(folder / "valid" / kind, folder / kind, dirs_exist_ok=True)
    path = folder / name
    if path.suffix == ".json" and draw.random() < 0.7:
        data = json.loads(path.read_text())
        what = edit_json(data, draw, WORDS)
        path.write_text(json.dumps(data))
    else:
        content, what = edit_bytes(path.read_bytes(), draw)
        path.write_bytes(content)
    return path if kind in {"coco", "npz"} else folder / kind, f"{name}, {what}"


def open_boxes(path: Path) -> None:
    """Read all items; boxes are inside and have areas."""
    items = open_detection(path, split="val" if path.name == "voc" else None)
    for i in range(len(items)):
        _, found = items[i]
        height, width = found.size
        boxes = found.boxes
        if len(boxes) and not (
            boxes.min() >= 0
            and boxes[:, 2].max() <= width
            and boxes[:, 3].max() <= height
            and (boxes[:, 2:] > boxes[:, :2]).all()
            and found.labels.max() < len(items.classes)
        ):
            raise AssertionError(f"a box that is none: {boxes.tolist()}")
