# SPDX-License-Identifier: Apache-2.0
"""All settings of a training run as one frozen fact, and the learning rate that follows."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spikewright.errors import ConfigError

__all__ = ["Augment", "TrainConfig"]

Augment = Literal["none", "flip", "crop-flip", "autoaugment-cutout"]
Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "constant"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a network is trained. The defaults are those of CASC's official code but for ``augment``.

    Attributes:
        epochs: Passes over the images.
        batch_size: Images that are run at once, over all processes.
        lr: Highest learning rate, reached after the warm-up.
        optimizer: ``"sgd"`` with momentum or ``"adamw"``.
        momentum: Of SGD.
        nesterov: Whether SGD looks ahead.
        weight_decay: On all parameters, thresholds included, as the official codes do.
        warmup: Epochs, fractions allowed, in which the learning rate rises linearly from 0.
        schedule: ``"cosine"`` falls to 0 at the end, ``"constant"`` stays.
        label_smoothing: Share of the target that is spread over all classes.
        augment: ``"none"``, ``"flip"`` (mirrored every other time), ``"crop-flip"`` (a random crop
            of the image padded with black by an eighth of its side, mirrored every other time) or
            ``"autoaugment-cutout"`` (the same, then AutoAugment's CIFAR-10 policy, then a square
            hole of half the side). Detectors take the first two.
        ema: Decay of a moving average of the weights over steps, None for no average.
        precision: ``"bfloat16"`` multiplies in bfloat16; weights and updates stay as they are.
        accumulate: Batches that are added up to one step.
        seed: Decides on the order of images and on everything random.
        clip_grad: Largest norm of the gradient, None for no limit.

    Raises:
        ConfigError: If a setting is out of range.

    Example:
        >>> TrainConfig(epochs=2, warmup=0.5).rate(step=1, steps_per_epoch=4)
        0.1
    """

    epochs: int = 100
    batch_size: int = 128
    lr: float = 0.1
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    warmup: float = 0.0
    schedule: Schedule = "cosine"
    label_smoothing: float = 0.1
    augment: Augment = "none"
    ema: float | None = None
    precision: Precision = "float32"
    accumulate: int = 1
    seed: int = 0
    clip_grad: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("lr", math.isfinite(self.lr) and self.lr > 0, "a finite number above 0")
        self._check("momentum", 0 <= self.momentum < 1, "a number in [0, 1)")
        self._check("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0")
        self._check("warmup", 0 <= self.warmup <= self.epochs, f"0 to {self.epochs} epochs")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "a number in [0, 1)")
        self._check("ema", self.ema is None or 0 < self.ema < 1, "a number in (0, 1) or None")
        positive = self.clip_grad is None or 0 < self.clip_grad < math.inf
        self._check("clip_grad", positive, "a number above 0 or None")
        self._check(
            "nesterov",
            not self.nesterov or (self.momentum > 0 and self.optimizer == "sgd"),
            "False without SGD's momentum",
        )
        for name, choices in (
            ("optimizer", Optimizer),
            ("schedule", Schedule),
            ("augment", Augment),
            ("precision", Precision),
        ):
            known = get_args(choices)
            self._check(name, getattr(self, name) in known, " or ".join(map(repr, known)))

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise ConfigError(
                f"training.{name}: expected {expected}, got {getattr(self, name)!r}. "
                "Correct the setting."
            )

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: Steps done before.
            steps_per_epoch: Steps of one pass over the images.
        """
        done, warm, total = (
            step + 1,
            self.warmup * steps_per_epoch,
            self.epochs * steps_per_epoch,
        )
        if done <= warm:
            return self.lr * done / warm
        if self.schedule == "constant":
            return self.lr
        return 0.5 * self.lr * (1.0 + math.cos(math.pi * (step - warm) / max(total - warm, 1.0)))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrainConfig":
        """Build from what ``to_dict`` wrote, or from a table of a configuration file.

        Raises:
            ConfigError: If a key is unknown or a value is out of range or of another kind.
        """
        known = {f.name: f.default for f in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - set(known)):
            raise ConfigError(
                f"training: unknown {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
            )
        for name, value in data.items():
            if not _fits(value, known[name]):
                raise ConfigError(
                    f"training.{name}: expected something like {known[name]!r}, got {value!r}. "
                    "Correct the setting."
                )
        return cls(**data)


def _fits(value: object, default: object) -> bool:
    """Whether a value is of the kind of a default; None stands for a number or None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if default is None:
        return value is None or number
    if isinstance(default, float):
        return number
    return type(value) is type(default)
