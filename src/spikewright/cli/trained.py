# SPDX-License-Identifier: Apache-2.0
"""Networks that ``spikewright train`` wrote, named ``trained:FILE`` wherever a model is named."""

from pathlib import Path

from torch import nn

from spikewright import models
from spikewright.errors import ConfigError, FileFormatError
from spikewright.training.checkpoint import load_trained, read_run

__all__ = ["PREFIX", "open_trained", "training_of"]

PREFIX = "trained:"


def open_trained(spec: str, weights: Path | None) -> nn.Module:
    """Build the network of a training checkpoint, in evaluation mode.

    The checkpoint says which model was trained and what took the place of its activations. Of a
    directly trained network (``stbp``) it is the original model with the trained weights, which the
    method of that name converts.

    Args:
        spec: ``trained:FILE``, with ``best.safetensors`` or ``last.safetensors`` of a training
            folder.
        weights: Must be None: the file holds them.

    Raises:
        ConfigError: If weights are given, too.
        FileFormatError: If the file is missing, damaged, or does not say which model was trained.
        UnknownNameError: If that model is not found any more.
    """
    if weights is not None:
        raise ConfigError(
            f"--weights: expected none with --model {spec}, which holds its own, got {weights}. "
            "Leave it out."
        )
    path = Path(spec.removeprefix(PREFIX))
    run = read_run(path)
    original = run.get("note", {}).get("model")
    if not original:
        raise FileFormatError(
            f"{path}: expected a checkpoint that says which model was trained, got one without. "
            "It was made in Python: load it there with spikewright.training.load_trained()."
        )
    model = models.resolve(original)
    network = load_trained(path, model)
    if run["activation"]["activation"] != "stbp":
        return network
    model.load_state_dict(network.weights())
    return model


def training_of(spec: str) -> str:
    """Say what the training of a checkpoint took, e.g. ``"4 epochs, 3 min"``.

    Raises:
        FileFormatError: If the file is missing, damaged, or no checkpoint.
    """
    run = read_run(Path(spec.removeprefix(PREFIX)))
    seconds = float(run["seconds"])
    time = f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
    return f"{run['epoch']} epochs, {time}"
