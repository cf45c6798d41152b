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

from spikewright.errors import ShapeError
from spikewright.graph.batch import Shape, encode_shape
from spikewright.graph.structure import Structure

__all__ = ["Arg", "Graph", "Inputs", "Node", "Param", "Ref", "as_inputs", "map_arg"]

Arg = Any  # Ref | Param | int | float | bool | str | None | torch.dtype | tuple[Arg, ...]
"""What an operator argument can be; tuples nest."""


Inputs = Tensor | tuple[Tensor, ...]
"""What a network is run on: its one input, or all of them in the order of ``Graph.inputs``."""


def as_inputs(x: Inputs) -> tuple[Tensor, ...]:
    """Return the inputs as a tuple."""
    return (x,) if isinstance(x, Tensor) else tuple(x)


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
        shape: Shape of the value, which says where the batch is (see
            :mod:`spikewright.graph.batch`); None if not a tensor.
    """

    name: str
    op: str
    args: tuple[Arg, ...] = ()
    kwargs: Mapping[str, Arg] = field(default_factory=dict)
    pick: int | None = None
    module: str = ""
    source: str = ""
    shape: Shape | None = None

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
        inputs: Names of the input nodes, whose shapes are those of the inputs.
        outputs: Names of the nodes that are returned.
        arguments: How a call's arguments hold the inputs: ``((positional, …), {keyword: …})``.
        results: How what is returned holds the outputs.
        names: Names of the positional arguments.
        notes: What was done to the model that a user should know, e.g. a change of precision.
        whole: Names of captured nodes whose values are whole numbers or truth values; arithmetic
            on them stays as it is, since some are indices. Not written to files.
        stands_for: After ``fold_units``, what a unit of a node's value stands for in the original
            network, broadcastable with the value; 1 where left out. Not written to files.
    """

    nodes: dict[str, Node]
    params: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arguments: Structure = field(default_factory=Structure.one_argument)
    results: Structure = field(default_factory=Structure.one)
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    whole: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    stands_for: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

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

    def has_one_reader(self, name: str) -> bool:
        """Tell whether one node reads a value and the network does not return it.

        Only such a value may be changed together with its reader.
        """
        return len(self.users()[name]) == 1 and name not in self.outputs

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

    def insert_behind(
        self,
        name: str,
        op: str,
        suffix: str,
        kwargs: Mapping[str, Arg] | None = None,
        *,
        place: str | None = None,
    ) -> str:
        """Insert an operator that reads one value and has its shape; return its name.

        Its name and place are those of the value, or of the node ``place``. Nobody reads it yet.
        """
        at = self.nodes[place or name]
        made = Node(
            name=self.fresh_name(f"{at.name}/{suffix}"),
            op=op,
            args=(Ref(name),),
            kwargs=kwargs or {},
            module=at.module,
            source=at.source,
            shape=self.nodes[name].shape,
        )
        self.insert([made], after=name)
        return made.name

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
        needed = self.ancestors((*self.outputs, *self.inputs))
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

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the inputs."""
        return tuple(self.nodes[name].shape or () for name in self.inputs)

    def check_input(self, x: Inputs, where: str, advice: str) -> None:
        """Raise unless a batch has the shape that the graph was captured with.

        Args:
            x: The input, or all of them in the order of ``inputs``.
            where: What they are, for the message.
            advice: What to do, for the message.

        Raises:
            ShapeError: If their number or a shape differs, apart from the batch's size.
        """
        values = as_inputs(x)
        if len(values) != len(self.inputs):
            raise ShapeError(
                f"{where}: expected {len(self.inputs)} input(s), got {len(values)}. {advice}"
            )
        batch = {int(v.shape[0]) for v in values if v.ndim}
        for name, value, expected in zip(self.inputs, values, self.input_shapes, strict=True):
            if value.ndim != len(expected) or tuple(value.shape[1:]) != expected[1:]:
                sizes = ", ".join("batch" if s is None else str(s) for s in expected)
                which = f" for {name!r}" if len(values) > 1 else ""
                raise ShapeError(
                    f"{where}: expected shape ({sizes}){which}, got {tuple(value.shape)}. {advice}"
                )
        if len(batch) > 1:
            raise ShapeError(
                f"{where}: expected as many samples in every input, got {sorted(batch)}. {advice}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors as JSON-able data; see :mod:`spikewright.graph.decode`."""
        return {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "arguments": self.arguments.to_json(),
            "results": self.results.to_json(),
            "names": list(self.names),
            "notes": list(self.notes),
            "nodes": [
                {
                    "name": n.name,
                    "op": n.op,
                    "args": _encode(n.args),
                    "kwargs": {k: _encode(v) for k, v in n.kwargs.items()},
                    "pick": n.pick,
                    "module": n.module,
                    "source": n.source,
                    "shape": None if n.shape is None else encode_shape(n.shape),
                }
                for n in self
            ],
        }


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
