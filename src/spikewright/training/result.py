# SPDX-License-Identifier: Apache-2.0
"""What a training run comes to: the network, its history, and what it took."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikewright.text import table
from spikewright.training.config import TrainConfig
from spikewright.training.network import TrainableNetwork

__all__ = ["Cost", "EpochRecord", "TrainingResult"]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One pass over the images.

    Attributes:
        epoch: Number, from 1.
        loss: Mean loss on the training images, as they were changed, while the weights moved.
        accuracy: The objective's figure on the same in percent: top-1 where classes are learned.
        validation: The same on the validation images after the epoch, None without any.
        lr: Learning rate of the last step.
        seconds: Wall time, validation included.
    """

    epoch: int
    loss: float
    accuracy: float
    validation: float | None
    lr: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What training took, interrupted runs added up.

    Attributes:
        epochs: Whole passes over the images.
        steps: Updates of the weights.
        images: Images seen, repeats counted.
        seconds: Wall time of all its parts, validation included.
    """

    epochs: int
    steps: int
    images: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingResult:
    """The outcome of training.

    Attributes:
        model: The trained network after the last step, its moving average if one was kept, in
            evaluation mode. It is the last one, not the best on the validation images.
        history: Every whole epoch.
        cost: What it took.
        config: The settings.
        interrupted: Whether Ctrl-C ended it before its time; the checkpoint lets it go on.
        folder: Where the checkpoints are, None if none were kept.
    """

    model: TrainableNetwork
    history: tuple[EpochRecord, ...]
    cost: Cost
    config: TrainConfig
    interrupted: bool
    folder: Path | None

    def table(self) -> str:
        """Return the history as text, a row an epoch."""
        rows = [
            [
                str(r.epoch),
                f"{r.loss:.4f}",
                f"{r.accuracy:.2f}",
                "" if r.validation is None else f"{r.validation:.2f}",
                f"{r.lr:.2g}",
                f"{r.seconds:.1f}",
            ]
            for r in self.history
        ]
        return table(["epoch", "loss", "train %", "val %", "rate", "s"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the network as JSON-able data."""
        return {
            "schema": "spikewright.training/1",
            "config": self.config.to_dict(),
            "activation": self.model.settings,
            "history": [asdict(r) for r in self.history],
            "cost": asdict(self.cost),
            "interrupted": self.interrupted,
            "folder": None if self.folder is None else str(self.folder),
        }
