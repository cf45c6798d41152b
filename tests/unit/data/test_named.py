# SPDX-License-Identifier: Apache-2.0
"""Named sets, image folders and their short forms, on tiny copies of the layouts on disk."""

import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.data import (
    Preprocess,
    default_preprocess,
    describe,
    from_folder,
    load_digits,
    named,
    names,
    resolve,
)
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError
from tests.unit.data.files import cifar, cifar_batch, image_folder, mnist, pictures

RAW = Preprocess(scale=1.0)


def test_an_unknown_name_shows_the_nearest_and_the_known() -> None:
    message = "data set 'cifar10_test': not known. Did you mean 'cifar10-test'"
    with pytest.raises(UnknownNameError, match=re.escape(message)) as caught:
        named("cifar10_test")
    assert all(name in str(caught.value) for name in names())
    with pytest.raises(UnknownNameError, match=re.escape("FILE.npz, boxes:PATH, cifar10-test")):
        resolve("nonsense")
    with pytest.raises(UnknownNameError):
        describe("nonsense")


@pytest.mark.parametrize("name", ["cifar10-test", "mnist-train", "imagenet-val"])
def test_a_set_on_disk_needs_a_root(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: expected the folder that holds .*, got none"):
        named(name)


def test_every_name_has_a_description_and_a_preprocessing() -> None:
    for name in names():
        assert describe(name)
        assert isinstance(default_preprocess(name), Preprocess)


# --- digits


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_part_of_the_digits() -> None:
    with pytest.raises(ConfigError, match="digits: expected part 'train' or 'test', got 'val'"):
        load_digits("val")


def test_the_digits_are_split_without_overlap_and_evenly() -> None:
    train, test = load_digits("train"), named("digits-test")
    assert len(train) + len(test) == 1797
    seen = {image.numpy().tobytes() for image, _ in train}
    assert not [1 for image, _ in test if image.numpy().tobytes() in seen]
    shares = Counter(test.labels.tolist())
    assert sorted(shares) == list(range(10))
    assert max(shares.values()) - min(shares.values()) <= 2


def test_the_digits_are_what_the_source_says() -> None:
    image, _ = load_digits("train")[0]
    assert image.shape == (1, 8, 8)
    values = torch.cat([image for image, _ in load_digits("test")])
    assert (values.min(), values.max()) == (0.0, 1.0)
    assert ((values * 16) == (values * 16).round()).all()


# --- CIFAR-10


def test_cifar10_reads_batches_as_python_2_wrote_them(tmp_path: Path) -> None:
    images, labels = cifar(tmp_path)
    content = (tmp_path / "cifar-10-batches-py" / "test_batch").read_bytes()
    assert b"cnumpy.core.multiarray\n_reconstruct" in content
    data = named("cifar10-test", tmp_path, preprocess=RAW)
    assert data.labels.tolist() == labels
    assert (data[1][0].permute(1, 2, 0).numpy() == images[1]).all()
    assert len(named("cifar10-train", tmp_path)) == 10


def test_cifar10_has_its_usual_normalisation(tmp_path: Path) -> None:
    images, _ = cifar(tmp_path)
    blue = named("cifar10-test", tmp_path)[0][0][2]
    expected = (images[0, :, :, 2] / 255 - 0.4465) / 0.2616
    np.testing.assert_allclose(blue.numpy(), expected, atol=1e-5)


def test_cifar10_in_the_wrong_place(tmp_path: Path) -> None:
    with pytest.raises(
        FileFormatError, match="data_batch_1: expected a CIFAR-10 batch, got no file"
    ):
        named("cifar10-train", tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 100, 3000])
def test_a_truncated_cifar10_batch(tmp_path: Path, kept: int) -> None:
    cifar(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        FileFormatError, match="test_batch: expected a CIFAR-10 batch, got a file that is not"
    ):
        named("cifar10-test", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {b"data": np.zeros((2, 3072), np.uint8)},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]},
        {b"data": np.zeros((2, 3072)), b"labels": [1, 2]},
        {b"data": np.zeros((2, 3000), np.uint8), b"labels": [1, 2]},
        [1, 2],
    ],
    ids=["no labels", "too few labels", "floats", "short rows", "no dictionary"],
)
def test_a_batch_of_something_else(tmp_path: Path, content: object) -> None:
    cifar_batch(tmp_path / "cifar-10-batches-py" / "test_batch", content)
    with pytest.raises(FileFormatError, match="test_batch: expected"):
        named("cifar10-test", tmp_path)


def test_a_batch_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"data": Payload(), "labels": [1]}))
    with pytest.raises(
        FileFormatError, match=re.escape("got a file that is not one (it asks for pathlib")
    ):
        named("cifar10-test", tmp_path)
    assert not marker.exists()


