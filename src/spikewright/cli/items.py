# SPDX-License-Identifier: Apache-2.0
"""A data set once it is open: parts of it, batches, and what is known of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from spikewright import data as data_room
from spikewright.cli.options import DataOptions
from spikewright.data import DetectionSet, ImageSet, PictureSet
from spikewright.errors import ConfigError
from spikewright.processes import shard

__all__ = [
    "CPU",
    "Batches",
    "Items",
    "Pictures",
    "batches",
    "classes_of",
    "describe",
    "part",
    "preprocess_of",
    "sample_shape",
    "spread",
]

Items = Dataset[Any]
Pictures = ImageSet | DetectionSet | PictureSet
CPU = torch.device("cpu")
BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches whose inputs lie on one device; labels stay where they are.

    Args:
        loader: Yields lists that begin with an input batch.
        place: The device.
    """

    loader: DataLoader[Any]
    place: torch.device

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[Tensor]]:
        """Read the set from its beginning."""
        for x, *rest in self.loader:
            yield [x.to(self.place), *rest]


def sample_shape(items: Items) -> tuple[int, ...]:
    """Return the shape of one input of a set."""
    return tuple(items[0][0].shape)


def spread(items: Items, count: int | None, flag: str) -> Items:
    """Take so many items, evenly spread over the set, because folders are sorted by class.

    Args:
        items: The set.
        count: How many; None takes all, and so does a number above its length.
        flag: The option, for messages.

    Raises:
        ConfigError: If ``count`` is below 1.
    """
    if count is None:
        return items
    if count < 1:
        raise ConfigError(f"{flag}: expected at least 1, got {count}. Raise it.")
    length = len(items)  # type: ignore[arg-type]  # map-style, but torch declares no __len__
    if count >= length:
        return items
    return Subset(items, [i * length // count for i in range(count)])


def part(items: Items) -> Items | None:
    """Return what this process takes of a set, of several that work together; None if nothing."""
    mine = shard(items)
    return mine if len(mine) else None


def batches(items: Items, options: DataOptions, place: torch.device = CPU) -> "Batches":
    """Batch a set as the options say, with inputs where the network is that they are for."""
    loader = data_room.loader(
        items,
        BATCH_SIZE if options.batch_size is None else options.batch_size,
        workers=options.workers or 0,
    )
    return Batches(loader, place)


def preprocess_of(items: Items) -> dict[str, Any] | None:
    """Return how the images of a set become inputs, None if they are inputs already."""
    whole = _whole(items)
    return whole.preprocess.to_dict() if isinstance(whole, Pictures) else None


def classes_of(items: Items) -> tuple[str, ...]:
    """Return the names of a set's classes, as far as it has such."""
    whole = _whole(items)
    return whole.classes if isinstance(whole, DetectionSet) else ()


def describe(items: Items) -> dict[str, Any]:
    """Return name, size and preprocessing of a set as JSON-able data."""
    whole = _whole(items)
    return {
        "name": getattr(whole, "name", "?"),
        "samples": len(items),  # type: ignore[arg-type]  # as above
        "of": len(whole),  # type: ignore[arg-type]
        "preprocess": preprocess_of(items),
    }


def _whole(items: Items) -> Items:
    """Return the set that a part, or a part of a part, was taken from."""
    return _whole(items.dataset) if isinstance(items, Subset) else items
