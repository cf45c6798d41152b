# SPDX-License-Identifier: Apache-2.0
"""The file: what it says of itself, tables, one loop a layer, and a program to try it with."""

import re
from dataclasses import dataclass
from typing import Any

from spikewright.exports.c.expressions import Writer
from spikewright.exports.c.plan import Plan, plan
from spikewright.integers.program import IntegerProgram

__all__ = ["CSource", "c_source"]


@dataclass(frozen=True)
class CSource:
    """A network in C.

    Attributes:
        text: The file.
        ram_bytes: Its static arrays that are written to.
        flash_bytes: Its constant tables; code is not counted.
        facts: Inputs, outputs, and what the traced program writes, in order.
    """

    text: str
    ram_bytes: int
    flash_bytes: int
    facts: dict[str, Any]


def c_source(program: IntegerProgram) -> CSource:
    """Write a program as one C99 file.

    Trains are words: bit T - t is the spike of step t, so that a word is the number that the train
    stands for (an ON/OFF pair: the difference). A layer takes in whole trains and fires neuron by
    neuron; no potential is kept.
    """
    found = plan(program)
    writer = Writer(program, found)
    bodies = []
    for number, layer in enumerate(found.layers):
        o = layer.operation
        trace = f"    TRACE({found.buffers[o.name].at('0')}, {o.size})" if o.is_train else ""
        lines = [f"    /* {number}: {_plain(o.name)} ({o.kind}), {o.size} values */"]
        lines += writer.layer(o, layer.wide)
        bodies.append("\n".join([*lines, *([trace] if trace else [])]))
    ram = sum(n * _bytes(kind) for kind, n in found.arenas.items())
    arguments = ", ".join(_arguments(found))
    arenas = [f"static {k} arena_{k.removesuffix('_t')}[{n}];" for k, n in found.arenas.items()]
    fires = [_fire(w) for w in (32, 64) if any(f"fire{w}(" in b for b in bodies)]
    fires = [text.replace("STEPS", str(program.steps - 1)) for text in fires]
    text = "\n".join(
        [
            _head(program, found, ram, writer.table_bytes),
            *writer.tables,
            "",
            *arenas,
            "",
            *fires,
            f"void spikewright_run({arguments});",
            "",
            f"void spikewright_run({arguments})",
            "{",
            "\n".join(bodies),
            "}",
            _main(found, ram, writer.table_bytes),
        ]
    )
    return CSource(text, ram, writer.table_bytes, _facts(program, found))


def _head(program: IntegerProgram, found: Plan, ram: int, flash: int) -> str:
    lines = [
        "Written by Spikewright: a layered spiking network in integers. C99, int of 32 bits.",
        f"{program.steps} steps a train; a train is a word, its first spike the highest bit.",
        f"RAM {ram} bytes, flash {flash} bytes (tables; code is not counted).",
        "spikewright_run(inputs, outputs) is the whole network; the arrays are the caller's:",
    ]
    for what, operations in (("input", found.inputs), ("output", found.outputs)):
        for i, o in enumerate(operations):
            shape = " x ".join(map(str, o.shape))
            lines.append(f"  {what}_{i}: {_plain(o.name)}, {shape}")
    lines.append(
        "With -DSPIKEWRIGHT_MAIN it is a program: inputs on stdin, outputs on stdout, raw;"
    )
    lines.append("with -DSPIKEWRIGHT_TRACE every train before them. --sizes prints RAM and flash.")
    text = "\n * ".join(lines)
    return (
        f"/* {text}\n */\n#include <stdint.h>\n"
        "#ifdef SPIKEWRIGHT_MAIN\n#include <stdio.h>\n#endif\n"
        "#if defined(SPIKEWRIGHT_MAIN) && defined(SPIKEWRIGHT_TRACE)\n"
        "#define TRACE(first, count) fwrite(&first, sizeof first, count, stdout);\n"
        "#else\n#define TRACE(first, count)\n#endif\n"
    )


def _fire(width: int) -> str:
    """Fire a train: the threshold halves at every step, instead of the potential doubling."""
    kind = f"int{width}_t"
    return (
        f"static int32_t fire{width}({kind} v, {kind} threshold)\n{{\n    int32_t train = 0;\n"
        "    for (int t = STEPS; t >= 0; t--) {\n"
        f"        const {kind} now = threshold * (({kind})1 << t);\n"
        "        if (v >= now) {\n            v -= now;\n            train |= (int32_t)1 << t;\n"
        "        }\n    }\n    return train;\n}\n"
    )


def _arguments(found: Plan) -> list[str]:
    inputs = [f"const {found.buffers[o.name].type} *input_{i}" for i, o in enumerate(found.inputs)]
    outputs = [f"{found.buffers[o.name].type} *output_{i}" for i, o in enumerate(found.outputs)]
    return inputs + outputs


def _main(found: Plan, ram: int, flash: int) -> str:
    """A program around the network, for tests on a desk."""
    sides = [
        (f"{what}_{i}", found.buffers[o.name].type, o.size, what == "input")
        for what, operations in (("input", found.inputs), ("output", found.outputs))
        for i, o in enumerate(operations)
    ]
    lines = ["#ifdef SPIKEWRIGHT_MAIN", "int main(int count, char **arguments)", "{"]
    lines += [f"    static {kind} {name}[{size}];" for name, kind, size, _ in sides]
    lines += [
        "    if (count > 1 && arguments[1][0] == '-') {",
        f'        printf("RAM {ram} bytes, flash {flash} bytes\\n");',
        "        return 0;",
        "    }",
        "    for (;;) {",
    ]
    for name, _, size, reads in sides:
        if reads:
            lines.append(
                f"        if (fread({name}, sizeof {name}[0], {size}, stdin) != {size}) return 0;"
            )
    lines.append(f"        spikewright_run({', '.join(name for name, *_ in sides)});")
    for name, _, size, reads in sides:
        if not reads:
            lines.append(
                f"        if (fwrite({name}, sizeof {name}[0], {size}, stdout) != {size}) return 1;"
            )
    return "\n".join([*lines, "    }", "}", "#endif", ""])


def _facts(program: IntegerProgram, found: Plan) -> dict[str, Any]:
    def side(name: str) -> dict[str, Any]:
        o = program[name]
        facts: dict[str, Any] = {
            "name": name,
            "shape": list(o.shape),
            "type": found.buffers[name].type.removesuffix("_t"),
        }
        numbers = {r: program.tensors[t] for r, t in o.tensors.items() if r != "index"}
        if o.kind in ("input", "readout"):
            facts.update({r: t.tolist() for r, t in numbers.items()})
        return {**facts, "source": o.settings["source"]} if "source" in o.settings else facts

    return {
        "inputs": [side(o.name) for o in found.inputs],
        "outputs": [side(o.name) for o in found.outputs],
        "trace": [side(layer.operation.name) for layer in found.layers if layer.operation.is_train],
    }


def _plain(name: str) -> str:
    """Return a name as it may stand in a comment."""
    return re.sub(r"[^A-Za-z0-9_./' -]|\*/", "_", name)


def _bytes(kind: str) -> int:
    return int("".join(c for c in kind if c.isdigit())) // 8
