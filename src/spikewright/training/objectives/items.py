# SPDX-License-Identifier: Apache-2.0
"""Data sets of any kind, read item by item whenever a batch is made."""

from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from spikewright.training.images import length

__all__ = ["ItemSource"]


class ItemSource:
    """The part of a source that does not depend on what its items are.

    Args:
        dataset: A map-style data set.
        where: What it is, for messages.
    """

    def __init__(self, dataset: Dataset[Any], where: str) -> None:
        self._dataset, self._where = dataset, where
        self._count = length(dataset, where)
        self._shape = tuple(self._input(0).shape)

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self._shape

    def _input(self, index: int) -> Tensor:
        """Return the input of an item."""
        raise NotImplementedError
