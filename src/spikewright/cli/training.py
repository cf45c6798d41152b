# SPDX-License-Identifier: Apache-2.0
"""What ``spikewright train`` does, from its options to the lines that it prints."""

import dataclasses
import os
from typing import Any, Literal

from cyclopts import Group, Parameter

from spikewright.cli.option_values import Number, Whole, Wholes
from spikewright.cli.options import DataOptions

__all__ = [
    "RECIPE",
    "TARGET",
    "TRAINING_IMAGES",
    "RecipeOptions",
    "TargetOptions",
    "TrainingImages",
    "first_process",
    "tuned",
]

_RECIPE = Group("Training (the defaults of Python's TrainConfig where not given)", sort_key=3)
_TARGET = Group("Detectors, and imitation", sort_key=2)
_DATA = Group("How images become inputs (the data set's own way where not given)", sort_key=4)


@Parameter(name="*", group=_RECIPE)
@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How a network is trained; names and meanings are those of ``TrainConfig``."""

    epochs: Whole = None
    """Passes over the images. [default: 100]"""
    lr: Number = None
    """Highest learning rate; 0.01 to 0.02 for a trained network. [default: 0.1]"""
    optimizer: Literal["sgd", "adamw"] | None = None
    """Which optimizer. [default: sgd]"""
    momentum: Number = None
    """Momentum of SGD, in [0, 1). [default: 0.9]"""
    nesterov: bool | None = None
    """Let SGD look ahead."""
    weight_decay: Number = None
    """Pull of all parameters towards 0. [default: 0.0001]"""
    warmup: Number = None
    """Epochs in which the learning rate rises, fractions allowed. [default: 0]"""
    schedule: Literal["cosine", "constant"] | None = None
    """How the learning rate goes on. [default: cosine]"""
    label_smoothing: Number = None
    """Share of the target that is spread over all classes, in [0, 1). [default: 0.1]"""
    augment: Literal["none", "flip", "crop-flip", "autoaugment-cutout"] | None = None
    """How images are changed at random. [default: none]"""
    ema: Number = None
    """Keep a moving average of the weights with this decay, e.g. 0.999."""
    precision: Literal["float32", "bfloat16"] | None = None
    """What is multiplied in. [default: float32]"""
    accumulate: Whole = None
    """Batches that are added up to one step. [default: 1]"""
    seed: Whole = None
    """Decides on everything random. [default: 0]"""
    clip_grad: Number = None
    """Largest norm of the gradient."""


@Parameter(name="*", group=_DATA)
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingImages(DataOptions):
    """Where sets lie and how images become inputs."""

    batch_size: Whole = None
    """Images of a batch. [default: 128]"""


@Parameter(name="*", group=_TARGET)
@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """What belongs to one task or the other."""

    width: Number = None
    """Factor on the channels of casc-yolo-vgg16 and casc-yolo-resnet50. [default: 1]"""
    stride: Whole = None
    """Pixels for a cell of their map: 8, 16 or 32. [default: 32]"""
    sizes: Wholes = None
    """Sides of square inputs, one drawn for each batch: detectors and imitation at many scales."""


RECIPE = RecipeOptions()
TARGET = TargetOptions()
TRAINING_IMAGES = TrainingImages()


def tuned(recipe: RecipeOptions, batch_size: int | None) -> dict[str, Any]:
    """Return the settings that the user gave, by their names in ``TrainConfig``.

    Example:
        >>> tuned(RecipeOptions(epochs=3), None)
        {'epochs': 3}
    """
    given = {**dataclasses.asdict(recipe), "batch_size": batch_size}
    return {name: value for name, value in given.items() if value is not None}


def first_process() -> bool:
    """Whether this process is the one that reports, of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0
