# SPDX-License-Identifier: Apache-2.0
"""From a data set to batches: always in the same order, never padded, so counts are exact."""

import pickle
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from spikewright.detection import Annotations
from spikewright.errors import ConfigError, ShapeError

__all__ = ["collate", "loader"]


def loader(
    dataset: Dataset[Any],
    batch_size: int,
    limit: int | None = None,
    workers: int = 0,
) -> DataLoader[Any]:
    """Batch a data set in its own order.

    Args:
        dataset: Items are (tensor, class), (tensor, Annotations), or (tensor,) without labels.
        batch_size: Items per batch; the last batch holds what is left over.
        limit: Stop after that many items; None takes all.
        workers: Processes that decode ahead; 0 decodes in this one.

    Returns:
        Batches as :func:`collate` makes them.

    Raises:
        ConfigError: If a number is out of range or the data set is empty.

    Example:
        >>> from spikewright.data.digits import load_digits
        >>> [len(labels) for _, labels in loader(load_digits("test"), 100, limit=250)]
        [100, 100, 50]
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("limit", limit, 1),
        ("workers", workers, 0),
    ):
        if value is not None and value < least:
            raise ConfigError(f"loader.{name}: expected at least {least}, got {value}. Raise it.")
    count = len(dataset)  # type: ignore[arg-type]  # map-style, but torch's Dataset declares no __len__
    if count == 0:
        raise ConfigError("loader.dataset: expected at least one item, got none. Check the data.")
    chosen: Dataset[Any] = (
        dataset if limit is None or limit >= count else Subset(dataset, range(limit))
    )
    return DataLoader(
        chosen, batch_size=batch_size, shuffle=False, num_workers=workers, collate_fn=collate
    )


def collate(items: Sequence[Any]) -> list[Any]:
    """Make one batch of items; also to be given to a ``DataLoader`` of one's own.

    Args:
        items: As :func:`loader` takes them.

    Returns:
        A list of the inputs, float32 "batch *feature", and of classes, int64 "batch", or a list
        of ``Annotations``, one an image; of the inputs alone if there are no labels.

    Raises:
        ShapeError: If the inputs have several shapes.
    """
    inputs = [item[0] for item in items if isinstance(item, tuple) and isinstance(item[0], Tensor)]
    if len(shapes := {tuple(x.shape) for x in inputs}) > 1:
        some = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:3])
        raise ShapeError(
            f"batch: expected inputs of one shape, got {some}. Set a size in the preprocessing, or "
            "take one image a batch."
        )
    if isinstance(items[0], tuple) and isinstance(items[0][-1], Annotations):
        return [torch.stack(inputs), _ByValue(annotations for _, annotations in items)]
    batch: list[Any] = default_collate(list(items))
    return batch


class _ByValue(list[Annotations]):
    """A list that comes from a worker process as plain bytes.

    Workers share each tensor by a file that stays open as long as the tensor lives: who keeps the
    boxes of a data set would soon have too many.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (pickle.dumps(list(self)),)
