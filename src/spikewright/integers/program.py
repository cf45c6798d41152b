# SPDX-License-Identifier: Apache-2.0
"""The integer program: a network as a flat list of operations on whole numbers.

Everything that leaves this package is made from it. ``docs/exports.md`` says what each operation
does and what each field means; nothing here runs a network.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["FORMAT", "VERSION", "IntegerProgram", "Kind", "Operation", "bits_of", "smallest"]

FORMAT = "spikewright.integers"
VERSION = 1

Kind = Literal[
    "input", "encode", "conv", "linear", "scale", "add", "bias", "sum", "gather", "concat",
    "reshape", "max", "hold", "product", "fire", "readout",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation; its value has one name, no batch, and one array a step.

    Attributes:
        name: Unique; populations, gates and read-outs have the name that the network gives them.
        kind: What it does, see ``docs/exports.md``.
        inputs: Names of the values that it reads.
        shape: Shape of its value for one sample.
        low: Least that its value, summed up over a train, or any partial sum of it can be.
        high: The largest.
        depth: Populations on the longest way to it.
        settings: Numbers that say how, by name.
        tensors: Role, e.g. ``"weight"``, to the tensor's name in :attr:`IntegerProgram.tensors`.
        place: Where in the original model it comes from.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    low: int
    high: int
    depth: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)
    place: str = ""

    @property
    def size(self) -> int:
        """Elements of its value."""
        return math.prod(self.shape)

    @property
    def is_train(self) -> bool:
        """Whether its value is spikes of a population, or of a gate behind one."""
        return self.kind in ("encode", "fire", "max")

    @property
    def signed(self) -> bool:
        """Whether its value can be negative."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """Bits of a register for its total, sign included; of a population, for its potential."""
        low, high = self.settings.get("potential", (self.low, self.high))
        return bits_of(low, high)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "shape": list(self.shape),
            "low": self.low,
            "high": self.high,
            "bits": self.bits,
            "depth": self.depth,
            **self.settings,
            "tensors": dict(self.tensors),
            "place": self.place,
        }


@dataclass(frozen=True, kw_only=True)
class IntegerProgram:
    """A layered network in integers, in execution order.

    Attributes:
        steps: T, the symbols of every train.
        operations: What is done, every one behind those it reads.
        tensors: Name to tensor: int64, or float64 for what turns floats into integers and back.
        delays: Population or gate to the ticks for which its train is held for shortcuts.
        ticks: From the first input tick to the decision.
        tail: Operators of the original network behind the read-outs, which are not part of this.
        provenance: History of the network.
    """

    steps: int
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    delays: Mapping[str, int] = field(default_factory=dict)
    ticks: int = 0
    tail: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Operation:
        """Return the operation called ``name``."""
        return self._by_name[name]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {o.name: o for o in self.operations})

    _by_name: Mapping[str, Operation] = field(init=False, repr=False, compare=False)

    def of_kind(self, *kinds: Kind) -> tuple[Operation, ...]:
        """Return the operations of some kinds, in order."""
        return tuple(o for o in self.operations if o.kind in kinds)

    def tensor(self, operation: Operation, role: str) -> Tensor | None:
        """Return a tensor of an operation, None if it has none of this role."""
        name = operation.tensors.get(role)
        return None if name is None else self.tensors[name]

    def readers(self) -> dict[str, list[Operation]]:
        """Return, for every value, the operations that read it, in order."""
        found: dict[str, list[Operation]] = {o.name: [] for o in self.operations}
        for operation in self.operations:
            for name in dict.fromkeys(operation.inputs):
                found[name].append(operation)
        return found

    def memory(self) -> dict[str, int]:
        """Return what it takes to hold it.

        Returns:
            ``parameter_bytes``: all tensors in the least of 1, 2, 4 or 8 bytes an element;
            ``train_bits``: all trains; ``live_train_bits``: the trains that are alive at once, at
            most; ``register_bits``: the potentials of the largest population; ``held_bits``: what
            all products hold.
        """
        ends = self.ends()
        trains = [o for o in self.operations if o.is_train]
        alive = [
            sum(
                o.size * self.steps * (1 + o.signed)
                for start, o in enumerate(self.operations)
                if o.is_train and start <= now <= ends[o.name]
            )
            for now in range(len(self.operations))
        ]
        return {
            "parameter_bytes": sum(t.numel() * smallest(t).itemsize for t in self.tensors.values()),
            "train_bits": sum(o.size * self.steps * (1 + o.signed) for o in trains),
            "live_train_bits": max(alive, default=0),
            "register_bits": max((o.size * o.bits for o in self.of_kind("fire")), default=0),
            "held_bits": sum(o.size * o.bits for o in self.of_kind("hold")),
        }

    def ends(self) -> dict[str, int]:
        """Return, for every value, the index of the last operation that needs it to be kept.

        That is a population, gate, register or read-out: what lies between is only added up there.
        """
        index = {o.name: i for i, o in enumerate(self.operations)}
        readers, found = self.readers(), dict[str, int]()
        for operation in reversed(self.operations):
            found[operation.name] = max(
                (
                    index[r.name] if r.is_train or r.kind in ("hold", "readout") else found[r.name]
                    for r in readers[operation.name]
                ),
                default=index[operation.name],
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors' numbers as JSON-able data."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "steps": self.steps,
            "ticks": self.ticks,
            "operations": [o.to_dict() for o in self.operations],
            "tensors": {
                n: {"shape": list(t.shape), "type": str(smallest(t)).removeprefix("torch.")}
                for n, t in self.tensors.items()
            },
            "delays": dict(self.delays),
            "memory": self.memory(),
            "tail": list(self.tail),
            "provenance": dict(self.provenance),
        }


def bits_of(low: int, high: int) -> int:
    """Return the bits of a number from ``low`` to ``high``, its sign included if there is one.

    Example:
        >>> bits_of(0, 255), bits_of(-128, 127), bits_of(-1, 0), bits_of(0, 0)
        (8, 8, 1, 1)
    """
    if low >= 0:
        return max(1, high.bit_length())
    return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1


def smallest(tensor: Tensor) -> torch.dtype:
    """Return the smallest signed type that holds a tensor of integers; floats stay as they are."""
    if tensor.is_floating_point():
        return tensor.dtype
    most = max(int(tensor.max()), -int(tensor.min()) - 1) if tensor.numel() else 0
    for kind, bits in ((torch.int8, 7), (torch.int16, 15), (torch.int32, 31)):
        if most < 1 << bits:
            return kind
    return torch.int64
