# SPDX-License-Identifier: Apache-2.0
"""The whole network in Verilog: memories, one machine a layer, and a bench to try it on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.errors import UnsupportedModuleError
from spikewright.exports.c.plan import kept_values
from spikewright.exports.verilog.layer import layer_of, signed_bits
from spikewright.exports.verilog.text import gate_text, layer_text
from spikewright.integers.errors import NoForm
from spikewright.integers.program import IntegerProgram, Operation, bits_of

__all__ = ["LANES", "VerilogSource", "verilog_source"]

LANES = 16


@dataclass(frozen=True)
class VerilogSource:
    """A network in Verilog.

    Attributes:
        files: Name to text: ``network.v``, ``bench.v``, a ``.hex`` for every table.
        facts: Memories in the order in which the bench writes them.
    """

    files: dict[str, str]
    facts: dict[str, Any]


def verilog_source(program: IntegerProgram, lanes: int = LANES) -> VerilogSource:
    """Write a program as synthesizable Verilog, one machine a layer.

    Args:
        program: The program.
        lanes: Channels that a layer computes at once, at most; it takes a divisor of its own.

    Raises:
        UnsupportedModuleError: If something cannot be said; all of it is listed.
    """
    kept = kept_values(program)
    where = {o.name: o.name for o in program.operations if o.name in kept}
    for o in program.operations:
        if o.kind == "reshape":
            where[o.name] = where[o.inputs[0]]
    values = [o for o in program.operations if o.name in kept]
    number = {o.name: i for i, o in enumerate(values)}
    widths = {o.name: _width(program, o) for o in values}
    files: dict[str, str] = {}
    modules: list[str] = []
    sources: dict[str, list[str]] = {}
    refused: list[str] = []
    for o in values:
        name = f"layer{number[o.name]}"
        try:
            if o.kind == "max":
                sources[o.name] = [where[o.inputs[0]]]
                modules.append(gate_text(o, name, widths[where[o.inputs[0]]]))
            elif o.kind not in ("input", "encode"):
                layer = layer_of(program, o, where, lanes)
                sources[o.name] = list(dict.fromkeys(t.source for t in layer.terms))
                text, tables = layer_text(program, layer, name, widths)
                modules.append(text)
                files.update(tables)
        except NoForm as error:
            refused.append(str(error))
    if refused:
        raise UnsupportedModuleError(
            "export to verilog: expected what its machines can do, got "
            f"{'; '.join(refused)}. See docs/exports.md."
        )
    head = "// Written by Spikewright: a layered spiking network in integers, one machine a layer."
    files["network.v"] = "\n".join([head, *modules, _network(values, number, widths, sources)])
    files["bench.v"] = _bench(values, number)
    memories = [
        {
            "name": o.name,
            "kind": o.kind,
            "shape": list(o.shape),
            "bits": abs(widths[o.name]),
            "sign": _sign(o, widths[o.name]),
        }
        for o in values
    ]
    return VerilogSource(files, {"lanes": lanes, "memories": memories})


def _sign(o: Operation, width: int) -> str:
    """Say how words of a memory are signed."""
    return "complement" if o.kind == "readout" else "top bit" if width < 0 else "none"


def _network(
    values: Sequence[Operation],
    number: Mapping[str, int],
    widths: Mapping[str, int],
    sources: Mapping[str, Sequence[str]],
) -> str:
    """Write the top module: memories, machines, and who is at work."""
    phase = {name: i for i, name in enumerate(sources)}
    lines = [
        "module network(input clk, input rst, input start, output done,",
        "  input in_we, input [31:0] in_which, input [31:0] in_at, input [31:0] in_word);",
        "  reg [15:0] phase; reg go, running;",
    ]
    for name, read in sources.items():
        i, ports = number[name], ""
        for k, source in enumerate(read):
            lines.append(f"  wire [31:0] a{i}_{k};")
            ports += f".ra{k}(a{i}_{k}), .rd{k}(q{number[source]}), "
        lines += [
            f"  wire d{i}, we{i}; wire [31:0] wa{i}; wire [{abs(widths[name]) - 1}:0] wd{i};",
            f"  layer{i} machine{i}(.clk(clk), .rst(rst), .start(go && phase == {phase[name]}),",
            f"    .done(d{i}), {ports}.we(we{i}), .wa(wa{i}), .wd(wd{i}));",
        ]
    for o in values:
        i, size, address = number[o.name], abs(widths[o.name]) - 1, "0"
        for name, read in sources.items():
            for k, source in enumerate(read):
                if source == o.name:
                    own = f"a{number[name]}_{k}"
                    address = f"phase == {phase[name]} ? {own} :\n    {address}"
        written = (
            f"if (we{i}) m{i}[wa{i}] <= wd{i};"
            if o.name in sources
            else f"if (in_we && in_which == {i}) m{i}[in_at] <= in_word[{size}:0];"
        )
        lines += [
            f"  reg [{size}:0] m{i} [0:{o.size - 1}]; // {o.kind}",
            f"  reg [{size}:0] q{i};",
            f"  wire [31:0] r{i} = {address};",
            f"  always @(posedge clk) begin q{i} <= m{i}[r{i}]; {written} end",
        ]
    ended = " ||\n    ".join(f"phase == {k} && d{number[name]}" for name, k in phase.items())
    return "\n".join(
        [
            *lines,
            f"  wire ended = {ended};",
            f"  assign done = phase == {len(phase)};",
            "  always @(posedge clk) begin",
            "    go <= 0;",
            f"    if (rst) begin phase <= {len(phase)}; running <= 0; end",
            "    else if (start) begin phase <= 0; go <= 1; running <= 0; end",
            f"    else if (phase != {len(phase)}) begin",
            "      running <= !go;",
            "      if (running && !go && ended) begin",
            "        phase <= phase + 1; running <= 0; go <= 1;",
            "      end",
            "    end",
            "  end",
            "endmodule",
            "",
        ]
    )


def _width(program: IntegerProgram, o: Operation) -> int:
    """Return the bits of a word of a memory, negative if its top bit is a sign."""
    top = (1 << program.steps) - 1
    low, high = (o.low // top, o.high // top) if o.kind == "input" else (o.low, o.high)
    if o.kind == "readout":
        return signed_bits(low, high)
    most = bits_of(0, max(high, -low))
    return -(most + 1) if low < 0 else most


def _bench(values: Sequence[Operation], number: Mapping[str, int]) -> str:
    """Write a bench that runs inputs until there are no more."""
    loads = [
        f"""      for (i = 0; i < {o.size}; i = i + 1) begin
        code = $fscanf(f, "%h", w);
        if (code != 1) begin $fclose(o); $finish; end
        in_we = 1; in_which = {number[o.name]}; in_at = i; in_word = w; @(negedge clk);
      end
      in_we = 0;"""
        for o in values
        if o.kind in ("input", "encode")
    ]
    writes = [
        f'      for (i = 0; i < {o.size}; i = i + 1) $fwrite(o, "%0h\\n", n.m{number[o.name]}[i]);'
        for o in values
    ]
    return "\n".join(
        [
            "// Reads words of inputs from in.txt, writes the words of all memories to out.txt.",
            "`timescale 1ns/1ns",
            "module bench;",
            "  reg clk = 0, rst = 1, start = 0, in_we = 0;",
            "  reg [31:0] in_which, in_at, in_word, w;",
            "  wire done; integer f, o, i, code, cycles;",
            "  network n(clk, rst, start, done, in_we, in_which, in_at, in_word);",
            "  always #1 clk = ~clk;",
            "  initial begin",
            '    f = $fopen("in.txt", "r"); o = $fopen("out.txt", "w");',
            "    repeat (4) @(negedge clk);",
            "    rst = 0; @(negedge clk);",
            "    forever begin",
            *loads,
            "      start = 1; @(negedge clk); start = 0; cycles = 1; @(negedge clk);",
            "      while (!done) begin @(negedge clk); cycles = cycles + 1; end",
            *writes,
            '      $display("cycles %0d", cycles);',
            "    end",
            "  end",
            "endmodule",
            "",
        ]
    )
