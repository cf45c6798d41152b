# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of training: one safetensors file each, whole or not there at all.

Weights have their plain names, so that any reader of safetensors finds them. What else is needed to
go on as if nothing had happened has the prefixes ``ema:`` and ``optimizer:KEY:``; everything that
is no tensor is JSON in the file's metadata under ``run``.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from spikewright import files
from spikewright.errors import FileFormatError, SpikewrightError
from spikewright.models import apply_state
from spikewright.training.network import TrainableNetwork
from spikewright.training.prepare import build
from spikewright.training.settings import ActivationSettings

__all__ = ["BEST", "LAST", "Checkpoint", "load_trained", "read", "read_run", "write"]

LAST, BEST = "last.safetensors", "best.safetensors"
FORMAT = "spikewright.training/1"
_EMA, _OPTIMIZER = "ema:", "optimizer:"
_MOST_INPUT = 1 << 26  # elements of one input
_MOST_LEVELS = 1 << 16
_STORED = frozenset({"F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"})
_COUNTS = ("images", "processes", "epoch", "step", "steps", "seen")
_RECORD = ("epoch", "loss", "accuracy", "validation", "lr", "seconds")


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

    def check_fits(
        self,
        model: Mapping[str, Tensor],
        ema: Mapping[str, Tensor],
        parameters: Mapping[str, Tensor],
    ) -> None:
        """Refuse a checkpoint whose tensors are not those of a run.

        Args:
            model: The run's network.
            ema: Its moving average, empty without one.
            parameters: What its optimizer moves.

        Raises:
            FileFormatError: If names, shapes or kinds differ.
        """
        kept = [(parameters.get(n), t) for v in self.optimizer.values() for n, t in v.items()]
        alien = any(own is None or t.shape not in (own.shape, ()) for own, t in kept)
        if alien or not _alike(model, self.model) or not _alike(ema, self.ema):
            raise FileFormatError(
                "checkpoint: expected the tensors of this run, got others. Name another folder, or "
                "start anew (resume=False, --anew) to replace it."
            )


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
    except SpikewrightError as error:
        raise _damaged(path, str(error)) from error
    shape = [2, *checkpoint.run["input_shape"][1:]]
    tensors = checkpoint.ema or checkpoint.model
    if any(t.is_floating_point() and not bool(t.isfinite().all()) for t in tensors.values()):
        raise _damaged(path, "weights are NaN or infinite")
    network = build(model, torch.zeros(shape), settings)
    apply_state(network, tensors, path.name)
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
            names = list(file.keys())
            odd = [n for n in names if str(file.get_slice(n).get_dtype()) not in _STORED]
            if odd:
                raise _damaged(path, f"{odd[0]} is no tensor of real numbers")
            found = {n: file.get_tensor(n) for n in names} if tensors else {}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    if metadata.get("format") != FORMAT:
        raise FileFormatError(
            f"{path}: expected a checkpoint of {FORMAT}, got {metadata.get('format')!r}. "
            "Plain weights are given as weights=, not here."
        )
    try:
        run = files.parse_json(metadata.get("run", ""))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    problem = _problem(run)
    if problem:
        raise _damaged(path, problem)
    return run, found


def _problem(run: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Say what is wrong with the facts of a run; empty if nothing is."""
    if not isinstance(run, dict):
        return "it says nothing of its run"
    kinds = {
        **dict.fromkeys(("config", "activation", "note"), dict),
        **dict.fromkeys(("input_shape", "sums", "history"), list),
        "digest": str,
    }
    wrong = [name for name, kind in kinds.items() if not isinstance(run.get(name), kind)]
    wrong += [name for name in _COUNTS if type(run.get(name)) is not int or run[name] < 0]
    wrong += [n for n in ("seconds", "epoch_seconds") if not _is_number(run.get(n)) or run[n] < 0]
    best: Any = run.get("best")
    wrong += ["best"] if type(best) not in (int, float) or math.isnan(best) else []
    if wrong:
        return f"{', '.join(wrong)} missing or of another kind"
    shape = run["input_shape"][1:]
    if any(type(s) is not int or s < 1 for s in shape) or math.prod(shape) > _MOST_INPUT:
        return "its inputs have no shape that can be"
    if len(run["sums"]) != 3 or not all(map(_is_number, run["sums"])):
        return "sums are not three numbers"
    if any(not _is_record(record) for record in run["history"]):
        return "its history is none"
    if not isinstance(run["note"].get("model", ""), str):
        return "its model is no name"
    settings = run["activation"]
    plain: dict[str, type] = {"activation": str, "levels": int, "relays": bool}
    if any(type(settings.get(k, kind())) is not kind for k, kind in plain.items()):
        return "a setting of its activations is of another kind"
    return "it has too many levels" if settings.get("levels", 1) > _MOST_LEVELS else ""


def _alike(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors have the names, shapes and kinds of others."""
    return own.keys() == stored.keys() and all(
        t.shape == stored[n].shape and t.is_floating_point() == stored[n].is_floating_point()
        for n, t in own.items()
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_record(record: object) -> bool:
    return (
        isinstance(record, dict)
        and set(record) == set(_RECORD)
        and all(_is_number(v) or (k == "validation" and v is None) for k, v in record.items())
    )


def _damaged(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: expected a whole checkpoint, got one that cannot be read ({reason}). "
        "Take the other one of the folder, or start again."
    )
