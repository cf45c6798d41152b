# SPDX-License-Identifier: Apache-2.0
"""Networks that ``spikewright train`` wrote, named ``trained:FILE`` wherever a model is named.

The checkpoint says which model was trained. Where that is a name of this package or of
torchvision it is taken from there. A name of code is not: no file decides what is run. The user
repeats it then, ``trained:FILE.safetensors:MODEL``.
"""

from pathlib import Path

from torch import nn

from spikewright import models
from spikewright.errors import ConfigError, FileFormatError
from spikewright.training.checkpoint import load_trained, read_run

__all__ = ["PREFIX", "name_of", "open_trained", "origin", "training_of"]

PREFIX = "trained:"
_BETWEEN = ".safetensors:"


def name_of(path: Path, model: str) -> str:
    """Return how a checkpoint is named, so that it opens.

    Args:
        path: The checkpoint.
        model: The model that was trained.

    Example:
        >>> name_of(Path("run/best.safetensors"), "resnet20")
        'trained:run/best.safetensors'
        >>> name_of(Path("run/best.safetensors"), "nets.py:small")
        'trained:run/best.safetensors:nets.py:small'
    """
    return f"{PREFIX}{path}" if models.is_registered(model) else f"{PREFIX}{path}:{model}"


def origin(spec: str) -> str:
    """Return the model that was trained: the one in ``spec``, or else the checkpoint's.

    Args:
        spec: ``trained:FILE`` or ``trained:FILE.safetensors:MODEL``.

    Raises:
        FileFormatError: If the file is missing, damaged, does not say which model was trained, or
            names code.
    """
    path, given = _parts(spec)
    if given:
        return given
    found = read_run(path)["note"].get("model")
    if not found:
        raise FileFormatError(
            f"{path}: expected a checkpoint that says which model was trained, got one without. "
            f"It was made in Python: name the model, --model {PREFIX}{path}:MODEL."
        )
    if not models.is_registered(found):
        raise FileFormatError(
            f"{path}: expected the name of a model of this package or of torchvision, got "
            f"{found!r}, and a file does not decide what code is run. If you trust it, name it "
            f"yourself: --model {PREFIX}{path}:{found}."
        )
    return str(found)


def open_trained(spec: str, weights: Path | None) -> nn.Module:
    """Build the network of a training checkpoint, in evaluation mode.

    What took the place of the model's activations is what the checkpoint says. Where nothing did
    (``relu``), and of a directly trained network (``stbp``, which the method of that name
    converts), it is the original model with the trained weights.

    Args:
        spec: ``trained:FILE`` or ``trained:FILE.safetensors:MODEL``, with ``best.safetensors`` or
            ``last.safetensors`` of a training folder.
        weights: Must be None: the file holds them.

    Raises:
        ConfigError: If weights are given, too.
        FileFormatError: See :func:`origin`; or if the weights are not that model's.
        UnknownNameError: If that model is not found any more.
    """
    if weights is not None:
        raise ConfigError(
            f"--weights: expected none with --model {spec}, which holds its own, got {weights}. "
            "Leave it out."
        )
    path, _ = _parts(spec)
    model = models.resolve(origin(spec))
    network = load_trained(path, model)
    if network.settings["activation"] not in ("relu", "stbp"):
        return network
    model.load_state_dict(network.weights())
    return model


def training_of(spec: str) -> str:
    """Say what the training of a checkpoint took, e.g. ``"4 epochs, 3 min"``.

    Raises:
        FileFormatError: If the file is missing, damaged, or no checkpoint.
    """
    run = read_run(_parts(spec)[0])
    seconds = float(run["seconds"])
    time = f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
    return f"{run['epoch']} epochs, {time}"


def _parts(spec: str) -> tuple[Path, str]:
    """Return the file, and the model that the user names, if any."""
    file, between, model = spec.removeprefix(PREFIX).partition(_BETWEEN)
    return Path(file + between.removesuffix(":")), model
