# SPDX-License-Identifier: Apache-2.0
"""Where training batches come from: images kept decoded, or any data set read item by item."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from spikewright.data import ArraySet, ImageSet, Preprocess
from spikewright.errors import ConfigError, ShapeError
from spikewright.training.augment import augmented, cutout, mirrored
from spikewright.training.autoaugment import policy
from spikewright.training.config import Augment

__all__ = ["Source", "changed", "length", "source", "stacked"]

KEPT_BYTES = 4 * 2**30
"""Decoded images are kept in memory up to this size; beyond it they are decoded when needed."""


@runtime_checkable
class Source(Protocol):
    """Batches of a data set by index."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        ...

    def batch(self, chosen: Tensor, augment: Augment) -> tuple[Tensor, Any]:
        """Return inputs "batch *feature", float32, and targets: classes "batch", int64, or others.

        Args:
            chosen: Which items, "batch", int64.
            augment: How images are changed, drawn from torch's global random numbers.
        """
        ...


def source(dataset: Dataset[Any], where: str = "dataset") -> Source:
    """Open a data set for training.

    Args:
        dataset: An `ImageSet`, an `ArraySet`, a subset of one, or any map-style data set of
            (float tensor, class).
        where: What it is, for messages.

    Raises:
        ConfigError: If it is empty or has no length.
        ShapeError: If its items are not (tensor, class), or images have several sizes.
    """
    length(dataset, where)
    whole, indices = _whole(dataset)
    if isinstance(whole, ImageSet):
        return _Pixels(whole, indices, where)
    if isinstance(whole, ArraySet):
        every = slice(None) if indices is None else indices
        return _Arrays(torch.from_numpy(whole.x)[every], torch.from_numpy(whole.y)[every])
    return _Items(dataset, where)


def length(dataset: Dataset[Any], where: str) -> int:
    """Return how many items a data set has.

    Raises:
        ConfigError: If it is empty or has no length.
    """
    try:
        count = len(dataset)  # type: ignore[arg-type]  # map-style, but torch declares no __len__
    except TypeError as error:
        raise ConfigError(
            f"{where}: expected a data set with a length and items by number, got "
            f"{type(dataset).__name__}. Pass the data set, not a loader."
        ) from error
    if not count:
        raise ConfigError(f"{where}: expected at least one item, got none. Check the data.")
    return count


def _whole(dataset: Dataset[Any]) -> tuple[Dataset[Any], Tensor | None]:
    """Return the set that a subset, or a subset of one, is taken from, and which items."""
    if not isinstance(dataset, Subset):
        return dataset, None
    whole, below = _whole(dataset.dataset)
    indices = torch.as_tensor(dataset.indices, dtype=torch.long)
    return whole, indices if below is None else below[indices]


class _Pixels:
    """Stored images, decoded and resized once, changed and normalised batch by batch."""

    def __init__(self, images: ImageSet, indices: Tensor | None, where: str) -> None:
        self._images, self._where = images, where
        self._labels = torch.from_numpy(images.labels)
        self._indices = torch.arange(len(images)) if indices is None else indices
        settings = images.preprocess
        plain = {**settings.to_dict(), "scale": 1.0, "mean": [0.0], "std": [1.0]}
        self._stored = ImageSet(
            images.name, images.reader, images.labels, Preprocess.from_dict(plain)
        )
        channels = len(settings.channels)
        mean = torch.tensor(settings.mean).expand(channels).view(-1, 1, 1)
        std = torch.tensor(settings.std).expand(channels).view(-1, 1, 1)
        self._scale, self._mean, self._std = settings.scale, mean, std
        first = self._read(self._indices[:1])
        self._first = first.shape[1:]
        self._kept: Tensor | None = None
        if first.numel() * len(self._indices) <= KEPT_BYTES:
            self._kept = torch.cat([self._read(part) for part in torch.split(self._indices, 256)])

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._first)

    def batch(self, chosen: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        items = self._indices[chosen]
        pixels = self._read(items) if self._kept is None else self._kept[chosen]
        labels = self._labels[items]
        if augment == "none":
            return self._normalised(pixels), labels
        pixels = _flipped(pixels) if augment == "flip" else augmented(pixels)
        if augment != "autoaugment-cutout":
            return self._normalised(pixels), labels
        return cutout(self._normalised(policy(pixels))), labels

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Scale and shift in the order of `Preprocess`, so that not a bit differs from it."""
        return pixels.float().mul_(self._scale).sub_(self._mean).div_(self._std)

    def _read(self, items: Tensor) -> Tensor:
        """Decode images: "image channel height width", uint8, channels in the network's order."""
        if not len(items):
            return torch.empty((0, *self._first), dtype=torch.uint8)
        return stacked([self._stored[int(i)][0] for i in items], self._where).to(torch.uint8)


class _Arrays:
    """Ready-made inputs in memory."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self._x, self._y = x, y

    def __len__(self) -> int:
        return len(self._y)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._x.shape[1:])

    def batch(self, chosen: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        return changed(self._x[chosen], augment), self._y[chosen]


class _Items:
    """Any map-style data set, read item by item whenever a batch is made."""

    def __init__(self, dataset: Dataset[Any], where: str) -> None:
        self._dataset, self._where = dataset, where
        self._shape = tuple(self._item(0)[0].shape)

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    def batch(self, chosen: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        if not len(chosen):  # one process of several may get nothing of a last, short batch
            return torch.empty((0, *self._shape)), torch.empty(0, dtype=torch.long)
        items = [self._item(int(i)) for i in chosen]
        inputs = stacked([x for x, _ in items], self._where)
        return changed(inputs, augment), torch.tensor([y for _, y in items])

    def _item(self, index: int) -> tuple[Tensor, int]:
        item = self._dataset[index]
        pair = isinstance(item, tuple | list) and len(item) == 2
        if not pair or not isinstance(item[0], Tensor) or not item[0].is_floating_point():
            got = ", ".join(type(part).__name__ for part in item) if pair else type(item).__name__
            raise ShapeError(
                f"{self._where}[{index}]: expected (float tensor, class), got {got}. "
                "Let the data set return preprocessed inputs with class numbers."
            )
        return item[0], int(item[1])


def changed(x: Tensor, augment: Augment) -> Tensor:
    """Change ready-made inputs, for which only moving elements makes sense."""
    if augment == "none":
        return x
    if augment == "autoaugment-cutout" or x.ndim != 4:
        known = "'none', 'flip' or 'crop-flip'" if x.ndim == 4 else "'none'"
        raise ConfigError(
            f"training.augment: expected {known} for inputs that are preprocessed already, got "
            f"{augment!r}. Use a set of stored images."
        )
    return _flipped(x) if augment == "flip" else augmented(x)


def _flipped(x: Tensor) -> Tensor:
    return mirrored(x, torch.rand(len(x)) < 0.5)


def stacked(items: Sequence[Tensor], where: str) -> Tensor:
    """Make a batch of inputs.

    Raises:
        ShapeError: If they have several shapes.
    """
    shapes = {tuple(x.shape) for x in items}
    if len(shapes) != 1:
        some = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:3])
        raise ShapeError(
            f"{where}: expected inputs of one shape, got {some}. Set a size to resize them to."
        )
    return torch.stack(list(items))