# --- MNIST


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_reads_idx_files(tmp_path: Path, zipped: bool) -> None:
    images, labels = mnist(tmp_path, zipped=zipped)
    data = named("mnist-test", tmp_path)
    assert data.labels.tolist() == labels.tolist()
    expected = (images[2] / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(data[2][0][0].numpy(), expected, atol=1e-5)


def test_mnist_in_the_wrong_place(tmp_path: Path) -> None:
    with pytest.raises(
        FileFormatError, match="train-images-idx3-ubyte: expected an idx file, got no file"
    ):
        named("mnist-train", tmp_path)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("images-idx3", lambda b: b[:-1], "expected 3x28x28 values, got 2351"),
        (
            "images-idx3",
            lambda b: b[:9],
            "expected an idx file of 3 axes, got one that begins with 00000803",
        ),
        ("images-idx3", lambda _: b"", "begins with nothing"),
        ("labels-idx1", lambda b: b"\1" + b[1:], "expected an idx file of 1 axes"),
        ("labels-idx1", lambda _: bytes((0, 0, 8, 1, 0, 0, 0, 1, 5)), "got 3 images and 1 labels"),
    ],
)
def test_damaged_mnist(tmp_path: Path, file: str, change: object, message: str) -> None:
    mnist(tmp_path, zipped=False)
    path = tmp_path / "MNIST" / "raw" / f"t10k-{file}-ubyte"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(FileFormatError, match=message):
        named("mnist-test", tmp_path)


def test_truncated_gzip(tmp_path: Path) -> None:
    mnist(tmp_path, zipped=True)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        FileFormatError, match=r"ubyte\.gz: expected a gzip file, got one that cannot be read"
    ):
        named("mnist-test", tmp_path)


# --- image folders


def test_an_image_folder(tmp_path: Path) -> None:
    images = image_folder(tmp_path, ("ant", "bee"))
    data = from_folder(tmp_path, preprocess=RAW)
    assert data.labels.tolist() == [0, 0, 1, 1]
    for index, image in enumerate(images):
        assert (data[index][0].permute(1, 2, 0).numpy() == image).all()
    resized = resolve(f"folder:{tmp_path}", preprocess=Preprocess(size=4, crop=0.9))
    assert resized[3][0].shape == (3, 4, 4)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="nowhere: expected a folder of images, got none"):
        resolve(f"folder:{tmp_path / 'nowhere'}")


def test_a_folder_without_classes(tmp_path: Path) -> None:
    with pytest.raises(
        FileFormatError, match="expected one folder of images per class, got another layout"
    ):
        from_folder(tmp_path)


def test_a_class_without_images(tmp_path: Path) -> None:
    image_folder(tmp_path, ("ant",))
    (tmp_path / "bee").mkdir()
    with pytest.raises(FileFormatError, match=r"no valid file for the classes bee"):
        from_folder(tmp_path)


def test_a_file_that_does_not_decode_is_named(tmp_path: Path) -> None:
    image_folder(tmp_path, ("ant",))
    (tmp_path / "ant" / "001.png").write_bytes(b"not a picture")
    data = from_folder(tmp_path)
    message = re.escape(
        f"[1] ({tmp_path / 'ant' / '001.png'}): expected an image, got 13 bytes that do not"
    )
    with pytest.raises(FileFormatError, match=message):
        data[1]


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    image_folder(tmp_path, ("ant",))
    data = from_folder(tmp_path)
    (tmp_path / "ant" / "000.png").unlink()
    with pytest.raises(FileFormatError, match=r"\[0\]: .*000\.png: expected an image, got no file"):
        data[0]


def test_imagenet_needs_its_thousand_classes(tmp_path: Path) -> None:
    image_folder(tmp_path / "val", ("n01440764", "n01443537"))
    with pytest.raises(FileFormatError, match="val: expected 1000 class folders, got 2"):
        named("imagenet-val", tmp_path)


def test_imagenet_is_cropped_and_resized(tmp_path: Path) -> None:
    image_folder(tmp_path / "val", tuple(f"n{number:08}" for number in range(1000)), per_class=1)
    data = named("imagenet-val", tmp_path)
    assert len(data) == 1000
    image, label = data[999]
    assert image.shape == (3, 224, 224)
    assert label == 999


# --- short forms


def test_short_forms_of_npz_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pictures(2, 4, 4), labels=[1, 2])
    np.savez(tmp_path / "b.npz", val_images=pictures(3, 4, 4), val_labels=[1, 2, 3])
    assert len(resolve(str(tmp_path / "a.npz"))) == 2
    assert len(resolve(f"{tmp_path / 'b.npz'}:val")) == 3
    assert len(resolve("digits-train")) == 1352
