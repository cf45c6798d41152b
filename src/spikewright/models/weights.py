# SPDX-License-Identifier: Apache-2.0
"""Reads weights from files and puts them into modules, with every misfit in one error.

Nothing pickled is executed: state dicts go through torch's unpickler for weights alone.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spikewright.errors import FileFormatError

__all__ = ["apply_state", "load_state"]

_SHOWN = 8  # names of each kind that an error lists
_PLAIN = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a ``.safetensors`` file or a saved state dict.

    A checkpoint that holds its weights under ``"state_dict"`` is opened there, and the prefix
    ``module.`` that ``DataParallel`` puts before every name is taken off.

    Args:
        path: The file.

    Returns:
        Name to tensor, as stored.

    Raises:
        FileFormatError: If the file is missing, damaged, not a state dict, holds anything but
            tensors and plain values, or holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a weights file, got no file. Check the path.")
    state = _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    size = path.stat().st_size
    odd = [name for name, tensor in state.items() if not _is_plain(tensor, size)]
    if odd:
        raise FileFormatError(
            f"{path.name}: expected tensors of real numbers that are in the file, got others in "
            f"{_listed(odd)}. Save model.state_dict(), best as safetensors."
        )
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise FileFormatError(
            f"{path.name}: expected finite weights, got NaN or infinity in {_listed(broken)}. "
            "Save the model again from a sound checkpoint."
        )
    return state


def apply_state(model: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Copy weights into a module, converted to the types of its own parameters.

    ``num_batches_tracked`` counters may be missing, because inference does not use them.

    Args:
        model: Changed in place.
        state: Name to tensor.
        where: What the weights are, for the error.

    Raises:
        FileFormatError: If names are missing or unexpected, or shapes or kinds differ. All are
            listed.
    """
    own = model.state_dict()
    optional = {name for name in own if name.endswith("num_batches_tracked")}
    shared = [name for name in own if name in state]
    problems = {
        "missing": [name for name in own if name not in state and name not in optional],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [
            f"{name} ({_shape(state[name])}, expected {_shape(own[name])})"
            for name in shared
            if state[name].shape != own[name].shape
        ],
        "of another kind": [
            f"{name} ({state[name].dtype}, expected {own[name].dtype})"
            for name in shared
            if state[name].is_floating_point() != own[name].is_floating_point()
        ],
    }
    found = [f"{kind}: {_listed(names)}" for kind, names in problems.items() if names]
    if found:
        raise FileFormatError(
            f"{where}: expected the {len(own)} tensors of {type(model).__name__}, got some "
            f"{'; '.join(found)}. Give the weights of this very architecture."
        )
    model.load_state_dict(dict(state), strict=False)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FileFormatError(
            f"{path.name}: expected a safetensors file, got one that cannot be read ({error}). "
            "It may be truncated: copy or save it again."
        ) from error


def _is_plain(tensor: Tensor, size: int) -> bool:
    """Tell whether a tensor holds numbers of its own, not more than its file of ``size`` bytes.

    A saved tensor may repeat one element without end, be sparse, or be on no device at all.
    """
    return (
        tensor.dtype in _PLAIN
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and tensor.numel() * tensor.element_size() <= size
    )


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise ValueError("torch writes no compressed files")
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in as many ways as there are bytes
        reason = str(error).strip().partition("\n")[0]
        raise FileFormatError(
            f"{path.name}: expected a state dict of plain tensors, got a file that does not load "
            f"as one ({reason}). Nothing in it was executed. "
            "Save model.state_dict(), best as safetensors."
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        values = loaded.values() if isinstance(loaded, dict) else [loaded]
        kinds = ", ".join(sorted({type(value).__name__ for value in values}))
        raise FileFormatError(
            f"{path.name}: expected a state dict of tensors, got {kinds}. Save model.state_dict()."
        )
    return {str(name): tensor for name, tensor in loaded.items()}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
