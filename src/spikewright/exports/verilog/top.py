# SPDX-License-Identifier: Apache-2.0
"""The modules around the machines: memories, who reads what, and who is at work."""

from collections.abc import Sequence

from spikewright.exports.verilog.machine import Machine
from spikewright.exports.verilog.text import address, resized
from spikewright.exports.verilog.words import Memory

__all__ = ["layer_text", "layers_top", "shared_top"]

_INPUTS = ("input", "encode")


def layer_text(machine: Machine, own: Memory) -> str:
    """Write the module of a layer: its machine, and the memory of what that computes."""
    i, f, reads, ports = own.number, machine.setting_bits, "", ""
    for port, source in enumerate(machine.sources):
        reads += f"input [{machine.memories[source].width - 1}:0] rd{port}, "
        ports += f".rd{port}(rd{port}), "
    sums, lines = own.operation.kind == "readout", list[str]()
    if sums:
        before, after = (own.lanes, machine.bits, False), (own.lanes, own.magnitude, False)
        lines = resized("whole", before, after, "wv", "wd")
    return "\n".join(
        [
            f"module layer{i}(input clk, input rst, input start, output done,",
            f"  output re, output [{f - 1}:0] ra, {reads}",
            f"  input qe, input [31:0] qa, output reg [{own.width - 1}:0] q);",
            f"  wire we, sums; wire [{f - 1}:0] wa; wire [{own.width - 1}:0] wd;",
            f"  wire [{own.lanes * machine.bits - 1}:0] wv;",
            f"  machine{i} machine(.clk(clk), .rst(rst), .start(start), .done(done), .re(re),",
            f"    .ra(ra), {ports}.we(we), .wa(wa), .wd({'' if sums else 'wd'}), .wv(wv),",
            "    .sums(sums));",
            *lines,
            f"  reg [{own.width - 1}:0] m [0:{own.rows - 1}];",
            "  always @(posedge clk) begin",
            f"    if (qe) q <= m[{address('qa', own.rows, 32)}];",
            f"    if (we) m[{address('wa', own.rows, f)}] <= wd;",
            "  end",
            "endmodule",
            "",
        ]
    )


def layers_top(memories: Sequence[Memory], machines: Sequence[tuple[Machine, Memory]]) -> str:
    """Write a network of one machine a layer; each starts when the one before it is done.

    Args:
        memories: One for each value.
        machines: Each with the memory that it writes, in order.
    """
    lines = [*_ports(memories), "  reg [15:0] phase; reg go, running;"]
    number = {m.operation.name: m.number for m in memories}
    readers: dict[str, list[tuple[int, int]]] = {name: [] for name in number}
    for phase, (machine, own) in enumerate(machines):
        i, reads = own.number, ""
        for port, source in enumerate(machine.sources):
            readers[source].append((phase, i))
            reads += f".rd{port}(q{number[source]}), "
        lines += [
            f"  wire d{i}, re{i}; wire [{machine.setting_bits - 1}:0] ra{i};",
            f"  layer{i} layer{i}(.clk(clk), .rst(rst), .start(go && phase == {phase}),",
            f"    .done(d{i}), .re(re{i}), .ra(ra{i}), {reads}.qe(e{i}), .qa(r{i}), .q(q{i}));",
        ]
    computed = {own.number for _, own in machines}
    for m in memories:
        i, at, enable = m.number, "out_at", f"out_which == {m.number}"
        for phase, reader in readers[m.operation.name]:
            at = f"phase == {phase} ? ra{reader} : {at}"
            enable = f"phase == {phase} ? re{reader} : {enable}"
        kind = "wire" if i in computed else "reg"
        lines += [
            f"  wire [31:0] r{i} = {at}; wire e{i} = {enable}; {kind} [{m.width - 1}:0] q{i};"
        ]
        if i not in computed:
            lines += [
                f"  reg [{m.width - 1}:0] m{i} [0:{m.rows - 1}];",
                "  always @(posedge clk) begin",
                f"    if (e{i}) q{i} <= m{i}[{address(f'r{i}', m.rows, 32)}];",
                f"    if (in_we && in_which == {i})",
                f"      m{i}[{address('in_at', m.rows, 32)}] <= in_row[{m.width - 1}:0];",
                "  end",
            ]
    out = "0"
    for m in memories:
        if m.operation.kind == "readout":
            out = f"out_which == {m.number} ? q{m.number} : {out}"
    count = len(machines)
    ended = " ||\n    ".join(f"phase == {k} && d{m.number}" for k, (_, m) in enumerate(machines))
    return "\n".join(
        [
            *lines,
            f"  assign out_row = {out};",
            f"  wire ended = {ended};",
            f"  assign done = phase == {count};",
            "  always @(posedge clk) begin",
            "    go <= 0; running <= go;",
            f"    if (rst) phase <= {count};",
            "    else if (start) begin phase <= 0; go <= 1; end",
            "    else if (!done && !go && !running && ended) begin",
            f"      phase <= phase + 1; go <= phase != {count - 1};",
            "    end",
            "  end",
            "endmodule",
            "",
        ]
    )


