# SPDX-License-Identifier: Apache-2.0
"""Npz files: each way to be wrong has one clear error; the four layouts give what was stored."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.data import Preprocess, from_npz
from spikewright.errors import ConfigError, FileFormatError
from tests.unit.data.files import coded, packed, pictures

RAW = Preprocess(scale=1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.npz"


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_npz(path)


def test_a_missing_file(path: Path) -> None:
    refused(path, "set.npz: expected a file, got none. Check the path.")


@pytest.mark.parametrize("kept", [0, 10, 200, 3000, -1])
def test_a_truncated_file(path: Path, kept: int) -> None:
    np.savez(path, images=pictures(2, 32, 32), labels=[0, 1])
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "set.npz: expected an .npz file of plain arrays, got one that cannot be read (")


def test_a_file_with_damage_in_the_middle(path: Path) -> None:
    np.savez_compressed(path, images=pictures(2, 32, 32), labels=[0, 1])
    content = bytearray(path.read_bytes())
    content[1000:1010] = bytes(10)
    path.write_bytes(content)
    refused(path, "It may be truncated or hold Python objects: write it again.")


def test_one_plain_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    refused(path, "set.npz: expected an .npz archive, got one plain array. Save it with np.savez.")


def test_pickled_objects_are_not_executed(path: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    np.savez(path, images=np.array([Payload()], dtype=object), labels=[0])
    refused(path, "set.npz: expected an .npz file of plain arrays")
    assert not marker.exists()


def test_missing_keys_are_told_with_those_present(path: Path) -> None:
    np.savez(path, pictures=pictures(1, 4, 4), labels=[0])
    refused(
        path,
        "set.npz: expected the keys images+labels or x+y or jpeg+offsets+labels or "
        "webp+offsets+labels, got labels, pictures. Rename the arrays, or name the part",
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.float32)}, "expected images of uint8, got float32"),
        ({"images": np.zeros((2, 3, 4, 4), np.uint8)}, "1 or 3 channels, got shape (2, 3, 4, 4)"),
        ({"images": np.zeros((2, 4), np.uint8)}, "got shape (2, 4). Move the channels last."),
        ({"images": np.zeros((2, 0, 4), np.uint8)}, "got shape (2, 0, 4, 1)"),
        ({"labels": [0]}, "expected one label per image, got 2 images and 1 labels"),
        (
            {"labels": [[0], [1]]},
            "expected labels as one row of whole numbers, got int64 of shape (2, 1)",
        ),
        ({"labels": [0.0, 1.0]}, "expected labels as one row of whole numbers, got float64"),
        ({"labels": [0, -1]}, "expected at least one label and none below 0, got -1"),
    ],
)
def test_images_or_labels_of_a_wrong_kind(
    path: Path, arrays: dict[str, object], message: str
) -> None:
    np.savez(path, **({"images": pictures(2, 4, 4), "labels": [0, 1]} | arrays))
    refused(path, message)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((2, 3), np.int64),
            "expected x of floats, sample first, got int64 of shape (2, 3)",
        ),
        (np.zeros(2), "got float64 of shape (2,)"),
        (
            np.array([[0.0, 1.0], [np.nan, 0.0]]),
            "got NaN or infinity, first in sample 1. Clean the data.",
        ),
        (np.array([[np.inf, 1.0], [0.0, 0.0]]), "first in sample 0"),
    ],
)
def test_floats_of_a_wrong_kind(path: Path, x: np.ndarray, message: str) -> None:
    np.savez(path, x=x, y=[0, 1])
    refused(path, message)


def test_preprocess_for_ready_made_floats(path: Path) -> None:
    np.savez(path, x=np.zeros((2, 3)), y=[0, 1])
    with pytest.raises(
        ConfigError, match=r"set.npz: expected no preprocess for float arrays, got one"
    ):
        from_npz(path, preprocess=RAW)


@pytest.mark.parametrize(
    "offsets",
    [[0], [0, 10], [1, 10, -1], [0, -1, -1], [0, 10**6, -1], [0.0, 1.0, -1.0], [[0, -1]]],
    ids=["too few", "short", "late start", "empty", "falling", "floats", "two axes"],
)
def test_offsets_that_do_not_fit(path: Path, offsets: list[object]) -> None:
    files = packed([coded(image) for image in pictures(2, 4, 4)])
    given = np.array(offsets)
    given[given == -1] = len(files["blob"])
    np.savez(path, jpeg=files["blob"], offsets=given, labels=[0, 1])
    refused(
        path, f"set.npz: expected offsets rising from 0 to the {len(files['blob'])} bytes of jpeg"
    )


def test_packed_files_that_are_not_bytes(path: Path) -> None:
    np.savez(path, jpeg=np.zeros(3), offsets=[0, 3], labels=[0])
    refused(path, "set.npz: expected jpeg as one row of uint8, got float64 of shape (3,)")


def test_an_image_that_does_not_decode_is_named_by_its_index(path: Path) -> None:
    files = [coded(image, "JPEG") for image in pictures(3, 16, 16)]
    files[1] = files[1][: len(files[1]) // 3]
    content = packed(files)
    np.savez(path, jpeg=content["blob"], offsets=content["offsets"], labels=[4, 5, 6])
    data = from_npz(path)
    assert data[0][1] == 4
    assert data[2][1] == 6
    message = f"set.npz[1]: expected an image, got {len(files[1])} bytes that do not decode ("
    with pytest.raises(FileFormatError, match=re.escape(message)):
        data[1]


def test_sheets_of_another_tile_size(path: Path) -> None:
    sheet = packed([coded(pictures(1, 8, 12)[0], "WEBP", lossless=True)])
    np.savez(path, webp=sheet["blob"], offsets=sheet["offsets"], labels=np.zeros(6, int))
    message = "set.npz, sheet 0: expected a multiple of 5 x 5 pixels, got 8 x 12. Give the size"
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_npz(path, tile=5)


@pytest.mark.parametrize("labels", [1, 6, 13])
def test_sheets_that_do_not_hold_as_many_tiles_as_labels(path: Path, labels: int) -> None:
    sheets = packed([coded(image, "WEBP", lossless=True) for image in pictures(2, 8, 12)])
    np.savez(path, webp=sheets["blob"], offsets=sheets["offsets"], labels=np.zeros(labels, int))
    message = f"sheets of 6 tiles for {labels} labels, got 2. Write the file again."
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_npz(path, tile=4)


def test_an_index_past_the_end(path: Path) -> None:
    np.savez(path, images=pictures(2, 4, 4), labels=[0, 1])
    with pytest.raises(IndexError, match=re.escape("set.npz: expected an index in 0..1, got 2")):
        from_npz(path)[2]


def test_colour_images(path: Path) -> None:
    images = pictures(2, 4, 5)
    np.savez(path, images=images, labels=np.array([3, 200], np.uint8))
    image, label = from_npz(path, preprocess=RAW)[1]
    assert (image.permute(1, 2, 0).numpy() == images[1]).all()
    assert label == 200


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 5, 1)])
def test_grey_images_with_and_without_a_channel_axis(path: Path, shape: tuple[int, ...]) -> None:
    images = pictures(2, 4, 5, 1).reshape(shape)
    np.savez(path, images=images, labels=[0, 1])
    image, _ = from_npz(path)[1]
    torch.testing.assert_close(image, torch.from_numpy(images[1].reshape(1, 4, 5)) / 255)


def test_one_part_of_a_file_of_several(path: Path) -> None:
    images = pictures(3, 4, 4, 1)[..., 0]
    np.savez(
        path, train_images=images[:2], train_labels=[0, 1], test_images=images[2:], test_labels=[9]
    )
    refused(path, "or name the part before '_images' with part=.")
    test = from_npz(path, part="test")
    assert len(test) == 1
    assert test[0][1] == 9
    assert test.name == "set.npz:test"


def test_floats_are_taken_as_they_are(path: Path) -> None:
    x = np.linspace(-1, 1, 12).reshape(2, 2, 3)
    np.savez(path, x=x, y=[5, 6])
    data = from_npz(path)
    item, label = data[1]
    assert item.dtype == torch.float32
    assert item.tolist() == x[1].astype(np.float32).tolist()
    assert (label, len(data)) == (6, 2)
    item.zero_()
    assert data[1][0].abs().sum() > 0


def test_packed_files_decode_to_what_was_stored(path: Path) -> None:
    images = pictures(3, 6, 7)
    files = packed([coded(image) for image in images])  # Pillow tells the kind by the content
    np.savez(path, jpeg=files["blob"], offsets=files["offsets"], labels=[1, 2, 3])
    data = from_npz(path, preprocess=RAW)
    assert (data[2][0].permute(1, 2, 0).numpy() == images[2]).all()
    assert from_npz(path, preprocess=Preprocess(channels="L"))[0][0].shape == (1, 6, 7)


def test_tiles_are_read_row_by_row_and_the_last_sheet_may_be_part_full(path: Path) -> None:
    tiles = pictures(12, 4, 4)
    sheets = [
        tiles[first : first + 6].reshape(2, 3, 4, 4, 3).transpose(0, 2, 1, 3, 4).reshape(8, 12, 3)
        for first in (0, 6)
    ]
    files = packed([coded(sheet, "WEBP", lossless=True) for sheet in sheets])
    np.savez(path, webp=files["blob"], offsets=files["offsets"], labels=np.arange(10))
    data = from_npz(path, preprocess=RAW, tile=4)
    assert len(data) == 10
    for index in (9, 0, 5, 6):
        image, label = data[index]
        assert label == index
        assert (image.permute(1, 2, 0).numpy() == tiles[index]).all()
