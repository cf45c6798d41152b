# SPDX-License-Identifier: Apache-2.0
"""One safetensors file per network: tensors, graph as JSON, history. Nothing in it is executed."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spikewright.codes import CODES
from spikewright.errors import FileFormatError
from spikewright.graph import ops
from spikewright.graph.ir import Graph
from spikewright.graph.program import resolve_operator
from spikewright.network.spiking import ScheduleKind, Site, SpikingNetwork
from spikewright.neurons import neurons

__all__ = ["FORMAT", "VERSION", "load", "save"]

FORMAT = "spikewright.network"
VERSION = 3
_SITE_TENSORS = ("scale", "threshold", "pre_bias", "shift")
_SITE_SETTINGS = ("signed", "channel_axis", "gamma", "neuron", "leak", "seed")


def save(network: SpikingNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network to one file; an existing file is replaced only when the new one is whole.

    Args:
        network: The network.
        path: Where to write, by convention ``*.safetensors``.

    Raises:
        FileFormatError: If the folder does not exist or cannot be written.
    """
    path = Path(path)
    tensors = {f"param/{n}": t for n, t in network.graph.params.items()}
    for name, site in network.sites.items():
        tensors.update({f"site/{name}/{k}": getattr(site, k) for k in _SITE_TENSORS})
    tensors = {n: t.detach().to("cpu", copy=True).contiguous() for n, t in tensors.items()}
    description = {
        "graph": network.graph.to_dict(),
        "sites": [
            {"name": s.name, **{k: getattr(s, k) for k in _SITE_SETTINGS}}
            for s in network.sites.values()
        ],
        "code": network.code.to_dict(),
        "neuron": network.neuron,
        "gate": network.gate,
        "schedule": network.schedule_kind,
        "integer": network.integer,
        "provenance": network.provenance,
    }
    text = json.dumps(description, sort_keys=True)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "network": text,
        "digest": _digest(tensors, text),
    }
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        Path(temporary).chmod(0o666 & ~_umask())
    except OSError as error:
        raise FileFormatError(
            f"{path}: expected a folder that can be written, got {error.strerror}. Choose "
            "another path."
        ) from error
    try:
        save_file(tensors, temporary, metadata)
        Path(temporary).replace(path)
    except (OSError, SafetensorError) as error:
        raise FileFormatError(
            f"{path}: could not be written ({error}). Nothing was left behind."
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """Return the permissions that new files must not have; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> SpikingNetwork:
    """Read a network that :func:`save` wrote.

    Args:
        path: The file.

    Returns:
        A network that gives the same spikes.

    Raises:
        FileFormatError: If the file is missing, damaged, truncated, or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(
            f"{path}: expected a file written by save(), got nothing there. Check the path."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise FileFormatError(
            f"{path}: expected a safetensors file, got a damaged or truncated one ({error}). "
            "Save it again."
        ) from error
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
    if metadata.get("digest") != _digest(tensors, metadata.get("network", "")):
        raise FileFormatError(
            f"{path}: its content does not match its digest; it is damaged. Save it again."
        )
    try:
        return _build(json.loads(metadata["network"]), tensors)
    except (KeyError, TypeError, ValueError, LookupError) as error:
        raise FileFormatError(f"{path}: its description cannot be read ({error}).") from error


def _build(data: dict[str, Any], tensors: dict[str, Tensor]) -> SpikingNetwork:
    params = {n.removeprefix("param/"): t for n, t in tensors.items() if n.startswith("param/")}
    graph = Graph.from_dict(data["graph"], params)
    for node in graph:
        if node.op != ops.INPUT and node.op not in ops.SITE_OPS:
            resolve_operator(node.op)
    sites = {
        s["name"]: Site(
            name=s["name"],
            **{k: s[k] for k in _SITE_SETTINGS},
            scale=tensors[f"site/{s['name']}/scale"],
            threshold=tensors[f"site/{s['name']}/threshold"],
            pre_bias=tensors[f"site/{s['name']}/pre_bias"],
            shift=tensors[f"site/{s['name']}/shift"],
        )
        for s in data["sites"]
    }
    wanted = {n.name for n in graph if ops.kind(n) == "site"}
    if set(sites) != wanted:
        raise FileFormatError(
            f"sites: expected those of the graph, they differ in {sorted(wanted ^ set(sites))}."
        )
    if data["schedule"] not in get_args(ScheduleKind):
        raise FileFormatError(
            f"schedule: expected one of {', '.join(get_args(ScheduleKind))}, got "
            f"{data['schedule']!r}."
        )
    known = neurons()
    for name in {data["neuron"], data["gate"], *(s.neuron for s in sites.values() if s.neuron)}:
        if name not in known:
            raise FileFormatError(
                f"neuron: expected one of {', '.join(known)}, got {name!r}. "
                "Install the package that it comes from."
            )
    return SpikingNetwork(
        graph=graph,
        sites=sites,
        code=CODES[data["code"]["name"]].from_dict(data["code"]),
        neuron=data["neuron"],
        gate=data["gate"],
        schedule_kind=data["schedule"],
        integer=data["integer"],
        provenance=data["provenance"],
    )


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def to_bytes(network: SpikingNetwork) -> bytes:
    """Return what :func:`save` would write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        save(network, path)
        return path.read_bytes()


def from_bytes(data: bytes) -> SpikingNetwork:
    """Read what :func:`to_bytes` returned.

    Raises:
        FileFormatError: If it is something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        path.write_bytes(data)
        return load(path)
