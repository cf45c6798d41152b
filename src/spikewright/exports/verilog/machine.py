# SPDX-License-Identifier: Apache-2.0
"""What the machine is told of layers: settings of every term, and tables of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spikewright.exports.verilog.layer import Layer, Term
from spikewright.exports.verilog.words import Memory, by_lanes, hex_words, signed_bits
from spikewright.integers.program import IntegerProgram

__all__ = ["FIELDS", "Machine"]

FIELDS = (
    # of a term: its mode; whether it is the last one of its layer; whether sums count 2^T - 1 times
    "mode", "last", "times",
    # first row of its source; the maps in it; windows; by how many rows places lie apart
    "src", "h", "w", "kh", "kw", "sy", "sx", "dy", "px", "dx", "py",
    "sline", "scol", "off", "dline", "dcol",
    # rows read at a place, the first one: block * skip >> by; where weights are
    "rows", "skip", "by", "wrow", "wtap", "wbase", "wblock", "wplace", "ibase",
    # of a layer, in each of its terms: its maps; what becomes of sums; tables; where it is written
    "nx", "ny", "blocks", "kind", "pbase", "pplace", "obase", "halt",
)  # fmt: skip
"""What the machine is told of a term, in order."""

_KINDS = {"fire": 1, "readout": 3}
_TABLES = ("dense", "own", "index", "bias", "threshold", "pre_bias")


@dataclass
class Machine:
    """One machine for one layer, or for all of them.

    Attributes:
        program: The program.
        memories: Value to the memory that holds it.
        lanes: Words that it computes at once.
        terms: Settings of each term, by name.
        layers: The layers.
        tables: Name to rows of numbers, "row lane"; of ``index`` a word each: row, place in it
            (-1: none).
    """

    program: IntegerProgram
    memories: Mapping[str, Memory]
    lanes: int
    terms: list[dict[str, int]] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    tables: dict[str, list[Tensor]] = field(default_factory=lambda: {n: [] for n in _TABLES})

    def add(self, layer: Layer) -> None:
        """Append a layer."""
        memory = self.memories[layer.operation.name]
        own = {
            "nx": layer.columns,
            "ny": layer.rows,
            "blocks": memory.blocks,
            "obase": memory.base,
            **self._finish(layer, memory),
        }
        inputs = [o.name for o in self.program.of_kind("input")]
        rounded = [t.source in inputs for t in layer.terms]
        for i, term in enumerate(layer.terms):
            facts = {
                "last": int(i == len(layer.terms) - 1),
                "times": int(rounded[i] and not any(rounded[i + 1 :])),
                "src": self.memories[term.source].base,
            }
            if term.windows is not None:
                facts |= self._windows(term, term.windows, memory)
            elif term.gain is not None:
                facts |= self._wire(layer, term, term.gain, memory)
            self.terms.append({**dict.fromkeys(FIELDS, 0), **own, **facts})
        self.layers.append(layer)

    def close(self) -> None:
        """Say that the last layer is the last one."""
        count = len(self.layers[-1].terms)
        for term in self.terms[-count:]:
            term["halt"] = 1

    @property
    def sources(self) -> list[str]:
        """The values that terms read, each once."""
        return list(dict.fromkeys(t.source for layer in self.layers for t in layer.terms))

    @property
    def words(self) -> int:
        """Words of a row that it reads, at least as many as lanes."""
        return max(self.lanes, *(self.memories[s].lanes for s in self.sources))

    @property
    def magnitude(self) -> int:
        """Bits of a word that it reads, without a sign."""
        return max(self.memories[s].magnitude for s in self.sources)

    @property
    def bits(self) -> int:
        """Bits of a sum."""
        return max(self.magnitude + 2, *(layer.bits for layer in self.layers))

    @property
    def setting_bits(self) -> int:
        """Bits that hold every setting and address."""
        most = [n for term in self.terms for n in term.values()]
        for t in self.terms:
            most += [
                t["src"] + t["ny"] * t["sline"] + t["nx"] * t["scol"],
                t["blocks"] * max(t["skip"], t["wblock"]),
                t["obase"] + t["nx"] * t["ny"] * t["blocks"],
            ]
        rows = [sum(map(len, parts)) for parts in self.tables.values()]
        own = [self.memories[layer.operation.name] for layer in self.layers]
        rows += [m.base + m.rows for m in (*own, *(self.memories[s] for s in self.sources))]
        return max(*most, *rows, self.words, self.magnitude, self.program.steps).bit_length()

    def table(self, name: str) -> tuple[Tensor, int] | None:
        """Return a table "row number" and the bits of a number; None if nothing reads it."""
        fires = any(layer.operation.kind == "fire" for layer in self.layers)
        if not self.tables[name] or (name in ("threshold", "pre_bias") and not fires):
            return None
        rows = torch.cat(self.tables[name])
        return rows, signed_bits(int(rows.min()), int(rows.max()))

    def index_words(self) -> tuple[str, int, int, int] | None:
        """Return the table of gathers as hexadecimal words: how many, bits of a row and a place."""
        if not self.tables["index"]:
            return None
        rows = torch.cat(self.tables["index"])
        row, sub = (max(1, int(rows[:, i].max()).bit_length()) for i in (0, 1))
        none = rows[:, 1] < 0
        word = rows[:, 0] + (rows[:, 1].clamp(min=0) << row) + (none.long() << (row + sub))
        return hex_words(word.reshape(-1, 1).tolist(), row + sub + 1), len(rows), row, sub

    def _add_rows(self, name: str, rows: Tensor) -> int:
        """Append rows to a table; return where they begin."""
        start = sum(map(len, self.tables[name]))
        self.tables[name].append(rows)
        return start

    def _finish(self, layer: Layer, memory: Memory) -> dict[str, int]:
        """Say what becomes of sums; append bias, threshold and pre-bias."""
        o = layer.operation
        kind = _KINDS.get(o.kind, 0) + (o.kind == "fire" and o.low < 0)
        values = {"bias": layer.bias}
        for role in ("threshold", "pre_bias"):
            name = o.tensors.get(role)
            found = torch.zeros(()) if name is None else self.program.tensors[name]
            found = found.to(torch.int64).broadcast_to(o.shape)
            values[role] = found.reshape(memory.channels, memory.places)
        same = all(bool((v == v[:, :1]).all()) for v in values.values())
        base = 0
        for role, value in values.items():  # all three have the rows of every layer
            fill = int(role == "threshold")  # a lane without a channel never fires
            lanes = by_lanes(value[:, :1] if same else value, memory.lanes, fill)
            base = self._add_rows(role, lanes.permute(2, 0, 1).reshape(-1, memory.lanes))
        return {"kind": kind, "pbase": base, "pplace": int(not same)}

    def _windows(self, term: Term, s: Mapping[str, Any], memory: Memory) -> dict[str, int]:
        """Settings of a convolution or a gate."""
        source = self.memories[term.source]
        (_, height, width), ((above, _), (left, _)) = s["input"], s["padding"]
        (sy, sx), (dy, dx), (kh, kw) = s["stride"], s["dilation"], s["kernel"]
        blocks = source.blocks
        found = {
            "h": height, "w": width, "kh": kh, "kw": kw, "sy": sy, "sx": sx, "dy": dy, "dx": dx,
            "py": above, "px": left, "sline": sy * width * blocks, "scol": sx * blocks,
            "off": (above * width + left) * blocks, "dline": dy * width * blocks,
            "dcol": dx * blocks,
        }  # fmt: skip
        alone = {"rows": 1, "skip": 1, "wrow": 1, "wtap": 1}
        if term.weight is None:
            return {**found, **alone, "mode": 3}
        taps, weight = kh * kw, term.weight
        if s["groups"] == source.channels == memory.channels:
            rows = by_lanes(weight.reshape(len(weight), taps), memory.lanes).transpose(1, 2)
            base = self._add_rows("own", rows.reshape(-1, memory.lanes))
            return {**found, **alone, "mode": 1, "wbase": base, "wblock": taps}
        first, skip, by, count = _rows_of_blocks(s["groups"], weight, source, memory)
        inner, out = weight.shape[1], len(weight) // s["groups"]
        full = torch.zeros(len(weight), source.channels, taps, dtype=torch.int64)
        for g in range(s["groups"]):
            at = slice(g * out, (g + 1) * out)
            full[at, g * inner : (g + 1) * inner] = weight[at].reshape(out, inner, taps)
        lanes = by_lanes(full, memory.lanes).permute(0, 2, 3, 1)  # block channel tap lane
        parts = []
        for block, start in zip(lanes, first, strict=True):
            read = by_lanes(block, source.lanes)[start : start + count]  # row word tap lane
            parts.append(read.permute(2, 0, 1, 3).reshape(-1, memory.lanes))
        base = self._add_rows("dense", torch.cat(parts))
        return {
            **found, "rows": count, "skip": skip, "by": by, "wrow": source.lanes,
            "wtap": count * source.lanes, "wbase": base, "wblock": taps * count * source.lanes,
        }  # fmt: skip

    def _wire(self, layer: Layer, term: Term, gain: Tensor, memory: Memory) -> dict[str, int]:
        """Settings of a shortcut, or of words from elsewhere."""
        source = self.memories[term.source]
        same = bool((gain == gain[:, :1]).all())
        lanes = by_lanes(gain[:, :1] if same else gain, memory.lanes).permute(2, 0, 1)
        found = {
            "wbase": self._add_rows("own", lanes.reshape(-1, memory.lanes)),
            "wblock": 1, "wplace": int(not same), "kh": 1, "kw": 1, "rows": 1, "skip": 1,
        }  # fmt: skip
        if term.index is None:
            across = layer.columns * source.blocks
            size = {"h": layer.rows, "w": layer.columns, "sy": 1, "sx": 1}
            return {**found, **size, "mode": 1, "sline": across, "scol": source.blocks}
        index = by_lanes(term.index, memory.lanes, -1).permute(2, 0, 1).reshape(-1)
        channel, place = index // source.places, index % source.places
        row = place * source.blocks + channel // source.lanes
        sub = torch.where(index < 0, -1, channel % source.lanes)
        rows = torch.stack((torch.where(index < 0, 0, row), sub), 1)
        return {**found, "mode": 2, "ibase": self._add_rows("index", rows)}


def _rows_of_blocks(
    groups: int, weight: Tensor, source: Memory, memory: Memory
) -> tuple[Sequence[int], int, int, int]:
    """Find the rows that each block of a layer with groups needs, as few as can be said.

    Returns:
        Each block's first row; skip and shift that give it, block * skip >> shift; how many.
    """
    inner, out = weight.shape[1], len(weight) // groups
    needs = []
    for block in range(memory.blocks):
        channels = block * memory.lanes, min((block + 1) * memory.lanes, len(weight)) - 1
        low, high = channels[0] // out * inner, channels[1] // out * inner + inner - 1
        needs.append((low // source.lanes, high // source.lanes))
    best: tuple[int, int, int] = (source.blocks, 0, 0)
    for by in range(5):
        for skip in range((source.blocks << by) if groups > 1 else 0):
            first = [block * skip >> by for block in range(memory.blocks)]
            count = max(high - at + 1 for at, (_, high) in zip(first, needs, strict=True))
            held = all(
                at <= low and at + count <= source.blocks
                for at, (low, _) in zip(first, needs, strict=True)
            )
            best = min(best, (count, skip, by)) if held else best
    count, skip, by = best
    return [block * skip >> by for block in range(memory.blocks)], skip, by, count
