# SPDX-License-Identifier: Apache-2.0
"""What ``spikewright train`` does once its options are read."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from spikewright import training
from spikewright.cli.items import (
    Items,
    batches,
    classes_of,
    describe,
    sample_shape,
    spread,
)
from spikewright.cli.machine import MachineOptions
from spikewright.cli.options import (
    CALIBRATION_SAMPLES,
    CalibrationOptions,
    DataOptions,
    ModelOptions,
)
from spikewright.cli.sources import RANDOM, open_data, open_model, require_runs
from spikewright.cli.terminal import Terminal, command
from spikewright.cli.trained import PREFIX, name_of, origin
from spikewright.cli.training import (
    RecipeOptions,
    TargetOptions,
    TrainingImages,
    first_process,
    tuned,
)
from spikewright.cli.training_task import TrainingTask, model_for, objective_for
from spikewright.errors import ConfigError
from spikewright.training import TrainConfig, TrainingResult
from spikewright.training.checkpoint import LAST
from spikewright.training.result import EpochRecord
from spikewright.training.settings import Activation

__all__ = ["run"]

_METHODS = {"relu": "spikeconverter"}  # the others convert by the method of their own name


def run(
    data: str | None,
    validation: str | None,
    activation: Activation | None,
    levels: int | None,
    *,
    task: TrainingTask,
    relays: bool,
    per_channel: bool,
    folder: Path,
    anew: bool,
    model: ModelOptions,
    calibration: CalibrationOptions,
    target: TargetOptions,
    recipe: RecipeOptions,
    images: TrainingImages,
    machine: MachineOptions,
    terminal: Terminal,
) -> int:
    """Train, print the outcome, and return the exit code; cheap checks come first.

    Raises:
        ConfigError: If an option is missing or out of range; see also
            :func:`spikewright.training.train`.
    """
    config = TrainConfig.from_dict(tuned(recipe, images.batch_size))
    if data is None:
        raise ConfigError("--data: expected labelled inputs to train on, got none. Name a set.")
    place = machine.place
    items = _labelled(data, "--data", images, model.shape)
    shape = sample_shape(items)
    model = dataclasses.replace(model, model=model_for(model.model, task, target, items))
    network = open_model(model, Terminal(quiet=True), place=place)
    returned = require_runs(network, shape, f"--data {data}")
    checked = None
    if validation is not None:
        checked = _labelled(validation, "--validation", images, shape)
    tested = None if checked is None else batches(checked, images, place)
    some = calibration.calibration
    chosen = None if some is None else _calibration(calibration, images, shape, place)
    if not first_process():
        terminal = Terminal(quiet=True)
    result = training.train(
        network,
        items,
        activation=activation,
        levels=levels,
        relays=relays,
        per_channel=per_channel,
        objective=objective_for(task, network, returned, target, shape, tested, classes_of(items)),
        calibration=chosen,
        config=config,
        folder=folder,
        validation=checked,
        resume=not anew,
        progress=terminal.progress,
        on_epoch=lambda record: terminal.tell(_line(record, config, task)),
        note={"model": _origin(model), "data": describe(items)},
    )
    if first_process():
        report = {**_report(result, items, checked), "machine": machine.describe()}
        terminal.result(
            _text(result, items, folder, name_of(folder / LAST, _origin(model)), machine), report
        )
    return 130 if result.interrupted else 0


def _labelled(spec: str, flag: str, images: DataOptions, shape: tuple[int, ...] | None) -> Items:
    if spec == RANDOM:
        raise ConfigError(f"{flag}: expected labelled inputs, got random noise. Name a data set.")
    return open_data(spec, flag, images, shape=shape)


def _calibration(
    options: CalibrationOptions, images: DataOptions, shape: tuple[int, ...], place: torch.device
) -> list[torch.Tensor]:
    count = options.calibration_samples
    items = spread(
        open_data(str(options.calibration), "--calibration", images, shape=shape),
        CALIBRATION_SAMPLES if count is None else count,
        "--calibration-samples",
    )
    return [batch[0] for batch in batches(items, images, place)]


def _origin(model: ModelOptions) -> str:
    """Return the model that a chain of trainings began with."""
    spec = str(model.model)
    return origin(spec) if spec.startswith(PREFIX) else spec


def _line(record: EpochRecord, config: TrainConfig, task: TrainingTask) -> str:
    what = "AP50 " if task == "detection" else ""
    checked = "" if record.validation is None else f", validation {what}{record.validation:.2f} %"
    return (
        f"epoch {record.epoch}/{config.epochs}: loss {record.loss:.4f}, training "
        f"{record.accuracy:.2f} %{checked}, {record.seconds:.1f} s"
    )


def _text(
    result: TrainingResult, items: Items, folder: Path, model: str, machine: MachineOptions
) -> str:
    settings, cost, source = result.model.settings, result.cost, describe(items)
    method = _METHODS.get(settings["activation"], settings["activation"])
    left = result.config.epochs - cost.epochs
    ended = f", interrupted with {left} epochs to go: the same command goes on" if left else ""
    levels = () if method in ("spikeconverter", "threshold-relu") else ("--T", settings["levels"])
    following = command(
        *("convert", "--model", model, "--method", method, *levels, "--calibration", "SPEC")
    )
    return (
        f"{result.table()}\n\n"
        f"trained: {settings['activation']}, levels {settings['levels']}, on "
        f"{source['samples']:,} inputs of {source['name']}{ended}\n"
        f"cost:    {cost.epochs} epochs, {cost.steps:,} steps, {cost.images:,} images seen, "
        f"{cost.seconds:.1f} s on {machine}\n"
        f"written: {folder / LAST}\n"
        f"next:    {following}"
    )


def _report(result: TrainingResult, items: Items, checked: Items | None) -> dict[str, Any]:
    return {
        **result.to_dict(),
        "data": describe(items),
        "validation": None if checked is None else describe(checked),
    }
