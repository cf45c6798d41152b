# SPDX-License-Identifier: Apache-2.0
"""From the options that name a model and data to the model and the data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright import data as data_room
from spikewright import models
from spikewright.cli.items import CPU, Items, Pictures, sample_shape, spread
from spikewright.cli.options import (
    CALIBRATION_SAMPLES,
    CalibrationOptions,
    DataOptions,
    ModelOptions,
    given,
)
from spikewright.cli.terminal import Terminal
from spikewright.data import ArraySet, Preprocess
from spikewright.errors import CalibrationError, ConfigError, ShapeError

__all__ = [
    "RandomSet",
    "open_calibration",
    "open_data",
    "open_model",
    "require_runs",
]

RANDOM = "random"
_FIELDS = ("size", "crop", "mean", "std", "channels", "pixel_scale", "interpolation", "fit")
_CHANNELS = {"rgb": "RGB", "bgr": "BGR", "grey": "L"}


@dataclass(frozen=True, eq=False)
class RandomSet(Dataset[tuple[Tensor]]):
    """Standard normal noise without labels: item i is the same in every run.

    Args:
        shape: Of one item.
        count: Number of items.
    """

    shape: tuple[int, ...]
    count: int = 512
    name: str = RANDOM

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(f"random: expected an index in 0..{self.count - 1}, got {index}.")
        return (torch.randn(self.shape, generator=torch.Generator().manual_seed(index)),)


def open_model(
    options: ModelOptions,
    terminal: Terminal,
    weights: str = "--weights",
    *,
    place: torch.device = CPU,
) -> nn.Module:
    """Build the model that the options name.

    Args:
        options: Model and weights.
        terminal: Is told if the weights are random.
        weights: The option that gives them.
        place: Where its tensors will lie.

    Raises:
        ConfigError: If no model is named; see also :func:`spikewright.models.resolve`.
    """
    if options.model is None:
        raise ConfigError("--model: expected a model, got none. Name one, e.g. --model resnet20.")
    if options.model.startswith("trained:"):
        from spikewright.cli.trained import open_trained

        return open_trained(options.model, options.weights).to(place)
    model = models.resolve(options.model, options.weights)
    if models.is_registered(options.model) and options.weights is None:
        terminal.note(f"{options.model} has random weights; give trained ones with {weights} FILE.")
    return model.to(place)


def open_data(
    spec: str,
    flag: str,
    options: DataOptions,
    *,
    shape: tuple[int, ...] | None = None,
    shape_from: str = "--shape",
    recorded: Mapping[str, Any] | None = None,
) -> Items:
    """Open the data set that an option names.

    Args:
        spec: What the option holds.
        flag: The option, for messages.
        options: How images become inputs; what is given there wins.
        shape: Shape of one input, if it is known; the set's must be the same.
        shape_from: What says so, for the message.
        recorded: Preprocessing that a network was calibrated with; it wins over the set's own.

    Raises:
        ConfigError: If random data are asked for without a shape, or a setting does not fit.
        ShapeError: If the set's items have another shape.
        UnknownNameError: If there is no such set.
        FileFormatError: If files are missing or damaged.
    """
    if spec == RANDOM:
        if shape is None:
            raise ConfigError(f"{flag} random: expected the shape of an input. Give --shape C,H,W.")
        _refuse_preprocessing(options, f"{flag} random")
        return RandomSet(shape)
    items = data_room.resolve(spec, options.data_root)
    if isinstance(items, ArraySet):
        _refuse_preprocessing(options, f"{flag} {spec}")
    else:
        items = _with_preprocess(items, options, recorded)
    found = sample_shape(items)
    if shape is not None and found != shape:
        raise ShapeError(
            f"{flag} {spec}: expected inputs of shape {_text(shape)} (from {shape_from}), got "
            f"{_text(found)}. Resize them with --size or set --channels."
        )
    return items


def open_calibration(
    options: CalibrationOptions, images: DataOptions, shape: tuple[int, ...] | None
) -> Items:
    """Open the set of ``--calibration`` and take as much of it as is asked for.

    Args:
        options: Which set, and how much of it.
        images: How images become inputs.
        shape: Shape of one input, if it is known; see :func:`open_data`.

    Raises:
        CalibrationError: If no set is named.
        ConfigError: If fewer than one input is asked for; see also :func:`open_data`.
    """
    if options.calibration is None:
        raise CalibrationError(
            "--calibration: expected data to choose the scales on, got none. Name a few hundred "
            "training inputs, e.g. --calibration folder:PATH, or random for a first try."
        )
    items = open_data(options.calibration, "--calibration", images, shape=shape)
    count = options.calibration_samples
    return spread(items, CALIBRATION_SAMPLES if count is None else count, "--calibration-samples")


def require_runs(model: nn.Module, shape: tuple[int, ...], flag: str = "--shape") -> Any:  # noqa: ANN401 - whatever a model returns
    """Run a model on one input of zeros, because a wrong shape is no finding about the model.

    Args:
        model: A model in evaluation mode.
        shape: Of one input.
        flag: The option to blame.

    Returns:
        What it returns.

    Raises:
        ShapeError: If it does not take such an input.
    """
    place = next((tensor.device for tensor in model.parameters()), CPU)
    try:
        with torch.no_grad():
            return model(torch.zeros(2, *shape, device=place))
    except Exception as error:  # any model may fail in any way
        raise ShapeError(
            f"{flag}: expected a model and inputs that fit, got inputs of shape {_text(shape)} and "
            f"{type(error).__name__}: {error}. Correct the shape, or name another model."
        ) from error


def _with_preprocess(
    items: Pictures, options: DataOptions, recorded: Mapping[str, Any] | None
) -> Pictures:
    start = items.preprocess if recorded is None else Preprocess.from_dict(recorded)
    changes: dict[str, Any] = {
        name: getattr(options, name) for name in _FIELDS if getattr(options, name) is not None
    }
    if "channels" in changes:
        changes["channels"] = _CHANNELS[changes["channels"]]
    if "pixel_scale" in changes:
        changes["scale"] = changes.pop("pixel_scale")
    return dataclasses.replace(items, preprocess=dataclasses.replace(start, **changes))


def _refuse_preprocessing(options: DataOptions, where: str) -> None:
    if names := given(options, *_FIELDS):
        raise ConfigError(
            f"{where}: expected no {', '.join(names)}, because these data are inputs already. "
            "Leave it out."
        )


def _text(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))
