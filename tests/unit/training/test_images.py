# SPDX-License-Identifier: Apache-2.0
"""Batches for training: the same numbers as item by item, from every kind of data set."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from spikewright.data import ArraySet, ImageSet, Preprocess
from spikewright.data.images import ArrayReader
from spikewright.errors import ConfigError, ShapeError
from spikewright.training import images
from spikewright.training.images import source


def pictures(count: int = 12, side: int = 8, **settings: Any) -> ImageSet:
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64)
    options = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25), **settings}
    return ImageSet("pictures", ArrayReader(pixels), labels, Preprocess(**options))


class Plain(Dataset[tuple[Tensor, int]]):
    """A user's own set: nothing but items and a length."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@pytest.mark.parametrize(
    "settings",
    [{}, {"channels": "BGR"}, {"size": 4, "crop": 0.75}, {"scale": 1.0}, {"mean": (0.1,)}],
)
def test_images_are_preprocessed_to_the_last_bit(settings: dict[str, Any]) -> None:
    items = pictures(**settings)
    chosen = torch.tensor([3, 0, 7, 7])
    x, y = source(items).batch(chosen, "none")
    assert torch.equal(x, torch.stack([items[int(i)][0] for i in chosen]))
    assert y.tolist() == chosen.tolist()
    assert source(items).shape == x.shape[1:]


def test_images_that_do_not_fit_are_decoded_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, read = source(pictures()), pictures()
    monkeypatch.setattr(images, "KEPT_BYTES", 0)
    later = source(read)
    chosen = torch.arange(12)
    for augment in ("none", "crop-flip"):
        torch.manual_seed(2)
        a = kept.batch(chosen, augment)[0]
        torch.manual_seed(2)
        assert torch.equal(later.batch(chosen, augment)[0], a)


def test_all_kinds_of_sets_give_the_same_batches() -> None:
    x, y = torch.randn(10, 3, 8, 8), torch.arange(10)
    kinds: list[Dataset[Any]] = [
        ArraySet("a", x.numpy(), y.numpy()),
        TensorDataset(x, y),
        Plain([(a, int(b)) for a, b in zip(x, y, strict=True)]),
        Subset(Subset(ArraySet("a", x.numpy(), y.numpy()), range(10)), range(10)),
    ]
    chosen = torch.tensor([9, 1, 4])
    for kind, augment in itertools.product(kinds, ("none", "crop-flip")):
        torch.manual_seed(4)
        found, labels = source(kind).batch(chosen, augment)
        torch.manual_seed(4)
        expected, _ = source(kinds[0]).batch(chosen, augment)
        assert torch.equal(found, expected)
        assert labels.tolist() == [9, 1, 4]


def test_parts_of_parts_take_the_right_images() -> None:
    items = pictures()
    part = Subset(Subset(items, [2, 4, 6, 8]), [3, 1])
    opened = source(part)
    assert len(opened) == 2
    x, y = opened.batch(torch.tensor([0, 1]), "none")
    assert y.tolist() == [8, 4]
    assert torch.equal(x[0], items[8][0])
    odd = source(Subset(Plain([(torch.ones(2) * i, i) for i in range(5)]), [4, 3]))
    assert odd.batch(torch.tensor([1]), "none")[1].tolist() == [3]


def test_a_batch_never_changes_the_data() -> None:
    items = pictures()
    opened = source(items)
    before, _ = opened.batch(torch.arange(12), "none")
    for augment in ("crop-flip", "autoaugment-cutout"):
        changed, _ = opened.batch(torch.arange(12), augment)
        assert not torch.equal(changed, before)
    assert torch.equal(opened.batch(torch.arange(12), "none")[0], before)


def test_an_empty_batch_has_the_right_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randn(10, 3, 8, 8), torch.arange(10)
    kept = source(pictures())
    monkeypatch.setattr(images, "KEPT_BYTES", 0)
    kinds = [kept, *map(source, (pictures(), ArraySet("a", x.numpy(), y.numpy())))]
    for opened in (*kinds, source(TensorDataset(x, y))):
        none, labels = opened.batch(torch.arange(0), "crop-flip")
        assert (none.shape, none.dtype) == ((0, 3, 8, 8), torch.float32)
        assert (labels.shape, labels.dtype) == ((0,), torch.int64)
    assert kept.batch(torch.arange(0), "autoaugment-cutout")[0].shape == (0, 3, 8, 8)


@pytest.mark.usefixtures("unchecked")
def test_misuse() -> None:
    with pytest.raises(ConfigError, match="got list_iterator"):
        source(iter([1]))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least one item"):
        source(Plain([]))
    with pytest.raises(ShapeError, match=r"dataset\[0\]: expected \(float tensor, class\), got i"):
        source(Plain([3]))
    with pytest.raises(ShapeError, match="got ndarray, int"):
        source(Plain([(np.zeros(3), 1)]))
    uneven = source(Plain([(torch.zeros(3), 0), (torch.zeros(4), 0)]))
    with pytest.raises(ShapeError, match="inputs of one shape, got 3, 4"):
        uneven.batch(torch.arange(2), "none")
    ready = source(TensorDataset(torch.zeros(2, 3, 8, 8), torch.zeros(2)))
    with pytest.raises(ConfigError, match="expected 'none', 'flip' or 'crop-flip' for"):
        ready.batch(torch.arange(2), "autoaugment-cutout")
    flat = source(TensorDataset(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(ConfigError, match="expected 'none' for"):
        flat.batch(torch.arange(2), "crop-flip")