def shared_top(memories: Sequence[Memory], machine: Machine) -> str:
    """Write a network of one machine for all layers, with one memory of words and one of sums.

    Args:
        memories: One for each value: where it lies in the memory of all.
        machine: The machine.
    """
    form = next(m for m in memories if m.operation.kind in _INPUTS)
    f, width, whole = machine.setting_bits, form.width, machine.lanes * machine.bits
    rows = sum(m.rows for m in memories if m.operation.kind != "readout")
    sums = sum(m.rows for m in memories if m.operation.kind == "readout")
    into, out = "0", "0"
    for m in memories:
        if m.operation.kind in _INPUTS and m.base:
            into = f"in_which == {m.number} ? {m.base} : {into}"
        if m.operation.kind == "readout" and m.base:
            out = f"out_which == {m.number} ? {m.base} : {out}"
    lines = [
        *_ports(memories),
        f"  wire re, we, sums; wire [{f - 1}:0] ra, wa;",
        f"  wire [{width - 1}:0] wd; wire [{whole - 1}:0] wv;",
        f"  reg [{width - 1}:0] q; reg [{width - 1}:0] m [0:{rows - 1}];",
        f"  reg [{whole - 1}:0] oq; reg [{whole - 1}:0] o [0:{sums - 1}];",
        "  layers machine(.clk(clk), .rst(rst), .start(start), .done(done), .re(re), .ra(ra),",
        "    .rd0(q), .we(we), .wa(wa), .wd(wd), .wv(wv), .sums(sums));",
        f"  wire [31:0] at = in_we ? in_at + ({into}) : wa;",
        f"  wire [31:0] oa = out_at + ({out});",
        "  assign out_row = oq;",
        "  always @(posedge clk) begin",
        f"    if (re) q <= m[{address('ra', rows, f)}];",
        f"    if (in_we || we && !sums) m[{address('at', rows, 32)}] <= in_we ? in_row : wd;",
        f"    oq <= o[{address('oa', sums, 32)}];",
        f"    if (we && sums) o[{address('wa', sums, f)}] <= wv;",
        "  end",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def _ports(memories: Sequence[Memory]) -> list[str]:
    widest = max(m.width for m in memories if m.operation.kind in _INPUTS)
    out = max(m.width for m in memories if m.operation.kind == "readout")
    return [
        "// Inputs are written to memory in_which, row by row; read-outs answer one cycle later.",
        "module network(input clk, input rst, input start, output done,",
        f"  input in_we, input [31:0] in_which, input [31:0] in_at, input [{widest - 1}:0] in_row,",
        f"  input [31:0] out_which, input [31:0] out_at, output [{out - 1}:0] out_row);",
    ]
