# SPDX-License-Identifier: Apache-2.0
"""A bench that runs inputs through a network, and a script that synthesises it."""

from collections.abc import Sequence

from spikewright.exports.verilog.words import Memory

__all__ = ["bench_text", "synthesis_text"]


def bench_text(memories: Sequence[Memory], *, shared: bool) -> str:
    """Write a bench: rows of inputs from ``in.txt``; rows of all memories to ``out.txt``."""
    inputs = [m for m in memories if m.operation.kind in ("input", "encode")]
    widest = max(m.width for m in inputs)
    loads = [
        f"""      for (i = 0; i < {m.rows}; i = i + 1) begin
        code = $fscanf(f, "%h", w);
        if (code != 1) begin $fclose(o); $finish; end
        in_we = 1; in_which = {m.number}; in_at = i; in_row = w; @(negedge clk);
      end
      in_we = 0;"""
        for m in inputs
    ]
    writes = [
        f'      for (i = 0; i < {m.rows}; i = i + 1) $fwrite(o, "%0h\\n", n.{_row(m, shared)});'
        for m in memories
    ]
    return "\n".join(
        [
            "// Reads rows of inputs from in.txt, writes the rows of all memories to out.txt.",
            "`timescale 1ns/1ns",
            "module bench;",
            "  reg clk = 0, rst = 1, start = 0, in_we = 0;",
            f"  reg [31:0] in_which, in_at; reg [{widest - 1}:0] in_row, w;",
            "  wire done; integer f, o, i, code, cycles;",
            "  network n(clk, rst, start, done, in_we, in_which, in_at, in_row, 0, 0, );",
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


def _row(memory: Memory, shared: bool) -> str:
    if not shared:
        computed = memory.operation.kind not in ("input", "encode")
        return f"layer{memory.number}.m[i]" if computed else f"m{memory.number}[i]"
    return f"{'o' if memory.operation.kind == 'readout' else 'm'}[{memory.base} + i]"


def synthesis_text(tops: Sequence[str]) -> str:
    """Write a script for yosys: what every layer takes of a Lattice ECP5, as ``NAME.json``."""
    lines = ["# yosys -q -s synth.ys", "read_verilog -defer network.v", "design -save whole"]
    for top in tops:
        lines += [
            "design -load whole",
            f"synth_ecp5 -top {top}",
            f"tee -q -o {top}.json stat -json",
        ]
    return "\n".join([*lines, ""])
