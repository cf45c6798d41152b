# SPDX-License-Identifier: Apache-2.0
"""The whole network in Verilog: memories, one machine a layer or one for all, and a bench."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.errors import ConfigError, UnsupportedModuleError, unknown_name
from spikewright.exports.c.plan import kept_values
from spikewright.exports.verilog.bench import bench_text, synthesis_text
from spikewright.exports.verilog.layer import Layer, channels_of, layer_of, needs_copy, zeros_around
from spikewright.exports.verilog.machine import Machine
from spikewright.exports.verilog.text import engine_text, machine_text
from spikewright.exports.verilog.top import layer_text, layers_top, shared_top
from spikewright.exports.verilog.words import Memory, blocks_of, signed_bits
from spikewright.integers.errors import NoForm
from spikewright.integers.program import IntegerProgram, Operation, bits_of

__all__ = ["ENGINES", "LANES", "VerilogSource", "verilog_source"]

LANES = 32
ENGINES = ("layer", "shared")
_HEAD = "// Written by Spikewright: a layered spiking network in integers, {}."


@dataclass(frozen=True)
class VerilogSource:
    """A network in Verilog.

    Attributes:
        files: Name to text: ``network.v``, ``bench.v``, ``synth.ys``, a ``.hex`` for every table.
        facts: Lanes, engine, and the memories in the order in which the bench writes them.
    """

    files: dict[str, str]
    facts: dict[str, Any]


def verilog_source(
    program: IntegerProgram, lanes: int = LANES, engine: str = "layer"
) -> VerilogSource:
    """Write a program as synthesizable Verilog.

    Args:
        program: The program.
        lanes: Channels that are computed at once, at most.
        engine: ``"layer"`` (every layer has a machine and a memory as wide as it needs) or
            ``"shared"`` (one machine computes all layers in turn, as a table tells it).

    Raises:
        ConfigError: If there are no lanes.
        UnknownNameError: If there is no such engine.
        UnsupportedModuleError: If something cannot be said; all of it is listed.
    """
    if lanes < 1:
        raise ConfigError(f"lanes: expected at least 1, got {lanes}.")
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    values, held = _kept(program)
    memories = _memories(program, values, lanes, shared=engine == "shared")
    layers = _layers(program, values, held)
    if engine == "shared":
        memories = _alike(memories, layers)
        files = _one_machine(program, memories, layers)
    else:
        files = _machine_each(program, memories, layers)
    files["bench.v"] = bench_text(list(memories.values()), shared=engine == "shared")
    tops = [f"layer{memories[layer.operation.name].number}" for layer in layers]
    files["synth.ys"] = synthesis_text(["network"] if engine == "shared" else tops)
    told = [m.facts() for m in memories.values()]
    return VerilogSource(files, {"lanes": lanes, "engine": engine, "memories": told})


def _kept(program: IntegerProgram) -> tuple[list[Operation], dict[str, str]]:
    """Return the values that have a memory, and for every value the one whose memory holds it."""
    kept = kept_values(program)
    held: dict[str, str] = {}
    values = []
    for o in program.operations:
        reshaped = o.kind == "reshape"
        copied = reshaped and needs_copy(program, o, program[held[o.inputs[0]]])
        if (reshaped and not copied) or zeros_around(program, o) is not None:
            held[o.name] = held[o.inputs[0]]
        elif o.name in kept or copied:
            values.append(o)
            held[o.name] = o.name
    return values, held


def _layers(
    program: IntegerProgram, values: Sequence[Operation], held: Mapping[str, str]
) -> list[Layer]:
    found, refused = [], []
    for o in values:
        try:
            if o.kind not in ("input", "encode"):
                found.append(layer_of(program, o, held))
        except NoForm as error:
            refused.append(str(error))
    if refused:
        raise UnsupportedModuleError(
            "export to verilog: expected what its machines can do, got "
            f"{'; '.join(refused)}. See docs/exports.md."
        )
    return found


def _memories(
    program: IntegerProgram, values: Sequence[Operation], lanes: int, *, shared: bool
) -> dict[str, Memory]:
    """Lay out the memories; shared, all but read-outs lie one behind the other."""
    widest = min(lanes, max(channels_of(o)[0] for o in values))
    top, ends, found = (1 << program.steps) - 1, {True: 0, False: 0}, {}
    for number, o in enumerate(values):
        channels, places = channels_of(o)
        own = widest if shared else blocks_of(channels, lanes)[1]
        low, high = (o.low // top, o.high // top) if o.kind == "input" else (o.low, o.high)
        sums = o.kind == "readout"
        bits = signed_bits(low, high) if sums else bits_of(0, max(high, -low))
        memory = Memory(o, number, channels, places, own, bits, not sums and low < 0)
        found[o.name] = dataclasses.replace(memory, base=ends[sums] if shared else 0)
        ends[sums] += memory.rows
    return found


def _machine_each(
    program: IntegerProgram, memories: Mapping[str, Memory], layers: Sequence[Layer]
) -> dict[str, str]:
    """Write a network in which every layer has a machine of its own."""
    files: dict[str, str] = {}
    modules, machines = [], []
    for layer in layers:
        memory = memories[layer.operation.name]
        machine = Machine(program, memories, memory.lanes)
        machine.add(layer)
        machine.close()
        read = [memories[s] for s in machine.sources]
        o, name = layer.operation, f"machine{memory.number}"
        text, tables = machine_text(machine, name, read, memory)
        at_once = f"{memory.lanes} of {memory.channels} channels at once"
        modules += [f"// {o.name}: {o.kind}, {at_once}\n{text}", layer_text(machine, memory)]
        files.update(tables)
        machines.append((machine, memory))
    top = layers_top(list(memories.values()), machines)
    head = _HEAD.format("one machine a layer")
    return {"network.v": "\n".join([head, engine_text(), *modules, top]), **files}


def _alike(memories: Mapping[str, Memory], layers: Sequence[Layer]) -> dict[str, Memory]:
    """Give all words the size of the largest one, and read-outs that of sums."""
    held = [m for m in memories.values() if m.operation.kind != "readout"]
    most, signed = max(m.magnitude for m in held), any(m.signed for m in held)
    sums = max(most + 2, *(layer.bits for layer in layers))
    return {
        name: dataclasses.replace(m, magnitude=most, signed=signed)
        if m.operation.kind != "readout"
        else dataclasses.replace(m, magnitude=sums)
        for name, m in memories.items()
    }


def _one_machine(
    program: IntegerProgram, memories: Mapping[str, Memory], layers: Sequence[Layer]
) -> dict[str, str]:
    """Write a network in which one machine computes all layers."""
    words = next(m for m in memories.values() if m.operation.kind != "readout")
    machine = Machine(program, memories, words.lanes)
    for layer in layers:
        machine.add(layer)
    machine.close()
    text, files = machine_text(machine, "layers", [words], words)
    top = shared_top(list(memories.values()), machine)
    head = _HEAD.format("one machine for all layers")
    return {"network.v": "\n".join([head, engine_text(), text, top]), **files}
