# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of training: one safetensors file each, whole or not there at all.

Weights have their plain names, so that any reader of safetensors finds them. What else is needed to
go on as if nothing had happened has the prefixes ``ema:`` and ``optimizer:KEY:``; everything that
is no tensor is JSON in the file's metadata under ``run``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from spikewright import files
from spikewright.errors import FileFormatError
from spikewright.models import apply_state
from spikewright.training.network import TrainableNetwork
from spikewright.training.prepare import ActivationSettings, build

__all__ = ["BEST", "LAST", "Checkpoint", "load_trained", "read", "read_run", "write"]

LAST, BEST = "last.safetensors", "best.safetensors"
FORMAT = "spikewright.training/1"
_EMA, _OPTIMIZER = "ema:", "optimizer:"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that a training run is at one moment.

    Attributes:
        run: What is no tensor, JSON-able: settings, digest of the network, epoch, step, history.
        model: The network's state.
        ema: Its moving average, if there is one.
        optimizer: What the optimizer keeps: key to parameter name to tensor.
    """

    run: Mapping[str, Any]
    model: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an older one at that place stays until the new one is whole.

    Raises:
        FileFormatError: If it cannot be written.
    """
    tensors = dict(checkpoint.model)
    tensors |= {f"{_EMA}{n}": t for n, t in checkpoint.ema.items()}
    for key, values in checkpoint.optimizer.items():
        tensors |= {f"{_OPTIMIZER}{key}:{n}": t for n, t in values.items()}
    alone = {
        n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in tensors.items()
    }
    metadata = {"format": FORMAT, "run": json.dumps(checkpoint.run)}
    files.write(path, save(alone, metadata))


def read_run(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says of its run, without its tensors.

    Raises:
        FileFormatError: If the file is missing, damaged, or no checkpoint.
    """
    return _opened(path, tensors=False)[0]


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FileFormatError: If the file is missing, damaged, or no checkpoint.
    """
    run, tensors = _opened(path, tensors=True)
    model: dict[str, Tensor] = {}
    ema: dict[str, Tensor] = {}
    optimizer: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_EMA):
            ema[name.removeprefix(_EMA)] = tensor
        elif name.startswith(_OPTIMIZER):
            key, _, parameter = name.removeprefix(_OPTIMIZER).partition(":")
            optimizer.setdefault(key, {})[parameter] = tensor
        else:
            model[name] = tensor
    return Checkpoint(run=run, model=model, ema=ema, optimizer=optimizer)


def load_trained(path: str | Path, model: nn.Module) -> TrainableNetwork:
    """Put what was trained into its network: the original model with the sites of the run.

    Args:
        path: A checkpoint, ``best.safetensors`` or ``last.safetensors`` of a training folder. If
            the run kept a moving average, that is what is taken.
        model: The original model; its weights do not matter, it is not changed.

    Returns:
        A new network in evaluation mode, ready for :func:`spikewright.convert`.

    Raises:
        FileFormatError: If the file is missing, damaged, or of another network.
        UnsupportedModuleError: If the model cannot be taken.
    """
    path = Path(path)
    checkpoint = read(path)
    try:
        settings = ActivationSettings.from_dict(checkpoint.run["activation"])
        shape = [2, *(int(size) for size in checkpoint.run["input_shape"][1:])]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    network = build(model, torch.zeros(shape), settings)
    apply_state(network, checkpoint.ema or checkpoint.model, path.name)
    if network.digest() != checkpoint.run.get("digest"):
        raise FileFormatError(
            f"{path.name}: expected a checkpoint of this network, got one of another whose "
            "tensors happen to fit. Name the model that was trained."
        )
    return network.eval()


def _opened(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a checkpoint, got no file. Check the path.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            found = {n: file.get_tensor(n) for n in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from error
    if metadata.get("format") != FORMAT:
        raise FileFormatError(
            f"{path}: expected a checkpoint of {FORMAT}, got {metadata.get('format')!r}. "
            "Plain weights are given as weights=, not here."
        )
    try:
        run = json.loads(metadata["run"])
    except (KeyError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    return run, found


def _damaged(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: expected a whole checkpoint, got one that cannot be read ({reason}). "
        "Take the other one of the folder, or start again."
    )
