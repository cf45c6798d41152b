# SPDX-License-Identifier: Apache-2.0
"""Pictures without labels: any folder of them, packed ones, and calibration on them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.data import Preprocess, loader, open_pictures
from spikewright.errors import FileFormatError
from spikewright.models import digits_cnn
from tests.unit.data.files import coded, image_folder, packed, pictures


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        open_pictures(path)


def test_nothing_there(tmp_path: Path) -> None:
    refused(tmp_path, f"{tmp_path}: expected pictures (.bmp, .gif, .jpeg, .jpg, .pgm, .png,")
    refused(tmp_path / "no.npz", "no.npz: expected a file, got none. Check the path.")
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)))
    refused(
        tmp_path / "a.npz", "expected the keys jpeg+offsets or images, got x. Rename the arrays."
    )


def test_a_flat_folder_holds_all_its_pictures_sorted(tmp_path: Path) -> None:
    images = pictures(3, 6, 5)
    for name, image in zip(("b.PNG", "a.jpeg", "deep/c.webp"), images, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(coded(image))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.jpeg").write_bytes(b"what macOS writes beside files")
    items = open_pictures(tmp_path, preprocess=Preprocess(scale=1.0))
    assert len(items) == 3
    shown = np.stack(
        [item[0].permute(1, 2, 0).numpy() for item in map(items.__getitem__, range(3))]
    )
    assert (shown == images[[1, 0, 2]]).all()


def test_folders_of_classes_do_as_well(tmp_path: Path) -> None:
    image_folder(tmp_path, ("ant", "bee"))
    assert len(open_pictures(tmp_path)) == 4


def test_an_index_out_of_range(tmp_path: Path) -> None:
    image_folder(tmp_path, ("ant",))
    with pytest.raises(IndexError, match=r"expected an index in 0\.\.1, got 2"):
        open_pictures(tmp_path)[2]


def test_packed_pictures_need_no_labels(tmp_path: Path) -> None:
    images = pictures(2, 6, 5)
    parts = packed([coded(image) for image in images])
    np.savez(tmp_path / "a.npz", jpeg=parts["blob"], offsets=parts["offsets"])
    np.savez(tmp_path / "b.npz", images=images, labels=[-1, 5])
    for name in "ab":
        items = open_pictures(tmp_path / f"{name}.npz", preprocess=Preprocess(size=4))
        assert [tuple(items[i][0].shape) for i in range(2)] == [(3, 4, 4)] * 2
    np.savez(tmp_path / "grey.npz", images=images[..., 0])
    assert open_pictures(tmp_path / "grey.npz")[0][0].shape == (1, 6, 5)


def test_a_network_is_calibrated_on_them(tmp_path: Path) -> None:
    for i, image in enumerate(pictures(4, 8, 8, 1)):
        (tmp_path / f"{i}.png").write_bytes(coded(image))
    items = open_pictures(tmp_path, preprocess=Preprocess(channels="L"))
    (batch,) = loader(items, 4)
    assert [x.shape for x in batch] == [(4, 1, 8, 8)]
    snn = sw.convert(digits_cnn().eval(), sw.SpikeConverter(T=4), calibration=loader(items, 2))
    assert torch.isfinite(sw.simulate(snn, batch[0])).all()


def test_real_pictures_are_counted_right(data_dir: Path) -> None:
    assert len(open_pictures(data_dir / "coco_val_dev.npz")) == 67
