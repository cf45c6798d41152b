# SPDX-License-Identifier: Apache-2.0
"""The Verilog of one layer: a machine that walks over spikes, and its memories."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from spikewright.exports.verilog.layer import Layer, Term, signed_bits
from spikewright.integers.program import IntegerProgram, Operation

__all__ = ["gate_text", "hex_words", "layer_text"]

_HERE = "(block * LANES + lane) * PLACES + place"
_RESTART = "lane <= 0; c <= 0; kr <= 0; kq <= 0; tap <= 0;"


def hex_words(rows: Sequence[Sequence[int]], bits: int) -> str:
    """Write rows of numbers as hexadecimal words, the first number in the lowest bits."""
    mask = (1 << bits) - 1
    words = (sum((n & mask) << (i * bits) for i, n in enumerate(row)) for row in rows)
    return "".join(f"{word:x}\n" for word in words)


class _Machine:
    """The states of a layer's machine, and its tables, one file each."""

    def __init__(self, program: IntegerProgram, layer: Layer, name: str) -> None:
        self.program, self.layer, self.name = program, layer, name
        self.files: dict[str, str] = {}
        self.tables: list[str] = []
        self.states: list[str] = []

    def state(self, *lines: str) -> int:
        """Append a state; return its number."""
        at = len(self.states) + 1
        self.states.append(
            f"      {at}: begin\n        " + "\n        ".join(lines) + "\n      end"
        )
        return at

    def wait(self) -> None:
        """Append a state in which memories answer."""
        self.state("st <= st + 1;")

    def table(self, name: str, rows: Tensor) -> int:
        """Add a table "address number"; return the bits of a number."""
        bits = signed_bits(int(rows.min()), int(rows.max()))
        file, width = f"{self.name}_{name}.hex", bits * rows.shape[1]
        self.files[file] = hex_words(rows.tolist(), bits)
        self.tables += [
            f"  reg [{width - 1}:0] {name} [0:{len(rows) - 1}];",
            f'  initial $readmemh("{file}", {name});',
            f"  reg [{width - 1}:0] {name}_q; integer {name}_a;",
            f"  always @(posedge clk) {name}_q <= {name}[{name}_a];",
            f"  function signed [VW-1:0] widen_{name}(input signed [{bits - 1}:0] w);",
            f"    widen_{name} = w;",
            "  endfunction",
        ]
        return bits

    def own(self, name: str, values: Tensor) -> str:
        """Add a table "channel place"; return how it is asked for lane by lane."""
        same = bool((values == values[:, :1]).all())
        self.table(name, values[:, :1] if same else values.reshape(-1, 1))
        return f"{name}_a <= {'block * LANES + lane' if same else _HERE};"

    def input_factor(self) -> None:
        """Multiply by what a number of an input stands for, 2^T - 1."""
        self.state(
            "for (l = 0; l < LANES; l = l + 1)",
            f"  acc[l] <= (acc[l] <<< {self.program.steps}) - acc[l];",
            "st <= st + 1;",
        )

    def spikes(self, key: str, target: str, weight: str, following: str) -> None:
        """Append the state that adds a weight for one spike of a word after the other."""
        every = "for (l = 0; l < LANES; l = l + 1)\n          " if target == "acc[l]" else ""
        self.state(
            f"{every}{target} <= negative ? {target} - (widen_{key}({weight}) <<< bit_at)",
            f"  : {target} + (widen_{key}({weight}) <<< bit_at);",
            "word <= word & (word - 1'b1);",
            f"if ((word & (word - 1'b1)) == 0) {following}",
        )

    def look(self, source: int, width: int, following: str) -> None:
        """Append the state that takes a word, and skips it where there is no spike."""
        size = abs(width)
        spikes = f"rd{source}[{size - 2}:0]" if width < 0 else f"rd{source}"
        sign = f"rd{source}[{size - 1}]" if width < 0 else "1'b0"
        self.state(
            f"word <= {spikes}; negative <= {sign};",
            f"if (({spikes}) == 0) {following}",
            "else st <= st + 1;",
        )

    def layer_term(self, key: str, term: Term, weight: Tensor, source: int, width: int) -> None:
        """Append the states of a convolution: address, wait, look, spike by spike."""
        s, lanes, first = term.windows, self.layer.lanes, len(self.states) + 1
        (out, inner, kh, kw), (_, height, columns) = weight.shape, s["input"]
        taps = inner * kh * kw
        rows = weight.reshape(out // lanes, lanes, taps).transpose(1, 2).reshape(-1, lanes)
        bits = self.table(key, rows)
        (pt, _), (pl, _) = s["padding"]
        following = (
            f"begin if (tap == {taps - 1}) begin {_RESTART} st <= {first + 4}; end\n"
            f"          else begin tap <= tap + 1; st <= {first};\n"
            f"            if (kq != {kw - 1}) kq <= kq + 1;\n"
            f"            else begin kq <= 0; if (kr != {kh - 1}) kr <= kr + 1;\n"
            "              else begin kr <= 0; c <= c + 1; end end end end"
        )
        channel = f"(block * LANES) / {out // s['groups']} * {inner} + c"
        self.state(
            f"r = y * {s['stride'][0]} + kr * {s['dilation'][0]} - {pt};",
            f"q = x * {s['stride'][1]} + kq * {s['dilation'][1]} - {pl};",
            f"if (r < 0 || r >= {height} || q < 0 || q >= {columns}) {following}",
            f"else begin ra{source} <= (({channel}) * {height} + r) * {columns} + q;",
            f"  {key}_a <= block * {taps} + tap; st <= st + 1; end",
        )
        self.wait()
        self.look(source, width, following)
        self.spikes(key, "acc[l]", f"{key}_q[l*{bits} +: {bits}]", following)

    def wire_term(self, number: int, term: Term, gain: Tensor, source: int, width: int) -> None:
        """Append the states of a shortcut: each lane looks at a word of its own."""
        key, first = f"w{number}", len(self.states) + 1
        asked = self.own(key, gain)
        end = first + (4 if term.index is None else 6)
        following = (
            f"begin if (lane == LANES - 1) begin {_RESTART} st <= {end}; end\n"
            f"          else begin lane <= lane + 1; st <= {first}; end end"
        )
        if term.index is None:
            self.state(f"ra{source} <= {_HERE}; {asked} st <= st + 1;")
        else:
            self.table(f"i{number}", term.index.reshape(-1, 1))
            self.state(f"i{number}_a <= {_HERE}; {asked} st <= st + 1;")
            self.wait()
            self.state(
                f"if ($signed(i{number}_q) < 0) {following}",
                f"else begin ra{source} <= i{number}_q; st <= st + 1; end",
            )
        self.wait()
        self.look(source, width, following)
        self.spikes(key, "acc[lane]", f"{key}_q", following)

    def fire(self, start: int, target: int) -> None:
        """Append what becomes of a sum: it fires a train, or is kept as it is; then go on."""
        o, signed = self.layer.operation, self.layer.operation.low < 0
        word = "v"
        if o.kind == "fire":
            size = "(v < 0 ? -v : v)" if signed else "v"
            self.state(
                f"minus <= {'v < 0' if signed else '0'}; t <= STEPS - 1; train <= 0;",
                f"v <= {size} + widen_pre_bias(pre_bias_q);",
                f"st <= {'v == 0 ? st + 2 : ' if signed else ''}st + 1;",
            )
            self.state(
                "if (v >= now) begin v <= v - now; train[t] <= 1'b1; end",
                "t <= t - 1; if (t == 0) st <= st + 1;",
            )
            word = "{minus && train != 0, train}" if signed else "train"
        elif o.kind != "readout" and signed:
            self.state("minus <= v < 0; v <= v < 0 ? -v : v; st <= st + 1;")
            word = f"{{minus, v[{target - 2}:0]}}"
        last = self.layer.channels // self.layer.lanes - 1
        self.state(
            f"we <= 1; wa <= {_HERE}; wd <= {word};",
            f"if (lane != LANES - 1) begin lane <= lane + 1; st <= {start}; end",
            "else begin",
            "  st <= 1; x <= x == COLUMNS - 1 ? 0 : x + 1; if (x == COLUMNS - 1) y <= y + 1;",
            "  if (place != PLACES - 1) place <= place + 1;",
            f"  else if (block != {last}) begin",
            "    block <= block + 1; place <= 0; x <= 0; y <= 0; end",
            "  else begin done <= 1; st <= 0; end",
            "end",
        )


def layer_text(
    program: IntegerProgram, layer: Layer, name: str, widths: Mapping[str, int]
) -> tuple[str, dict[str, str]]:
    """Write the module of a layer; return it and its memory files.

    A word is a sign (if there can be one) above the spikes of a train, the first one highest. The
    machine goes through the terms, skips words without spikes, and adds a weight for each spike.

    Args:
        program: The program.
        layer: What is added up.
        name: Name of the module.
        widths: Memory to the bits of a word of it, negative if the top bit is a sign.
    """
    o, machine = layer.operation, _Machine(program, layer, name)
    target, inputs = abs(widths[o.name]), {i.name for i in program.of_kind("input")}
    sources = list(dict.fromkeys(t.source for t in layer.terms))
    machine.state("for (l = 0; l < LANES; l = l + 1) acc[l] <= 0;", f"{_RESTART} st <= st + 1;")
    for number, term in enumerate(layer.terms):
        source, width = sources.index(term.source), widths[term.source]
        if term.weight is not None:
            machine.layer_term(f"w{number}", term, term.weight, source, width)
        elif term.gain is not None:
            machine.wire_term(number, term, term.gain, source, width)
        after = layer.terms[number + 1 :]
        if term.source in inputs and not any(t.source in inputs for t in after):
            machine.input_factor()
    asked = [machine.own("bias", layer.bias)]
    if o.kind == "fire":
        for role in ("threshold", "pre_bias"):
            values = program.tensors[o.tensors[role]].broadcast_to(o.shape)
            asked.append(machine.own(role, values.reshape(layer.channels, layer.places)))
    start = machine.state(*asked, "st <= st + 1;")
    machine.wait()
    machine.state("v <= acc[lane] + widen_bias(bias_q); st <= st + 1;")
    machine.fire(start, target)
    columns = o.shape[-1] if len(o.shape) > 1 else 1
    most = max(abs(widths[s]) for s in sources) - 1
    now = "  wire signed [VW-1:0] now = widen_threshold(threshold_q) <<< t;"
    text = [
        f"// {o.kind}: {o.size} values, {layer.lanes} of {layer.channels} channels at once",
        f"module {name}(input clk, input rst, input start, output reg done,",
        *(
            f"  output reg [31:0] ra{i}, input [{abs(widths[s]) - 1}:0] rd{i},"
            for i, s in enumerate(sources)
        ),
        f"  output reg we, output reg [31:0] wa, output reg [{target - 1}:0] wd);",
        f"  localparam LANES = {layer.lanes}, PLACES = {layer.places}, COLUMNS = {columns};",
        f"  localparam STEPS = {program.steps}, VW = {layer.bits};",
        *machine.tables,
        "  reg signed [VW-1:0] acc [0:LANES-1]; reg signed [VW-1:0] v;",
        "  reg [STEPS-1:0] train; reg minus, negative;",
        f"  reg [{most}:0] word; integer bit_at, b;",
        "  integer st, lane, block, place, x, y, c, kr, kq, tap, t, l, r, q;",
        *([now] if o.kind == "fire" else []),
        "  always @* begin",
        "    bit_at = 0;",
        f"    for (b = {most}; b >= 0; b = b - 1) if (word[b]) bit_at = b;",
        "  end",
        "  always @(posedge clk) begin",
        "    we <= 0;",
        "    if (rst) begin st <= 0; done <= 0; end",
        "    else case (st)",
        "      0: if (start) begin",
        "        done <= 0; block <= 0; place <= 0; x <= 0; y <= 0; st <= 1;",
        "      end",
        *machine.states,
        "      default: st <= 0;",
        "    endcase",
        "  end",
        "endmodule",
        "",
    ]
    return "\n".join(text), machine.files


def gate_text(o: Operation, name: str, width: int) -> str:
    """Write the module of a max gate: words order like their trains, the largest one passes."""
    s, size = o.settings, abs(width)
    (_, height, columns), (channels, rows, across) = s["input"], s["output"]
    (pt, _), (pl, _) = s["padding"]
    kh, kw = s["kernel"]
    plain = f"$signed({{1'b0, rd0[{size - 2}:0]}})"
    value = f"(rd0[{size - 1}] ? -{plain} : {plain})" if width < 0 else "$signed({1'b0, rd0})"
    step = (
        f"if (kq != {kw - 1}) begin kq <= kq + 1; st <= 1; end\n"
        f"        else begin kq <= 0; if (kr != {kh - 1}) begin kr <= kr + 1; st <= 1; end\n"
        "          else begin kr <= 0; st <= 4; end end"
    )
    return f"""// max: {o.size} values, windows of {kh} x {kw}
module {name}(input clk, input rst, input start, output reg done,
  output reg [31:0] ra0, input [{size - 1}:0] rd0,
  output reg we, output reg [31:0] wa, output reg [{size - 1}:0] wd);
  integer st, o, y, x, kr, kq, r, q; reg any;
  reg signed [{size}:0] best; reg [{size - 1}:0] held;
  always @(posedge clk) begin
    we <= 0;
    if (rst) begin st <= 0; done <= 0; end
    else case (st)
      0: if (start) begin
        done <= 0; o <= 0; y <= 0; x <= 0; kr <= 0; kq <= 0; any <= 0; st <= 1;
      end
      1: begin
        r = y * {s["stride"][0]} + kr * {s["dilation"][0]} - {pt};
        q = x * {s["stride"][1]} + kq * {s["dilation"][1]} - {pl};
        if (r < 0 || r >= {height} || q < 0 || q >= {columns}) begin {step} end
        else begin ra0 <= (o * {height} + r) * {columns} + q; st <= 2; end
      end
      2: st <= 3;
      3: begin
        if (!any || {value} > best) begin best <= {value}; held <= rd0; any <= 1; end
        {step}
      end
      4: begin
        we <= 1; wd <= held; wa <= (o * {rows} + y) * {across} + x; any <= 0; st <= 1;
        if (x != {across - 1}) x <= x + 1;
        else begin x <= 0; if (y != {rows - 1}) y <= y + 1;
          else begin y <= 0; if (o != {channels - 1}) o <= o + 1;
            else begin done <= 1; st <= 0; end end end
      end
      default: st <= 0;
    endcase
  end
endmodule
"""
