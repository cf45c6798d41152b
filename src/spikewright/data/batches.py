# SPDX-License-Identifier: Apache-2.0
"""From a data set to batches: always in the same order, never padded, so counts are exact."""

from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from spikewright.errors import ConfigError

__all__ = ["loader"]


def loader(
    dataset: Dataset[tuple[Tensor, int]],
    batch_size: int,
    limit: int | None = None,
    workers: int = 0,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batch a data set in its own order.

    Args:
        dataset: Items are (tensor, class).
        batch_size: Items per batch; the last batch holds what is left over.
        limit: Stop after that many items; None takes all.
        workers: Processes that decode ahead; 0 decodes in this one.

    Returns:
        Batches of (float32 "batch *feature", int64 "batch").

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
    return DataLoader(chosen, batch_size=batch_size, shuffle=False, num_workers=workers)
