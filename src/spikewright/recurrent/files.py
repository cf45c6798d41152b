# SPDX-License-Identifier: Apache-2.0
"""One safetensors file for a recurrent network: the cell's own file, and what is around it."""

import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.files import parse_json, read_bytes, write
from spikewright.graph.batch import sizes
from spikewright.network import SpikingNetwork
from spikewright.network import files as network_files
from spikewright.recurrent.network import RecurrentSNN

__all__ = ["FORMAT", "VERSION", "load", "save"]

FORMAT = "spikewright.recurrent"
VERSION = 1
MOST_BYTES = 1 << 32
_TENSORS = ("embedding", "head_weight", "head_bias")


def save(snn: RecurrentSNN, path: str | os.PathLike[str]) -> None:
    """Write a recurrent network to one file, as :func:`spikewright.network.save` writes others."""
    tensors = {n: getattr(snn, n).detach().cpu().contiguous() for n in _TENSORS}
    cell = network_files.to_bytes(snn.network)
    tensors["network"] = torch.frombuffer(bytearray(cell), dtype=torch.uint8)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "pool": snn.pool,
        "levels": str(snn.levels),
        "cap": repr(snn.cap),
    }
    metadata["digest"] = network_files.digest(tensors, repr(sorted(metadata.items())))
    write(Path(path), safetensors.torch.save(tensors, metadata))


def load(path: str | os.PathLike[str]) -> RecurrentSNN:
    """Read a network that :func:`save` wrote.

    Raises:
        FileFormatError: If the file is missing, damaged or something else, or what it describes is
            no recurrent network.
    """
    path = Path(path)
    content = read_bytes(path, "a recurrent network", MOST_BYTES)
    try:
        length = int.from_bytes(content[:8], "little")
        header = parse_json(content[8 : 8 + length].decode()) if length < len(content) else {}
        metadata = dict(header.get("__metadata__") or {})
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, AttributeError) as error:
        raise FileFormatError(
            f"{path}: expected a safetensors file, got a damaged or truncated one ({error}). "
            "Save it again."
        ) from error
    stored = metadata.pop("digest", None)
    if (metadata.get("format"), metadata.get("version")) != (FORMAT, str(VERSION)):
        raise FileFormatError(
            f"{path}: expected {FORMAT}, version {VERSION}, got {metadata.get('format')}, version "
            f"{metadata.get('version')}. Write it with spikewright.recurrent.save."
        )
    if stored != network_files.digest(tensors, repr(sorted(metadata.items()))):
        raise FileFormatError(
            f"{path}: its content does not match its digest; it is damaged. Save it again."
        )
    try:
        return _build(tensors, metadata)
    except (KeyError, ValueError, RuntimeError, FileFormatError) as error:
        raise FileFormatError(f"{path}: it is no recurrent network ({error}).") from error


def _build(tensors: dict[str, Tensor], metadata: dict[str, str]) -> RecurrentSNN:
    """Put the parts together and check that they fit.

    Raises:
        ValueError: If they do not.
        KeyError: If one is missing.
        FileFormatError: If the cell is no network.
    """
    cell = network_files.from_bytes(tensors["network"].numpy().tobytes(), SpikingNetwork)
    embedding, weight, bias = (tensors[name] for name in _TENSORS)
    if embedding.ndim != 2 or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ValueError("its vectors or its head have other shapes than such tensors have")
    read = [sizes(cell.graph[name].shape or ()) for name in cell.graph.inputs]
    given = [sizes(cell.graph[name].shape or ()) for name in cell.graph.outputs]
    inputs, states = embedding.shape[1] + weight.shape[1], weight.shape[1]
    if read != [(1, inputs)] or given != [(1, states)]:
        raise ValueError(f"its cell maps {read} to {given}, which its states do not fit")
    if {t.dtype for t in (embedding, weight, bias)} != {cell.dtype}:
        raise ValueError("its parts are of different floating types")
    cap, levels, pool = float(metadata["cap"]), int(metadata["levels"]), metadata["pool"]
    if pool not in ("mean", "last") or levels < 1 or not 0 < cap < float("inf"):
        raise ValueError(f"pool {pool}, levels {levels}, cap {cap:g}")
    return RecurrentSNN(
        network=cell,
        embedding=embedding,
        head_weight=weight,
        head_bias=bias,
        pool="mean" if pool == "mean" else "last",
        cap=cap,
        levels=levels,
    )
