# SPDX-License-Identifier: Apache-2.0
"""What is kept in memory, from when to when, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikewright.integers.program import IntegerProgram, Operation

__all__ = ["Buffer", "Layer", "Plan", "c_type", "kept_values", "plan"]

_ELEMENTWISE = ("scale", "bias", "add", "fire", "readout")
_FROM_OUTSIDE = ("input", "encode")


@dataclass(frozen=True)
class Buffer:
    """Where a value lies.

    Attributes:
        base: C expression of the array.
        type: C type of an element.
        start: First element in that array.
        factor: By what an element has to be multiplied to be the value.
    """

    base: str
    type: str
    start: int = 0
    factor: int = 1

    def at(self, index: str) -> str:
        """Return an element as a C expression, without the factor."""
        return f"{self.base}[{self.start} + {index}]" if self.start else f"{self.base}[{index}]"


@dataclass(frozen=True)
class Layer:
    """One loop over the elements of a value that is kept; what it needs is computed on the way.

    Attributes:
        operation: What is kept.
        wide: Whether its sums need 64 bits.
    """

    operation: Operation
    wide: bool


@dataclass(frozen=True)
class Plan:
    """The whole network.

    Attributes:
        layers: What is computed, in order.
        buffers: Where every value lies that is kept, or that is another one read differently.
        arenas: C type to the elements of the one array of that type.
        inputs: Operations that stand for inputs.
        outputs: The read-outs.
    """

    layers: tuple[Layer, ...]
    buffers: Mapping[str, Buffer]
    arenas: Mapping[str, int]
    inputs: tuple[Operation, ...]
    outputs: tuple[Operation, ...]


def plan(program: IntegerProgram) -> Plan:
    """Decide what is kept. Potentials never are: a neuron fires as soon as its sum is there."""
    kept = kept_values(program)
    needs = {o.name: _needs(program, o, kept) for o in program.operations if o.name in kept}
    layers = [o for o in program.operations if o.name in kept and o.kind not in _FROM_OUTSIDE]
    position = {o.name: i for i, o in enumerate(layers)}
    last: dict[str, int] = {}
    for operation in layers:
        for name in _kept_sources(program, needs[operation.name], kept):
            last[name] = position[operation.name]
    inputs, outputs = program.of_kind("input", "encode"), program.of_kind("readout")
    top = (1 << program.steps) - 1
    buffers: dict[str, Buffer] = {}
    for i, operation in enumerate(inputs):
        factor = top if operation.kind == "input" else 1
        kind = c_type(operation.low // factor, operation.high // factor)
        buffers[operation.name] = Buffer(f"input_{i}", kind, 0, factor)
    for i, operation in enumerate(outputs):
        buffers[operation.name] = Buffer(f"output_{i}", c_type(operation.low, operation.high, 32))
    arenas: dict[str, int] = {}
    placed: list[tuple[str, int, int, int, int]] = []  # type, start, stop, born, dead
    for operation in layers:
        if operation.kind == "readout":
            continue
        kind, born = c_type(operation.low, operation.high), position[operation.name]
        dead = last.get(operation.name, born)
        start = _gap(
            [(a, b) for k, a, b, x, y in placed if k == kind and x <= dead and born <= y],
            operation.size,
        )
        placed.append((kind, start, start + operation.size, born, dead))
        arenas[kind] = max(arenas.get(kind, 0), start + operation.size)
        buffers[operation.name] = Buffer(f"arena_{kind.removesuffix('_t')}", kind, start)
    for operation in program.operations:  # a reshaped value is the same elements
        if operation.kind == "reshape":
            buffers[operation.name] = buffers[operation.inputs[0]]
    return Plan(
        tuple(Layer(o, _wide(needs[o.name])) for o in layers), buffers, arenas, inputs, outputs
    )


def c_type(low: int, high: int, least: int = 8) -> str:
    """Return the smallest C type for a range; arithmetic on it is always signed.

    Example:
        >>> c_type(0, 255), c_type(-1, 127), c_type(0, 256), c_type(0, 1 << 16)
        ('uint8_t', 'int8_t', 'uint16_t', 'int32_t')
    """
    for bits in (8, 16, 32, 64):
        for sign, first, top in (
            ("u", 0, (1 << bits) - 1),
            ("", -1 << (bits - 1), (1 << (bits - 1)) - 1),
        ):
            if first <= low and high <= top and bits >= least and (not sign or bits < 32):
                return f"{sign}int{bits}_t"
    raise OverflowError(f"{low} to {high} do not fit into 64 bits")


def kept_values(program: IntegerProgram) -> set[str]:
    """Return what has to lie in memory: trains, and what is read at other places or twice."""
    kept = {o.name for o in program.operations if o.is_train or o.kind in ("input", "readout")}
    readers = program.readers()
    for operation in reversed(program.operations):
        asked = readers[operation.name]
        if operation.kind == "reshape":
            kept.add(program[operation.inputs[0]].name)
        elif len(asked) > 1 or any(r.kind not in _ELEMENTWISE for r in asked):
            kept.add(operation.name)
    return {n for n in kept if program[n].kind != "reshape"}


def _needs(program: IntegerProgram, operation: Operation, kept: set[str]) -> list[Operation]:
    """Return the operation and those that are computed on the way to it."""
    found = [operation]
    for name in operation.inputs:
        if name not in kept and program[name].kind != "reshape":
            found.extend(_needs(program, program[name], kept))
    return found


def _kept_sources(
    program: IntegerProgram, operations: Sequence[Operation], kept: set[str]
) -> set[str]:
    found = set()
    for operation in operations:
        for name in operation.inputs:
            while program[name].kind == "reshape":
                name = program[name].inputs[0]
            found |= {name} & kept
    return found


def _gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """Return where the first gap of a size begins."""
    start = 0
    for low, high in sorted(taken):
        if low - start >= size:
            break
        start = max(start, high)
    return start


def _wide(operations: Sequence[Operation]) -> bool:
    ends: list[int] = [
        e for o in operations for e in (o.low, o.high, *o.settings.get("register", ()))
    ]
    return max(max(ends), -min(ends)) >= 1 << 31
