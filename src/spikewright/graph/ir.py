# SPDX-License-Identifier: Apache-2.0
"""The flat operator graph that every pass, simulator and file works on.

One node is one operator call; arguments are plain data, references to other nodes (:class:`Ref`)
or to named tensors (:class:`Param`), so that a graph can be read, changed and written to a file
without executing anything.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError, ShapeError

__all__ = ["Arg", "Graph", "Node", "Param", "Ref", "map_arg"]

Arg = Any  # Ref | Param | int | float | bool | str | None | torch.dtype | tuple[Arg, ...]
"""What an operator argument can be; tuples nest."""


@dataclass(frozen=True)
class Ref:
    """The value of another node."""

    name: str


@dataclass(frozen=True)
class Param:
    """A tensor of the graph's own (`Graph.params`)."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator call.

    Attributes:
        name: Unique name; the module path comes first, e.g. ``"layer1.0/relu"``.
        op: Operator, e.g. ``"aten.conv2d.default"``, ``"operator.getitem"``, ``"sw.rectify"``.
        args: Positional arguments.
        kwargs: Keyword arguments.
        pick: Which element of a tuple result is this node's value; None for all of it.
        module: Path of the module that made the call; ``""`` is the model itself.
        source: ``file:line`` of the call.
        shape: Shape of the value, None where it depends on the batch; None if not a tensor.
    """

    name: str
    op: str
    args: tuple[Arg, ...] = ()
    kwargs: Mapping[str, Arg] = field(default_factory=dict)
    pick: int | None = None
    module: str = ""
    source: str = ""
    shape: tuple[int | None, ...] | None = None

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes whose values this one reads, in argument order, repeated if so."""
        found: list[str] = []
        map_arg((self.args, tuple(self.kwargs.values())), lambda r: found.append(r.name), Ref)
        return tuple(found)

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Names of the tensors that this node reads."""
        found: list[str] = []
        map_arg((self.args, tuple(self.kwargs.values())), lambda p: found.append(p.name), Param)
        return tuple(found)

    def with_args(self, fn: Callable[[Any], Arg], kind: type = Ref) -> "Node":
        """Return a copy in which ``fn`` has been applied to every argument of type ``kind``."""
        return dataclasses.replace(
            self,
            args=map_arg(self.args, fn, kind),
            kwargs={k: map_arg(v, fn, kind) for k, v in self.kwargs.items()},
        )

    def where(self) -> str:
        """Say where the node comes from, for messages: module path, then source line."""
        place = self.module or "the model itself"
        return f"{place} ({self.source})" if self.source else place


def map_arg(arg: Arg, fn: Callable[[Any], Arg], kind: type) -> Arg:
    """Apply ``fn`` to every leaf of type ``kind`` in a nested argument; others stay."""
    if isinstance(arg, kind):
        return fn(arg)
    if isinstance(arg, tuple):
        return tuple(map_arg(a, fn, kind) for a in arg)
    return arg


@dataclass
class Graph:
    """Nodes in execution order, and the tensors that they read.

    Attributes:
        nodes: Name to node; the order is an execution order.
        params: Name to tensor.
        input: Name of the one input node.
        outputs: Names of the nodes that are returned.
        input_shape: Shape of the input, None for the batch.
    """

    nodes: dict[str, Node]
    params: dict[str, Tensor]
    input: str
    outputs: tuple[str, ...]
    input_shape: tuple[int | None, ...]

    def __iter__(self) -> Iterator[Node]:
        """Iterate over the nodes in execution order."""
        return iter(tuple(self.nodes.values()))

    def __getitem__(self, name: str) -> Node:
        """Return the node called ``name``."""
        return self.nodes[name]

    def copy(self) -> "Graph":
        """Return a copy that shares tensors but whose nodes can be changed independently."""
        return dataclasses.replace(self, nodes=dict(self.nodes), params=dict(self.params))

    def users(self) -> dict[str, list[Node]]:
        """Return, for every node, the nodes that read it (each once)."""
        users: dict[str, list[Node]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for name in dict.fromkeys(node.inputs):
                users[name].append(node)
        return users

    def update(self, node: Node) -> None:
        """Put ``node`` in the place of the one with its name."""
        self.nodes[node.name] = node

    def fresh_name(self, wish: str) -> str:
        """Return ``wish`` or, if taken, ``wish`` with a number."""
        if wish not in self.nodes:
            return wish
        number = 1
        while f"{wish}_{number}" in self.nodes:
            number += 1
        return f"{wish}_{number}"

    def fresh_param(self, wish: str, value: Tensor) -> Param:
        """Store a tensor under ``wish`` or, if taken, ``wish`` with a number."""
        name, number = wish, 1
        while name in self.params:
            name, number = f"{wish}_{number}", number + 1
        self.params[name] = value
        return Param(name)

    def insert(self, nodes: Iterable[Node], *, after: str) -> None:
        """Insert nodes behind the node called ``after``."""
        order: dict[str, Node] = {}
        for name, node in self.nodes.items():
            order[name] = node
            if name == after:
                order.update((n.name, n) for n in nodes)
        self.nodes = order

    def redirect(self, old: str, new: str, *, only: Iterable[str] | None = None) -> None:
        """Make every reader of ``old`` (or those named) read ``new``; ``new`` itself excepted."""
        readers = self.nodes if only is None else only
        for name in tuple(readers):
            node = self.nodes[name]
            if name != new and old in node.inputs:
                self.nodes[name] = node.with_args(lambda r: Ref(new) if r.name == old else r)
        if only is None:
            self.outputs = tuple(new if o == old else o for o in self.outputs)

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """Return the named nodes and everything that they depend on."""
        seen: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(self.nodes[name].inputs)
        return seen

    def prune(self) -> None:
        """Drop nodes that no output needs and tensors that no node reads."""
        needed = self.ancestors((*self.outputs, self.input))
        self.nodes = {n: node for n, node in self.nodes.items() if n in needed}
        used = {p for node in self.nodes.values() for p in node.params}
        self.params = {p: t for p, t in self.params.items() if p in used}

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of its weights: float64 if any layer's is, else float32."""
        wide = any(
            n.op != "sw.window_sum" and self.params[p].dtype == torch.float64
            for n in self
            for p in n.params
        )
        return torch.float64 if wide else torch.float32

    def check_input(self, x: Tensor, where: str, advice: str) -> None:
        """Raise unless a batch has the shape that the graph was captured with.

        Args:
            x: Inputs.
            where: What they are, for the message.
            advice: What to do, for the message.

        Raises:
            ShapeError: If the shape differs behind the batch axis.
        """
        expected = self.input_shape
        if x.ndim != len(expected) or tuple(x.shape[1:]) != expected[1:]:
            names = ", ".join("batch" if s is None else str(s) for s in expected)
            raise ShapeError(f"{where}: expected shape ({names}), got {tuple(x.shape)}. {advice}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the tensors as JSON-able data."""
        return {
            "input": self.input,
            "outputs": list(self.outputs),
            "input_shape": list(self.input_shape),
            "nodes": [
                {
                    "name": n.name,
                    "op": n.op,
                    "args": _encode(n.args),
                    "kwargs": {k: _encode(v) for k, v in n.kwargs.items()},
                    "pick": n.pick,
                    "module": n.module,
                    "source": n.source,
                    "shape": None if n.shape is None else list(n.shape),
                }
                for n in self
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], params: dict[str, Tensor]) -> "Graph":
        """Rebuild a graph.

        Args:
            data: What :meth:`to_dict` wrote, also after it has been JSON.
            params: Tensors by name.

        Raises:
            FileFormatError: On a field that is missing, unknown or of another kind, a name that is
                there twice, or a reference to what is not there before.
        """
        _fields(data, ("input", "outputs", "input_shape", "nodes"), "graph")
        nodes: dict[str, Node] = {}
        for entry in _is(data["nodes"], list, "graph: nodes"):
            node = _decode_node(entry)
            if node.name in nodes:
                raise FileFormatError(f"graph: two nodes are called {node.name!r}. Save it again.")
            nodes[node.name] = node
        outputs = [_is(o, str, "graph: outputs") for o in _is(data["outputs"], list, "outputs")]
        shape = _decode_shape(data["input_shape"], "graph: input_shape")
        graph = cls(
            nodes, params, _is(data["input"], str, "graph: input"), tuple(outputs), shape or ()
        )
        _check_order(graph)
        return graph


def _decode_node(entry: Any) -> Node:  # noqa: ANN401 - JSON value
    keys = ("name", "op", "args", "kwargs", "pick", "module", "source", "shape")
    _fields(entry, keys, "graph node")
    where = f"graph node {str(entry['name'])[:80]!r}"
    pick = entry["pick"]
    if pick is not None and (type(pick) is not int or not 0 <= pick < 1 << 20):
        raise FileFormatError(f"{where}: expected a place as pick, got {str(pick)[:40]!r}.")
    return Node(
        name=_is(entry["name"], str, f"{where}: name"),
        op=_is(entry["op"], str, f"{where}: op"),
        args=_decode(_is(entry["args"], list, f"{where}: args")),
        kwargs={k: _decode(v) for k, v in _is(entry["kwargs"], dict, f"{where}: kwargs").items()},
        pick=pick,
        module=_is(entry["module"], str, f"{where}: module"),
        source=_is(entry["source"], str, f"{where}: source"),
        shape=_decode_shape(entry["shape"], f"{where}: shape"),
    )


def _decode_shape(data: Any, where: str) -> tuple[int | None, ...] | None:  # noqa: ANN401
    if data is None:
        return None
    sizes = _is(data, list, where)
    if len(sizes) > 64 or any(
        s is not None and (type(s) is not int or not 0 <= s < 1 << 40) for s in sizes
    ):
        raise FileFormatError(f"{where}: expected sizes, got {str(data)[:80]}. Save it again.")
    return tuple(sizes)


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


def _check_order(graph: Graph) -> None:
    seen: set[str] = set()
    for node in graph:
        missing = [i for i in node.inputs if i not in seen]
        absent = [p for p in node.params if p not in graph.params]
        if missing or absent:
            raise FileFormatError(
                f"graph node {node.name!r}: refers to {missing + absent}, not in the file."
            )
        seen.add(node.name)
    lost = [n for n in (graph.input, *graph.outputs) if n not in seen]
    if lost:
        raise FileFormatError(f"graph: input or outputs {lost} are not among its nodes.")
    if not graph.outputs or len(set(graph.outputs)) < len(graph.outputs):
        raise FileFormatError("graph: expected outputs that differ, got none or one twice.")


def _encode(arg: Arg) -> Any:  # noqa: ANN401 - JSON value
    if isinstance(arg, Ref):
        return {"ref": arg.name}
    if isinstance(arg, Param):
        return {"param": arg.name}
    if isinstance(arg, torch.dtype):
        return {"dtype": str(arg).removeprefix("torch.")}
    if isinstance(arg, tuple):
        return [_encode(a) for a in arg]
    if isinstance(arg, float) and not math.isfinite(arg):
        return {"float": str(arg)}
    return arg


def _decode(data: Any) -> Arg:  # noqa: ANN401 - JSON value
    if isinstance(data, list):
        return tuple(_decode(d) for d in data)
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        ((kind, value),) = data.items()
        if kind in _LEAVES and isinstance(value, str):
            return _LEAVES[kind](value)
    raise FileFormatError(f"graph: argument of unknown kind {str(data)[:40]}. Save it again.")


def _decode_float(text: str) -> float:
    if text not in ("inf", "-inf"):
        raise FileFormatError(f"graph: expected inf or -inf, got {text[:40]!r}. Save it again.")
    return float(text)


def _decode_dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise FileFormatError(f"graph: expected a type of numbers, got {name[:40]!r}.")
    return found


_LEAVES: Mapping[str, Callable[[str], Arg]] = {
    "ref": Ref,
    "param": Param,
    "float": _decode_float,
    "dtype": _decode_dtype,
}
