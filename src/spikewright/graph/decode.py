# SPDX-License-Identifier: Apache-2.0
"""A graph back from the JSON that :meth:`Graph.to_dict` wrote, every field of its kind.

What the fields mean together is checked by :mod:`spikewright.graph.validate`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.graph.batch import Merged, Shape, decode_shape
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.structure import Structure

__all__ = ["decode_graph"]

_GRAPH = ("inputs", "outputs", "arguments", "results", "names", "notes", "nodes")
_NODE = ("name", "op", "args", "kwargs", "pick", "module", "source", "shape")
_MOST_AXES = 32
_MOST_SIZE = 1 << 40


def decode_graph(data: Any, params: dict[str, Tensor]) -> Graph:  # noqa: ANN401 - JSON value
    """Rebuild a graph.

    Args:
        data: What :meth:`Graph.to_dict` wrote, also after it has been JSON.
        params: Tensors by name.

    Raises:
        FileFormatError: On a field that is missing, unknown or of another kind, a name that is
            there twice, or a reference to what is not there before.
    """
    _fields(data, _GRAPH, "graph")
    nodes: dict[str, Node] = {}
    for entry in _is(data["nodes"], list, "graph: nodes"):
        node = _node(entry)
        if node.name in nodes:
            raise FileFormatError(f"graph: two nodes are called {node.name!r}. Save it again.")
        nodes[node.name] = node
    texts = {key: tuple(_texts(data, key)) for key in ("inputs", "outputs", "names", "notes")}
    arguments, results = (_structure(data[key], key) for key in ("arguments", "results"))
    graph = Graph(
        nodes,
        params,
        texts["inputs"],
        texts["outputs"],
        arguments,
        results,
        texts["names"],
        texts["notes"],
    )
    _check_order(graph)
    return graph


def _node(entry: Any) -> Node:  # noqa: ANN401 - JSON value
    _fields(entry, _NODE, "graph node")
    where = f"graph node {str(entry['name'])[:80]!r}"
    pick = entry["pick"]
    if pick is not None and (type(pick) is not int or not 0 <= pick < 1 << 20):
        raise FileFormatError(f"{where}: expected a place as pick, got {str(pick)[:40]!r}.")
    return Node(
        name=_is(entry["name"], str, f"{where}: name"),
        op=_is(entry["op"], str, f"{where}: op"),
        args=_argument(_is(entry["args"], list, f"{where}: args")),
        kwargs={k: _argument(v) for k, v in _is(entry["kwargs"], dict, f"{where}: kwargs").items()},
        pick=pick,
        module=_is(entry["module"], str, f"{where}: module"),
        source=_is(entry["source"], str, f"{where}: source"),
        shape=None if entry["shape"] is None else _shape(entry["shape"], where),
    )


def _shape(data: Any, where: str) -> Shape:  # noqa: ANN401 - JSON value
    shape = decode_shape(data)
    numbers = [
        n for s in shape for n in ((s.outer, s.inner) if isinstance(s, Merged) else (s or 0,))
    ]
    merged = [s for s in shape if isinstance(s, Merged)]
    batches = sum(s is None for s in shape) + len(merged)
    if (
        len(shape) > _MOST_AXES
        or max(numbers, default=0) > _MOST_SIZE
        or batches > 1
        or any(s.outer * s.inner < 1 for s in merged)
    ):
        raise FileFormatError(
            f"{where}: expected a shape with the batch on one axis or none, got {str(data)[:80]}. "
            "Save it again."
        )
    return shape


def _structure(data: Any, key: str) -> Structure:  # noqa: ANN401 - JSON value
    found = Structure.from_json(data)
    try:
        built = found.build(range(found.count))
    except (TypeError, ValueError) as error:  # names that no tuple can have
        raise FileFormatError(f"graph: {key} cannot be built ({error}). Save it again.") from error
    call = isinstance(built, tuple) and len(built) == 2 and isinstance(built[0], tuple)
    if key == "arguments" and not (
        call and isinstance(built[1], dict) and all(isinstance(k, str) for k in built[1])
    ):
        raise FileFormatError(f"graph: expected {key} of a call, got others. Save it again.")
    return found


def _check_order(graph: Graph) -> None:
    """Refuse references to what does not come before, and inputs or outputs that are not there."""
    seen: set[str] = set()
    for node in graph:
        missing = [i for i in node.inputs if i not in seen]
        absent = [p for p in node.params if p not in graph.params]
        if missing or absent:
            raise FileFormatError(
                f"graph node {node.name!r}: refers to {missing + absent}, not in the file."
            )
        seen.add(node.name)
    lost = [n for n in (*graph.inputs, *graph.outputs) if n not in seen]
    if lost:
        raise FileFormatError(f"graph: input or outputs {lost} are not among its nodes.")
    if len(set(graph.inputs)) < len(graph.inputs):
        raise FileFormatError("graph: expected different inputs, got one twice. Save it again.")
    for names, places in ((graph.inputs, graph.arguments), (graph.outputs, graph.results)):
        if not names or len(names) != places.count:  # a model may return one value twice
            raise FileFormatError(
                f"graph: expected {places.count} inputs or outputs, got "
                f"{', '.join(names)[:200] or 'none'}. Save it again."
            )


def _argument(data: Any) -> Arg:  # noqa: ANN401 - JSON value
    if isinstance(data, list):
        return tuple(_argument(d) for d in data)
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        ((kind, value),) = data.items()
        if kind in _LEAVES and isinstance(value, str):
            return _LEAVES[kind](value)
    raise FileFormatError(f"graph: argument of unknown kind {str(data)[:40]}. Save it again.")


def _float(text: str) -> float:
    if text not in ("inf", "-inf"):
        raise FileFormatError(f"graph: expected inf or -inf, got {text[:40]!r}. Save it again.")
    return float(text)


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise FileFormatError(f"graph: expected a type of numbers, got {name[:40]!r}.")
    return found


_LEAVES: Mapping[str, Callable[[str], Arg]] = {
    "ref": Ref,
    "param": Param,
    "float": _float,
    "dtype": _dtype,
}


def _texts(data: Mapping[str, Any], key: str) -> list[str]:
    return [_is(t, str, f"graph: {key}") for t in _is(data[key], list, f"graph: {key}")]


def _fields(data: Any, keys: tuple[str, ...], where: str) -> None:  # noqa: ANN401 - JSON value
    if not isinstance(data, Mapping) or set(data) != set(keys):
        got = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise FileFormatError(
            f"{where}: expected the fields {', '.join(keys)}, got {got[:200]}. Save it again."
        )


def _is(value: Any, kind: type, where: str) -> Any:  # noqa: ANN401 - JSON value
    if not isinstance(value, kind):
        raise FileFormatError(
            f"{where}: expected {kind.__name__}, got {str(value)[:40]!r}. Save it again."
        )
    return value
