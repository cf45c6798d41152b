# SPDX-License-Identifier: Apache-2.0
"""Items of a set of pictures with boxes: placed, refused, damaged, batched; and the real ones."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.data import Preprocess, collate, loader, open_detection, pasted_digits
from spikewright.data.detection import from_coco
from spikewright.detection import Annotations
from spikewright.errors import ConfigError, FileFormatError, ShapeError
from tests.unit.data.detection.files import HEIGHT, WIDTH, coco, coco_data
from tests.unit.data.files import coded, pictures


def test_a_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("whole pictures, got crop = 0.5, which cuts")):
        from_coco(coco(tmp_path), preprocess=Preprocess(crop=0.5))


def test_sets_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    items = from_coco(coco(tmp_path))
    with pytest.raises(FileFormatError, match=r"got 2 pictures and marks of 5\. Write"):
        replace(items, marks=pasted_digits("test", 5).marks)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_out_of_range(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError, match=re.escape("boxes: expected an index in 0..1, got")):
        from_coco(coco(tmp_path))[index]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "expected an image, got 10 bytes that do not decode"),
        (
            coded(pictures(1, HEIGHT, WIDTH)[0])[:300],
            "expected an image, got 300 bytes that do not",
        ),
        (
            coded(pictures(1, WIDTH, HEIGHT)[0]),
            "expected a picture of 30x20 pixels, in which its boxes are marked, got one of 20x30.",
        ),
    ],
)
def test_a_damaged_or_turned_picture_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    items = from_coco(coco(tmp_path))
    (tmp_path / "b.jpg").write_bytes(content)
    assert len(items[0][1]) == 2
    with pytest.raises(FileFormatError, match=r"boxes\[1\] \(.*b\.jpg\): " + re.escape(message)):
        items[1]


@pytest.mark.parametrize("settings", [{"size": (10, 45)}, {"size": 64, "fit": "letterbox"}])
def test_boxes_find_their_pixels_in_the_input(tmp_path: Path, settings: dict[str, object]) -> None:
    """The inked rectangle of a picture is where its box is placed in the tensor."""
    data = coco_data()
    data["annotations"] = [{"image_id": 10, "category_id": 17, "bbox": [6, 4, 12, 10]}]
    path = coco(tmp_path, data)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[4:14, 6:18] = 255
    (tmp_path / "a.jpg").write_bytes(coded(image))
    preprocess = Preprocess.from_dict({"pad": 0, "interpolation": "nearest", **settings})
    x, found = from_coco(path, preprocess=preprocess)[0]
    rows, columns = (x[0] > 0.5).nonzero(as_tuple=True)
    ink = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
    inside = found.placement.to_input(found.boxes)
    # Nearest takes a pixel whose centre is inside: its edge is at most half an input pixel away.
    torch.testing.assert_close(inside[0], ink, rtol=0, atol=0.5001)
    torch.testing.assert_close(found.placement.to_image(inside), found.boxes)
    assert found.boxes.tolist() == [[6, 4, 18, 14]]


def test_the_stored_picture_is_not_preprocessed(tmp_path: Path) -> None:
    items = from_coco(coco(tmp_path), preprocess=Preprocess(size=8, channels="BGR"))
    image, found = items.stored(1)
    assert (image == pictures(2, HEIGHT, WIDTH)[1]).all()
    assert found.placement == type(found.placement)()
    grey = replace(items, preprocess=Preprocess(channels="L")).stored(0)[0]
    assert grey.shape == (HEIGHT, WIDTH, 1)


def test_batches_are_a_stack_and_a_list() -> None:
    items = pasted_digits("test", 5, size=32)
    batches = list(loader(items, 2))
    assert [(tuple(x.shape), len(found)) for x, found in batches] == [
        ((2, 3, 32, 32), 2),
        ((2, 3, 32, 32), 2),
        ((1, 3, 32, 32), 1),
    ]
    together = [found for _, marked in batches for found in marked]
    assert all(isinstance(found, Annotations) for found in together)
    assert [found.name for found in together] == [f"test {i}" for i in range(5)]
    assert [len(list(loader(items, 2, limit=3)))] == [2]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files cannot be counted")
def test_workers_give_the_same_boxes_and_keep_no_file_open() -> None:
    """Tensors that come from workers hold one file each; a set of boxes would exhaust them."""
    items, before = pasted_digits("test", 12, size=32), len(list(Path("/proc/self/fd").iterdir()))
    kept = [found for _, marked in loader(items, 3, workers=2) for found in marked]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 10  # workers once, not 5 an image
    for i, found in enumerate(kept):
        assert torch.equal(found.boxes, items[i][1].boxes)
        assert torch.equal(found.labels, items[i][1].labels)


def test_pictures_of_several_sizes_do_not_make_a_batch() -> None:
    items = [pasted_digits("test", 1, size=size)[0] for size in (32, 40)]
    with pytest.raises(ShapeError, match="expected inputs of one shape, got 3x32x32, 3x40x40"):
        collate(items)
    sized = replace(pasted_digits("test", 1, size=40), preprocess=Preprocess(size=32))
    assert collate([items[0], sized[0]])[0].shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "count", "boxes", "crowd"),
    [("coco_val_dev", 67, 492, 0), ("coco_train_128", 128, 939, 10)],
)
@pytest.mark.parametrize("ending", ["npz", "json"])
def test_real_pictures_are_counted_right(
    data_dir: Path, name: str, count: int, boxes: int, crowd: int, ending: str
) -> None:
    items = open_detection(
        data_dir / f"{name}.{ending}", preprocess=Preprocess(size=32, fit="letterbox")
    )
    found = [marked for _, batch in loader(items, 32) for marked in batch]
    assert (len(found), sum(map(len, found))) == (count, boxes)
    assert sum(int(marked.crowd.sum()) for marked in found if marked.crowd is not None) == crowd
    assert (len(items.classes), items.left_out) == (80, 0)
