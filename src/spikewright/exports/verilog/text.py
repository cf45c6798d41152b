# SPDX-License-Identifier: Apache-2.0
"""The Verilog around the machine: its tables and settings, and the words that it reads."""

from collections.abc import Sequence
from importlib.resources import files

from spikewright.exports.verilog.machine import FIELDS, Machine
from spikewright.exports.verilog.words import Memory, hex_words

__all__ = ["address", "engine_text", "machine_text", "resized"]

_TABLES = {
    "dense": ("D", "da", "dq"),
    "own": ("O", "oa", "oq"),
    "bias": ("B", "pa", "bq"),
    "threshold": ("H", "pa", "hq"),
    "pre_bias": ("C", "pa", "cq"),
}


def engine_text() -> str:
    """Return the modules that every network has: the machine, and words of another size."""
    text = (files("spikewright.exports.verilog") / "engine.v").read_text(encoding="utf-8")
    told = [f"  wire [F-1:0] {n} = settings[{i}*F +: F];" for i, n in enumerate(FIELDS)]
    return text.replace("  // FIELDS", "\n".join(told))


def machine_text(
    machine: Machine, name: str, read: Sequence[Memory], written: Memory
) -> tuple[str, dict[str, str]]:
    """Write the module of a machine with its tables and settings; return it and its hex files.

    Args:
        machine: The machine.
        name: Name of the module.
        read: What it reads: the memory of each of its sources, or the one of all words.
        written: What words it writes with ``wd``; ``wv`` has whole sums, if ``sums`` is set.
    """
    f, lanes, words, most = machine.setting_bits, machine.lanes, machine.words, machine.magnitude
    readout = written.operation.kind == "readout"
    out = machine.program.steps if readout else max(written.magnitude, machine.program.steps)
    sizes = {"L": lanes, "P": words, "W": most, "T": machine.program.steps, "V": machine.bits}
    sizes |= {"Q": out + 1, "F": f, "N": len(FIELDS)}
    hexes, lines, ports = _tables(machine, name, sizes)
    row = "row0"
    for i, m in enumerate(read):
        terms = [k for k, t in enumerate(machine.layers[0].terms) if t.source == m.operation.name]
        told = " || ".join(f"term == {k}" for k in terms)
        row = f"{told} ? row{i} : {row}" if i else row
        lines += [f"  wire [{words * (most + 1) - 1}:0] row{i};"]
        lines += resized(
            f"wider{i}", (m.lanes, m.magnitude, m.signed), (words, most, True), f"rd{i}", f"row{i}"
        )
    lines += [f"  wire [{lanes * (out + 1) - 1}:0] made;"]
    if not readout:
        lines += resized(
            "narrower", (lanes, out, True), (lanes, written.magnitude, written.signed), "made", "wd"
        )
    settings = ""
    for i, term in enumerate(reversed(machine.terms)):  # of one term alone: constants
        own = "{" + ", ".join(f"{f}'d{term[n]}" for n in reversed(FIELDS)) + "}"
        settings = f"term == {len(machine.terms) - 1 - i} ? {own} :\n    {settings}" if i else own
    reads = ", ".join(f"input [{m.width - 1}:0] rd{i}" for i, m in enumerate(read))
    text = [
        f"module {name}(input clk, input rst, input start, output done,",
        f"  output re, output [{f - 1}:0] ra, {reads},",
        f"  output we, output [{f - 1}:0] wa, output [{written.width - 1}:0] wd,",
        f"  output [{lanes * machine.bits - 1}:0] wv, output sums);",
        f"  wire [{f - 1}:0] term, da, oa, ia, pa;",
        f"  wire [{len(FIELDS) * f - 1}:0] settings = {settings};",
        f"  assign sums = settings[{FIELDS.index('kind') * f} +: {f}] == 3;",
        *lines,
        f"  engine #({', '.join(f'.{k}({v})' for k, v in sizes.items())}) machine(",
        "    .clk(clk), .rst(rst), .start(start), .done(done), .term(term), .settings(settings),",
        f"    .re(re), .ra(ra), .rd({row}), .da(da), .oa(oa), .ia(ia), .pa(pa), {ports},",
        "    .we(we), .wa(wa), .wd(made), .wv(wv));",
        "endmodule",
        "",
    ]
    return "\n".join(text), hexes


def resized(
    name: str,
    before: tuple[int, int, bool],
    after: tuple[int, int, bool],
    source: str,
    target: str,
) -> list[str]:
    """Write a change of words: how many, bits without a sign, and whether they have one."""
    (n, a, s), (m, e, r) = before, after
    return [
        f"  words #(.N({n}), .A({a}), .S({int(s)}), .M({m}), .E({e}), .R({int(r)})) {name}(",
        f"    .from({source}), .to({target}));",
    ]


def address(wire: str, rows: int, bits: int) -> str:
    """Write an address with no more bits than rows need."""
    needed = max(1, (rows - 1).bit_length())
    return wire if needed >= bits else f"{wire}[{needed - 1}:0]"


def _tables(
    machine: Machine, name: str, sizes: dict[str, int]
) -> tuple[dict[str, str], list[str], str]:
    """Write the tables of a machine; return files, lines and ports, and set the sizes of words."""
    hexes: dict[str, str] = {}
    lines: list[str] = []
    ports: list[str] = []
    gather, f = machine.index_words(), machine.setting_bits
    for table, (size, asked, answer) in _TABLES.items():
        found = machine.table(table)
        sizes[size] = 1 if found is None else found[1]
        width = sizes[size] * machine.lanes
        if found is None:
            ports.append(f".{answer}({width}'d0)")
            continue
        hexes[f"{name}_{table}.hex"] = hex_words(found[0].tolist(), sizes[size])
        lines += _rom(name, table, width, len(found[0]), address(asked, len(found[0]), f))
        ports.append(f".{answer}({table}_q)")
    if gather is None:
        ports.append(f".iq({2 * f + 1}'d0)")
    else:
        hexes[f"{name}_index.hex"], count, row, sub = gather
        lines += _rom(name, "index", row + sub + 1, count, address("ia", count, f))
        lines += [
            f"  wire [{f - 1}:0] at_row = index_q[0 +: {row}];",
            f"  wire [{f - 1}:0] at_word = index_q[{row} +: {sub}];",
        ]
        ports.append(f".iq({{index_q[{row + sub}], at_word, at_row}})")
    return hexes, lines, ", ".join(ports)


def _rom(machine: str, name: str, width: int, rows: int, asked: str) -> list[str]:
    """Write a table that answers one cycle after it is asked."""
    return [
        f"  reg [{width - 1}:0] {name} [0:{rows - 1}]; reg [{width - 1}:0] {name}_q;",
        f'  initial $readmemh("{machine}_{name}.hex", {name});',
        f"  always @(posedge clk) {name}_q <= {name}[{asked}];",
    ]
