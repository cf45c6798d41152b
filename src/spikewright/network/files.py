# SPDX-License-Identifier: Apache-2.0
"""One safetensors file per network: tensors, graph as JSON, history. Nothing in it is executed.

What is loaded is checked as a whole before it is run: see :mod:`spikewright.graph.validate` for the
graph, :mod:`spikewright.network.description` for everything around it.
"""

import hashlib
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spikewright.errors import FileFormatError, SpikewrightWarning
from spikewright.files import MOST_TEXT, parse_json, replacing
from spikewright.network.base import Network
from spikewright.network.description import SITE_TENSORS, build, check, describe

__all__ = ["FORMAT", "VERSION", "digest", "from_bytes", "read", "save", "to_bytes"]

N = TypeVar("N", bound=Network)

FORMAT = "spikewright.network"
VERSION = 5
_STORED = frozenset({"F32", "F64", "I64", "I32", "I16", "I8", "U8", "BOOL"})
"""Types of tensors, in safetensors' names."""


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to one file; an existing file is replaced only when the new one is whole.

    Args:
        network: The network.
        path: Where to write, by convention ``*.safetensors``.

    Raises:
        FileFormatError: If the folder does not exist or cannot be written.

    Warns:
        SpikewrightWarning: If :func:`load` would refuse the file, and why: the network holds an
            operator that no file may name.
    """
    path = Path(path)
    tensors = {f"param/{n}": t for n, t in network.graph.params.items()}
    for name, site in network.sites.items():
        tensors.update({f"site/{name}/{k}": getattr(site, k) for k in SITE_TENSORS})
    tensors = {n: t.detach().to("cpu", copy=True).contiguous() for n, t in tensors.items()}
    text = json.dumps(describe(network), sort_keys=True)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "network": text,
        "digest": digest(tensors, text),
    }
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    try:
        check(network)
    except FileFormatError as error:
        warnings.warn(
            f"{path}: written, but load() refuses it: {error}", SpikewrightWarning, stacklevel=2
        )


def read(path: str | os.PathLike[str], kind: type[N]) -> N:
    """Read a network that :func:`save` wrote.

    Args:
        path: The file.
        kind: The class of the network.

    Returns:
        A network that gives the same spikes.

    Raises:
        FileFormatError: If the file is missing, damaged, truncated, or something else, or what it
            describes is no spiking network that can be run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(
            f"{path}: expected a file written by save(), got nothing there. Check the path."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            _check_kind(path, metadata)
            names = list(file.keys())
            kinds = {name: str(file.get_slice(name).get_dtype()) for name in names}
            odd = [f"{name} of {kind}" for name, kind in kinds.items() if kind not in _STORED]
            if odd:
                raise FileFormatError(
                    f"{path}: expected tensors of float32, float64 or whole numbers, got "
                    f"{', '.join(odd[:8])}. Convert the model again."
                )
            tensors = {name: file.get_tensor(name) for name in names}
    except FileFormatError:
        raise
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise FileFormatError(
            f"{path}: expected a safetensors file, got a damaged or truncated one ({error}). "
            "Save it again."
        ) from error
    text = metadata.get("network", "")
    if metadata.get("digest") != digest(tensors, text):
        raise FileFormatError(
            f"{path}: its content does not match its digest; it is damaged. Save it again."
        )
    try:
        if len(text) > MOST_TEXT:
            raise ValueError(f"it has more than {MOST_TEXT:,} characters")
        data = parse_json(text, finite=True)
    except ValueError as error:
        raise FileFormatError(f"{path}: its description cannot be read ({error}).") from error
    try:
        return build(data, tensors, kind)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error


def _check_kind(path: Path, metadata: dict[str, str]) -> None:
    """Refuse other files and other versions."""
    if metadata.get("format") != FORMAT:
        raise FileFormatError(
            f"{path}: expected a Spikewright network, got a safetensors file of another kind. "
            "Trained weights are loaded into their model, which is then converted."
        )
    if metadata.get("version") != str(VERSION):
        raise FileFormatError(
            f"{path}: expected format version {VERSION}, got {metadata.get('version')}. "
            "Load it with the release that wrote it, or convert again."
        )


def digest(tensors: dict[str, Tensor], text: str) -> str:
    """Return SHA-256 of a text and of named tensors, whatever their order."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def to_bytes(network: Network) -> bytes:
    """Return what :func:`save` would write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        save(network, path)
        return path.read_bytes()


def from_bytes(data: bytes, kind: type[N]) -> N:
    """Read what :func:`to_bytes` returned.

    Raises:
        FileFormatError: If it is something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        path.write_bytes(data)
        return read(path, kind)
