# SPDX-License-Identifier: Apache-2.0
"""Imitate the original network: neither labels nor a loss of the task are needed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import Dataset, Subset

from spikewright.data import ArraySet, ImageSet
from spikewright.errors import ConfigError, ShapeError
from spikewright.training import engine
from spikewright.training.config import Augment, TrainConfig
from spikewright.training.images import Source, changed, source, stacked
from spikewright.training.network import TrainableNetwork
from spikewright.training.objectives.base import Objective, Verdict
from spikewright.training.objectives.items import ItemSource
from spikewright.training.sizes import check_sizes, resized

__all__ = ["Imitation", "relative_error"]


@dataclass(frozen=True, eq=False)
class Imitation(Objective):
    """Answer as the original does; items are tensors, or tuples that begin with one.

    For any task and any nesting of outputs. With S the network in training, O the original and o
    their outputs one by one, the loss of a batch is

        Σ_o ||S_o(x) - O_o(x)||² / ||O_o(x)||²

    for each input of the batch. The figure is what it leaves of 1 per output: 100 % is equality.
    Batch norms keep the statistics of the original. Of outputs of which only some parts matter,
    such as the maps of a detector, a ``loss`` of one's own says which.

    Args:
        original: The network to imitate; copied, run in evaluation mode.
        sizes: Sides of square inputs; every batch is resized to one of them at random. Empty: as
            they are. Smaller ones are faster; the network must take them.
        loss: What is minimised instead, given the outputs of the network and those of the
            original, one after the other: a scalar, the mean over the batch. The figure stays.

    Raises:
        ConfigError: If a setting is out of range.
    """

    name: ClassVar[str] = "imitation"
    figure: ClassVar[str] = "agreement"

    original: nn.Module
    sizes: tuple[int, ...] = ()
    loss: Callable[[list[Tensor], list[Tensor]], Tensor] | None = None

    def __post_init__(self) -> None:
        """Check every setting, and take a copy of the original."""
        check_sizes("Imitation", self.sizes)
        if not isinstance(self.original, nn.Module):
            kind = type(self.original).__name__
            raise ConfigError(f"Imitation.original: expected a torch.nn.Module, got {kind}.")
        copied = copy.deepcopy(self.original).eval().requires_grad_(False)
        object.__setattr__(self, "original", copied)

    def source(self, dataset: Dataset[Any], where: str) -> Source:
        """Open a data set of any items that are or begin with a tensor."""
        whole: Any = dataset
        while isinstance(whole, Subset):
            whole = whole.dataset
        known = isinstance(whole, ImageSet | ArraySet)
        return source(dataset, where) if known else _Inputs(dataset, where)

    def start(self, network: TrainableNetwork) -> None:
        """Keep the statistics of batch norms."""
        network.eval()

    def draw(self, items: Source, chosen: Tensor, config: TrainConfig) -> tuple[Tensor, Any]:
        """Return inputs; there are no targets."""
        x, _ = super().draw(items, chosen, config)
        return resized(x, self.sizes), None

    def judge(self, network: nn.Module, x: Tensor, targets: Any, config: TrainConfig) -> Verdict:  # noqa: ANN401
        """Compare the outputs with the original's on the same inputs.

        Raises:
            ShapeError: If they are not as many, or of other shapes.
        """
        with torch.no_grad():
            wanted = tree_leaves(engine.run(self.original.to(x.device, x.dtype), x))
        found = tree_leaves(engine.run(network, x, config.precision))
        error = relative_error(found, wanted)
        loss = error if self.loss is None else self.loss(found, wanted)
        return Verdict(loss * len(x), len(x) * (1.0 - float(error.detach()) / len(wanted)))

    def to_dict(self) -> dict[str, Any]:
        """Return name and settings as JSON-able data."""
        own = {} if self.loss is None else {"loss": getattr(self.loss, "__qualname__", "own")}
        return {"name": self.name, "sizes": list(self.sizes), **own}


def relative_error(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Return Σ ||found - wanted||² / ||wanted||² over pairs of outputs.

    Raises:
        ShapeError: If they are not as many, or of other shapes.

    Example:
        >>> float(relative_error([torch.tensor([1.0, 1.0])], [torch.tensor([2.0, 1.0])]))
        0.20000000298023224
    """
    shapes = [[tuple(t.shape) for t in some] for some in (found, wanted)]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"model: expected outputs of shapes {shapes[1]}, as the original has, got {shapes[0]}. "
            "Imitate the network that it was made from."
        )
    total = torch.zeros((), dtype=wanted[0].dtype, device=wanted[0].device)
    for one, other in zip(found, wanted, strict=True):
        size = (other * other).sum().clamp(min=torch.finfo(other.dtype).tiny)
        total = total + ((one - other) ** 2).sum() / size
    return total


class _Inputs(ItemSource):
    """Inputs of any data set, read item by item whenever a batch is made."""

    def batch(self, chosen: Tensor, augment: Augment) -> tuple[Tensor, None]:
        if not len(chosen):  # one process of several may get nothing of a last, short batch
            return torch.empty((0, *self._shape)), None
        x = stacked([self._input(int(i)) for i in chosen], self._where)
        return changed(x, augment), None

    def _input(self, index: int) -> Tensor:
        item = self._dataset[index]
        first = item[0] if isinstance(item, tuple | list) and item else item
        if not isinstance(first, Tensor) or not first.is_floating_point():
            raise ShapeError(
                f"{self._where}[{index}]: expected a float tensor, or a tuple that begins with "
                f"one, got {type(first).__name__}. Let the data set return preprocessed inputs."
            )
        return first
