# SPDX-License-Identifier: Apache-2.0
"""Tell classes apart: cross-entropy, and how often the largest score is the right one."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright.errors import ShapeError
from spikewright.training import engine
from spikewright.training.config import TrainConfig
from spikewright.training.images import Source, source
from spikewright.training.objectives.base import Objective, Verdict

__all__ = ["Classification"]


@dataclass(frozen=True)
class Classification(Objective):
    """One class an input: items are (tensor, class), outputs are scores, "batch class".

    The loss is the cross-entropy, smoothed as ``TrainConfig.label_smoothing`` says.
    """

    name: ClassVar[str] = "classification"
    figure: ClassVar[str] = "top-1"

    def source(self, dataset: Dataset[Any], where: str) -> Source:
        """Open a data set of images or of (tensor, class)."""
        return source(dataset, where)

    def judge(self, network: nn.Module, x: Tensor, targets: Any, config: TrainConfig) -> Verdict:  # noqa: ANN401
        """Compare scores with classes "batch".

        Raises:
            ShapeError: If the output is something else than scores, or has none for a class.
        """
        output = engine.run(network, x, config.precision)
        scores: Tensor = output[0] if isinstance(output, tuple) else output
        if scores.ndim != 2 or len(scores) != len(x):
            raise ShapeError(
                f"model: expected scores (batch, class), got shape {tuple(scores.shape)}. "
                "Train a classifier, or name another objective."
            )
        y = targets.to(x.device)
        _check_classes(scores, y)
        loss = F.cross_entropy(scores, y, reduction="sum", label_smoothing=config.label_smoothing)
        return Verdict(loss, int((scores.argmax(1) == y).sum()))


def _check_classes(scores: Tensor, y: Tensor) -> None:
    """Refuse classes that the model has no score for.

    Raises:
        ShapeError: Naming both ranges.
    """
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]:
        raise ShapeError(
            f"dataset: expected classes 0 to {scores.shape[1] - 1}, as many as the model has "
            f"scores, got {int(y.min())} to {int(y.max())}. Give the model as many outputs."
        )
