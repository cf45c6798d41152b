# SPDX-License-Identifier: Apache-2.0
"""Find objects: the loss of a one-level detector, over images with boxes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright.detection import Annotations
from spikewright.errors import ConfigError, ShapeError
from spikewright.training import engine
from spikewright.training.augment import mirrored
from spikewright.training.config import Augment, TrainConfig
from spikewright.training.detection_loss import BOX_WEIGHT, detection_loss
from spikewright.training.images import Source, stacked
from spikewright.training.network import TrainableNetwork
from spikewright.training.objectives.base import Objective, Verdict
from spikewright.training.objectives.items import ItemSource
from spikewright.training.objects import Objects
from spikewright.training.sizes import check_sizes, resized

__all__ = ["Detection"]


@dataclass(frozen=True)
class Detection(Objective):
    """Find objects with one map of predictions; items are (tensor, `Annotations`).

    Args:
        stride: Pixels of the input for a cell of the map: ``model.stride`` of a `Yolo`.
        sizes: Sides of square inputs; every batch is resized to one of them at random. Empty: as
            they are. Multiples of the stride.
        box_weight: Of boxes against the rest; see :func:`detection_loss`.
        score: What is measured on the validation images in percent, the larger the better: a
            function of the network, say its average precision. By default the overlap of objects
            with what their cells predict.

    Raises:
        ConfigError: If a setting is out of range.
    """

    name: ClassVar[str] = "detection"
    figure: ClassVar[str] = "overlap"

    stride: int = 32
    sizes: tuple[int, ...] = ()
    box_weight: float = BOX_WEIGHT
    score: Callable[[nn.Module], float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Check every setting."""
        check_sizes("Detection", self.sizes)
        if self.stride < 1 or any(s % self.stride for s in self.sizes):
            raise ConfigError(
                f"Detection: expected a stride above 0 and sizes that are multiples of it, got "
                f"stride {self.stride} and sizes {self.sizes}."
            )

    def source(self, dataset: Dataset[Any], where: str) -> Source:
        """Open a data set of (tensor, `Annotations`)."""
        return _Scenes(dataset, where)

    def draw(self, items: Source, chosen: Tensor, config: TrainConfig) -> tuple[Tensor, Any]:
        """Return inputs and their objects."""
        x, objects = super().draw(items, chosen, config)
        before = x.shape[2:]
        x = resized(x, self.sizes)
        factors = (x.shape[3] / before[1], x.shape[2] / before[0])
        return x, objects.scaled(*factors)

    def judge(self, network: nn.Module, x: Tensor, targets: Any, config: TrainConfig) -> Verdict:  # noqa: ANN401
        """Compare raw maps with objects; see :func:`detection_loss`."""
        outputs = engine.run(network, x, config.precision)
        found = detection_loss(outputs, targets.to(x.device), self.stride, self.box_weight)
        return Verdict(found.loss, found.overlap)

    def measure(self, network: TrainableNetwork, items: Source, config: TrainConfig) -> float:
        """Return the score, or the overlap in percent."""
        if self.score is None:
            return super().measure(network, items, config)
        with torch.no_grad():
            return self.score(network.eval())

    def to_dict(self) -> dict[str, Any]:
        """Return name and settings as JSON-able data; the score is none of them."""
        return {
            "name": self.name,
            "stride": self.stride,
            "sizes": list(self.sizes),
            "box_weight": self.box_weight,
        }


class _Scenes(ItemSource):
    """Images with boxes, read item by item whenever a batch is made."""

    def _input(self, index: int) -> Tensor:
        return self._item(index)[0]

    def batch(self, chosen: Tensor, augment: Augment) -> tuple[Tensor, Objects]:
        if augment not in ("none", "flip"):
            raise ConfigError(
                f"training.augment: expected 'none' or 'flip' for images with boxes, got "
                f"{augment!r}."
            )
        if not len(chosen):  # one process of several may get nothing of a last, short batch
            return torch.empty((0, *self._shape)), Objects.of([])
        items = [self._item(int(i)) for i in chosen]
        x = stacked([x for x, _ in items], self._where)
        objects = Objects.of([annotations for _, annotations in items])
        if augment == "none":
            return x, objects
        which = torch.rand(len(x)) < 0.5
        return mirrored(x, which), objects.mirrored(which, x.shape[3])

    def _item(self, index: int) -> tuple[Tensor, Annotations]:
        item = self._dataset[index]
        pair = isinstance(item, tuple | list) and len(item) == 2
        fits = pair and isinstance(item[0], Tensor) and isinstance(item[1], Annotations)
        if not fits or item[0].ndim != 3 or not item[0].is_floating_point():
            got = ", ".join(type(part).__name__ for part in item) if pair else type(item).__name__
            raise ShapeError(
                f"{self._where}[{index}]: expected (float tensor (channel, height, width), "
                f"Annotations), got {got}. Let the data set return preprocessed images with boxes."
            )
        return item[0], item[1]
