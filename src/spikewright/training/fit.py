# SPDX-License-Identifier: Apache-2.0
"""Train a network, so that an interrupted run goes on as if it had never stopped."""

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright.calibration import ScaleRule
from spikewright.errors import ConfigError, ShapeError, UnsupportedModuleError
from spikewright.progress import Interrupts, working
from spikewright.training import processes
from spikewright.training.config import TrainConfig
from spikewright.training.images import Source
from spikewright.training.network import TrainableNetwork
from spikewright.training.objectives import Classification, Objective
from spikewright.training.prepare import conversion_ready
from spikewright.training.result import EpochRecord, TrainingResult
from spikewright.training.run import Run
from spikewright.training.settings import Activation
from spikewright.training.store import Store

__all__ = ["train"]

SAVE_SECONDS = 120.0


def train(
    model: nn.Module,
    dataset: Dataset[Any],
    *,
    activation: Activation | None = None,
    levels: int | None = None,
    calibration: Iterable[Any] | Tensor | None = None,
    scale: ScaleRule | None = None,
    relays: bool = True,
    per_channel: bool = False,
    config: TrainConfig | None = None,
    objective: Objective | None = None,
    folder: str | Path | None = None,
    validation: Dataset[Any] | None = None,
    resume: bool = True,
    save_seconds: float = SAVE_SECONDS,
    progress: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    note: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a copy of a model with activations that spikes can carry.

    Args:
        model: Any model that converts, trained or not, or what :func:`conversion_ready` or an
            earlier training returned. It is not changed.
        dataset: Items are (tensor, class), or what the objective says. Stored images (`ImageSet`)
            are kept decoded and changed on the fly; they are the only ones that can be augmented
            in every way.
        activation: See :func:`conversion_ready`; ``"casc"`` by default.
        levels: See :func:`conversion_ready`; 8 by default.
        calibration: See :func:`conversion_ready`; for a model that is trained already.
        scale: See :func:`conversion_ready`.
        relays: See :func:`conversion_ready`.
        per_channel: See :func:`conversion_ready`.
        config: How it is trained.
        objective: What for: `Classification` (default), `Detection` or `Imitation`.
        folder: Where checkpoints are kept: ``last.safetensors`` and, with validation images,
            ``best.safetensors``. Made if missing. Without it nothing is kept.
        validation: Images on which the objective's figure, the accuracy, is measured after every
            epoch, not augmented.
        resume: Go on from ``last.safetensors`` if there is one; False starts anew and replaces it.
        save_seconds: Seconds between two checkpoints within an epoch.
        progress: Whether to show a progress bar.
        on_epoch: Called after every epoch, in the first process only.
        note: Kept in the checkpoints as it is, e.g. what the model was made from; JSON-able.

    Under ``torchrun`` all processes train one network together: every batch is divided among them,
    batch norms and the gradient are those of the whole batch, and the first process writes.

    Returns:
        The trained network, its history and its cost. Ctrl-C ends the run after the step at hand,
        with a checkpoint of it, and returns what there is.

    Raises:
        ConfigError: If a setting is out of range, a folder holds another run, or the loss is no
            number any more.
        UnsupportedModuleError: If the model cannot be taken, or none of it can be trained.
        CalibrationError: If the calibration data do not fit.
        ShapeError: If an input has another shape than the network takes, or outputs are not what
            the objective takes.
        FileFormatError: If a checkpoint cannot be read or written.

    Example:
        >>> from torch.nn import Linear, ReLU, Sequential
        >>> from torch.utils.data import TensorDataset
        >>> x = torch.randn(64, 4)
        >>> data = TensorDataset(x, (x.sum(1) > 0).long())
        >>> model = Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
        >>> result = train(model, data, levels=4, config=TrainConfig(epochs=2, batch_size=16))
        >>> result.cost.images, len(result.history)
        (128, 2)
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: expected a torch.nn.Module, got {type(model).__name__}.")
    config = TrainConfig() if config is None else config
    objective = Classification() if objective is None else objective
    items = objective.source(dataset, "dataset")
    checked = None if validation is None else objective.source(validation, "validation")
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    with processes.joined(place):
        with working("preparing the network", show=progress and processes.rank() == 0):
            network = _network(
                model, items, activation, levels, calibration, scale, relays, per_channel
            )
        for where, some in (("dataset", items), ("validation", checked)):
            _check_shape(network, some, where)
        run = Run(network, items, config, note, objective)
        store = None if folder is None else Store(Path(folder), save_seconds)
        if store is not None and resume:
            earlier = store.resumed(run.facts())
            if earlier is not None:
                run.restore(earlier)
        with Interrupts() as interrupts:
            while not run.finished:
                record = run.epoch(checked, store, interrupts, show=progress)
                if record is None:
                    break
                if on_epoch is not None and processes.rank() == 0:
                    on_epoch(record)
    return TrainingResult(
        model=run.trained(),
        history=tuple(run.history),
        cost=run.cost,
        config=config,
        interrupted=not run.finished,
        folder=None if folder is None else Path(folder),
    )


def _network(
    model: nn.Module,
    items: Source,
    activation: Activation | None,
    levels: int | None,
    calibration: Iterable[Any] | Tensor | None,
    scale: ScaleRule | None,
    relays: bool,
    per_channel: bool,
) -> TrainableNetwork:
    """Copy or build the network that will be trained."""
    if isinstance(model, TrainableNetwork):
        settings: dict[str, object] = {"activation": activation, "levels": levels}
        settings |= {"calibration": calibration, "scale": scale, "per_channel": per_channel or None}
        if given := [n for n, v in settings.items() if v is not None]:
            raise ConfigError(
                f"train: expected no {', '.join(given)} for a network that has its activations "
                "already, got some. Leave them out."
            )
        network = copy.deepcopy(model)
    else:
        like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
        example = torch.zeros(2, *items.shape, dtype=like.dtype, device=like.device)
        network = conversion_ready(
            model,
            example,
            activation or "casc",
            8 if levels is None else levels,
            calibration=calibration,
            scale=scale,
            relays=relays,
            per_channel=per_channel,
        )
    if not any(p.requires_grad for p in network.parameters()):
        raise UnsupportedModuleError(
            "model: expected parameters that ask for gradients, got none. "
            "Call model.requires_grad_(True)."
        )
    return network


def _check_shape(network: TrainableNetwork, items: Source | None, where: str) -> None:
    if items is not None and tuple(items.shape) != tuple(network.input_shape[1:]):
        raise ShapeError(
            f"{where}: expected inputs of shape {tuple(network.input_shape[1:])}, got "
            f"{items.shape}. Use the preprocessing that the model takes."
        )
