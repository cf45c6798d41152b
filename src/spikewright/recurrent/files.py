# SPDX-License-Identifier: Apache-2.0
"""One file per recurrent network: its converted networks as own files, and what is around them."""

import json
import os
from collections.abc import Mapping
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
from spikewright.recurrent.cells import Layout
from spikewright.recurrent.network import RecurrentSNN
from spikewright.recurrent.passes import READINGS
from spikewright.recurrent.sequence import SequenceSNN

__all__ = ["FORMAT", "VERSION", "load", "save"]

FORMAT = "spikewright.recurrent"
VERSION = 1
MOST_BYTES = 1 << 32
MOST_CELLS = 1 << 10
_TENSORS = ("embedding", "head_weight", "head_bias")


def save(snn: RecurrentSNN | SequenceSNN, path: str | os.PathLike[str]) -> None:
    """Write a recurrent network to one file, as :func:`spikewright.network.save` writes others."""
    if isinstance(snn, SequenceSNN):
        tensors, facts = _of_sequence(snn)
    else:
        tensors = {n: getattr(snn, n).detach().cpu().contiguous() for n in _TENSORS}
        tensors["network"] = _packed(snn.network)
        facts = {"pool": snn.pool, "levels": str(snn.levels), "cap": repr(snn.cap)}
    metadata = {"format": FORMAT, "version": str(VERSION), **facts}
    metadata["digest"] = network_files.digest(tensors, repr(sorted(metadata.items())))
    write(Path(path), safetensors.torch.save(tensors, metadata))


def load(path: str | os.PathLike[str]) -> RecurrentSNN | SequenceSNN:
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
    build = _sequence if "layout" in metadata else _recurrent
    try:
        return build(tensors, metadata)
    except (KeyError, TypeError, ValueError, RuntimeError, FileFormatError) as error:
        raise FileFormatError(f"{path}: it is no recurrent network ({error}).") from error


def _packed(network: SpikingNetwork) -> Tensor:
    return torch.frombuffer(bytearray(network_files.to_bytes(network)), dtype=torch.uint8)


def _unpacked(content: Tensor) -> SpikingNetwork:
    return network_files.from_bytes(content.numpy().tobytes(), SpikingNetwork)


def _widths(network: SpikingNetwork) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the sizes of a network's inputs and outputs for one sample."""
    graph = network.graph
    read, given = (
        [tuple(sizes(graph[name].shape or ())) for name in names]
        for names in (graph.inputs, graph.outputs)
    )
    return read, given


def _recurrent(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> RecurrentSNN:
    """Put the parts of a ReLU recurrence together and check that they fit.

    Raises:
        ValueError: If they do not.
        KeyError: If one is missing.
        FileFormatError: If the cell is no network.
    """
    cell = _unpacked(tensors["network"])
    embedding, weight, bias = (tensors[name] for name in _TENSORS)
    if embedding.ndim != 2 or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ValueError("its vectors or its head have other shapes than such tensors have")
    read, given = _widths(cell)
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


def _of_sequence(snn: SequenceSNN) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors = {f"network/{name}": _packed(network) for name, network in snn.networks.items()}
    if snn.embedding is not None:
        tensors["embedding"] = snn.embedding.detach().cpu().contiguous()
    facts = {
        "layout": json.dumps(vars(snn.layout)),
        "reading": snn.reading,
        "provenance": json.dumps(snn.provenance),
    }
    return tensors, facts


def _sequence(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> SequenceSNN:
    """Put the parts of an LSTM, GRU or RNN classifier together and check that they fit.

    Raises:
        ValueError: If they do not.
        TypeError: If the layout is none.
        KeyError: If a part is missing.
        FileFormatError: If a cell is no network.
    """
    layout, reading = Layout(**parse_json(metadata["layout"])), metadata["reading"]
    numbers = (layout.layers, layout.hidden, layout.states)
    if any(type(n) is not int or n < 1 for n in numbers) or type(layout.bidirectional) is not bool:
        raise ValueError(f"its layout is {layout}")
    if layout.states > 2 or layout.cells > MOST_CELLS or reading not in READINGS:
        raise ValueError(f"its layout is {layout}, its head reads {reading!r}")
    names = [layout.title(i) for i in range(layout.cells)]
    cells = tuple(_unpacked(tensors[f"network/{name}"]) for name in names)
    head, embedding = _unpacked(tensors["network/head"]), tensors.get("embedding")
    if embedding is not None and embedding.ndim != 2:
        raise ValueError("its vectors have another shape than such a table has")
    states, features = [(1, layout.hidden)] * layout.states, layout.directions * layout.hidden
    inputs = _widths(cells[0])[0][0] if embedding is None else (1, embedding.shape[1])
    for index, cell in enumerate(cells):
        x = inputs if index < layout.directions else (1, features)
        read, given = _widths(cell)
        if read != [x, *states] or given != states:
            raise ValueError(f"cell {names[index]} maps {read} to {given}, which does not fit")
    if _widths(head)[0] != [(1, features)]:
        raise ValueError(f"its head reads {_widths(head)[0]}, which its states do not fit")
    kinds = {network.dtype for network in (*cells, head)}
    if kinds != {head.dtype if embedding is None else embedding.dtype}:
        raise ValueError("its parts are of different floating types")
    return SequenceSNN(
        cells=cells,
        head=head,
        layout=layout,
        reading=reading,
        embedding=embedding,
        provenance=dict(parse_json(metadata["provenance"])),
    )
