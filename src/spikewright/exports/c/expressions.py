# SPDX-License-Identifier: Apache-2.0
"""One element of a value as C: statements that compute it, and the expression that it then is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.exports.c.plan import Buffer, Plan
from spikewright.integers.program import IntegerProgram, Operation, smallest

__all__ = ["Writer"]


class Writer:
    """Writes loops; collects the tables that they read.

    Attributes:
        tables: C definitions of constant arrays.
        table_bytes: What they take.
    """

    def __init__(self, program: IntegerProgram, plan: Plan) -> None:
        self.program, self.plan = program, plan
        self.tables: list[str] = []
        self.table_bytes = 0
        self._names: dict[str, str] = {}
        self._count = 0

    def layer(self, operation: Operation, wide: bool) -> list[str]:
        """Return the loop that computes a value which is kept, element ``i`` by element."""
        self.sum_type = "int64_t" if wide else "int32_t"
        lines: list[str] = []
        found = self.element(operation, lines)
        target = self.plan.buffers[operation.name]
        lines.append(f"{target.at('i')} = ({target.type}){found};")
        body = [f"        {line}" for line in lines]
        return [f"    for (int32_t i = 0; i < {operation.size}; i++) {{", *body, "    }"]

    def element(self, operation: Operation, lines: list[str]) -> str:
        """Append the statements that compute element ``i``; return it as an expression."""
        kind = operation.kind
        if kind in ("fire", "readout", "scale", "bias", "add"):
            read = [self._read(name, lines) for name in operation.inputs]
            return self._elementwise(operation, read, lines)
        return {
            "conv": self._conv,
            "linear": self._linear,
            "sum": self._sum,
            "max": self._max,
            "gather": self._gather,
            "concat": self._gather,
        }[kind](operation, lines)

    def _read(self, name: str, lines: list[str]) -> str:
        """Return element ``i`` of what is read, from memory or computed on the way."""
        if name in self.plan.buffers:
            return self._times(self.plan.buffers[name], self.plan.buffers[name].at("i"))
        return self.element(self.program[name], lines)

    def _times(self, buffer: Buffer, element: str) -> str:
        product = f" * {buffer.factor}" if buffer.factor != 1 else ""
        return f"(({self.sum_type}){element}{product})"

    def _elementwise(self, operation: Operation, read: Sequence[str], lines: list[str]) -> str:
        kind = operation.kind
        if kind == "fire":
            v, pre = self._fresh("v"), self._constant(operation, "pre_bias")
            threshold = self._constant(operation, "threshold")
            wide = "64" if self.sum_type == "int64_t" else "32"
            lines.append(f"const {self.sum_type} {v} = {' + '.join(read)};")
            if not operation.settings["signed"]:
                return f"fire{wide}({v} + {pre}, {threshold})"
            return (
                f"({v} > 0 ? fire{wide}({v} + {pre}, {threshold}) : "
                f"{v} < 0 ? -fire{wide}({pre} - {v}, {threshold}) : 0)"
            )
        if kind == "scale":
            return f"({read[0]} * {self._constant(operation, 'gain')})"
        if kind == "bias":
            top = (1 << self.program.steps) - 1
            return f"({read[0]} + ({self.sum_type}){self._constant(operation, 'bias')} * {top})"
        return f"({' + '.join(read)})"

    def _conv(self, operation: Operation, lines: list[str]) -> str:
        s, buffer = operation.settings, self._source(operation)
        weight = self.program.tensors[operation.tensors["weight"]]
        out, inner, *kernel = weight.shape
        (_, height, width), (_, rows, columns) = s["input"], s["output"]
        total, w = self._fresh("s"), self._table(operation, "weight")
        group = f"o / {out // s['groups']} * {inner} + c" if s["groups"] > 1 else "c"
        lines += [f"{self.sum_type} {total} = 0;", "{", *_places(rows, columns)]
        lines.append(f"    for (int32_t c = 0; c < {inner}; c++) {{")
        lines += _windows("        ", kernel, s)
        index = f"((o * {inner} + c) * {kernel[0]} + kr) * {kernel[1]} + kq"
        read = buffer.at(f"(({group}) * {height} + r) * {width} + q")
        lines.append(f"                {total} += ({self.sum_type}){w}[{index}] * {read};")
        lines += ["            }", "        }", "    }"]
        self._finish(operation, buffer, total, "o", lines)
        lines.append("}")
        return total

    def _linear(self, operation: Operation, lines: list[str]) -> str:
        buffer = self._source(operation)
        weight = self.program.tensors[operation.tensors["weight"]]
        out, inner = weight.shape
        total, w = self._fresh("s"), self._table(operation, "weight")
        lines.append(f"{self.sum_type} {total} = 0;")
        lines.append("{")
        lines.append(f"    const int32_t o = i % {out}, row = i / {out};")
        lines.append(f"    for (int32_t c = 0; c < {inner}; c++) {{")
        read = buffer.at(f"row * {inner} + c")
        lines.append(f"        {total} += ({self.sum_type}){w}[o * {inner} + c] * {read};")
        lines.append("    }")
        self._finish(operation, buffer, total, "o", lines)
        lines.append("}")
        return total

    def _finish(
        self, operation: Operation, buffer: Buffer, total: str, channel: str, lines: list[str]
    ) -> None:
        """Multiply what an input's numbers stand for, and add the bias of a whole train."""
        if buffer.factor != 1:
            lines.append(f"    {total} *= {buffer.factor};")
        if "bias" in operation.tensors:
            top = (1 << self.program.steps) - 1
            bias = self._table(operation, "bias")
            lines.append(f"    {total} += ({self.sum_type}){bias}[{channel}] * {top};")

    def _sum(self, operation: Operation, lines: list[str]) -> str:
        buffer, before = self._source(operation), self.program[operation.inputs[0]].shape
        axes = list(operation.settings["axes"])
        after = [
            int(self.program.tensors[operation.tensors[f"axis{a}"]].shape[0]) if a in axes else n
            for a, n in enumerate(before)
        ]
        total = self._fresh("s")
        lines += [f"{self.sum_type} {total} = 0;", "{"]
        index, product, indent = "0", "", "    "
        for a, size in enumerate(before):
            place = f"i / {math.prod(after[a + 1 :])} % {after[a]}"
            if a not in axes:
                lines.append(f"{indent}const int32_t a{a} = {place};")
            else:
                matrix = self.program.tensors[operation.tensors[f"axis{a}"]]
                starts = [int(row.nonzero()[0]) if row.any() else 0 for row in matrix]
                stops = [int(row.nonzero()[-1]) + 1 if row.any() else 0 for row in matrix]
                ends = self._array(f"{operation.name}/ends{a}", torch.tensor([starts, stops]))
                lines.append(
                    f"{indent}for (int32_t o{a} = {place}, a{a} = {ends}[o{a}]; "
                    f"a{a} < {ends}[{after[a]} + o{a}]; a{a}++) {{"
                )
                inside = all(
                    bool((row[i:j] == 1).all())
                    for row, i, j in zip(matrix, starts, stops, strict=True)
                )
                if not inside:
                    product += f" * {self._table(operation, f'axis{a}')}[o{a} * {size} + a{a}]"
                indent += "    "
            index = f"({index}) * {size} + a{a}" if a else f"a{a}"
        lines.append(f"{indent}{total} += ({self.sum_type}){buffer.at(index)}{product};")
        lines += ["    " * n + "}" for n in range(len(axes), -1, -1)]
        return f"({total} * {buffer.factor})" if buffer.factor != 1 else total

    def _max(self, operation: Operation, lines: list[str]) -> str:
        """Trains order like the numbers that they stand for, so their maximum is the gate's."""
        s, buffer = operation.settings, self._source(operation)
        (_, height, width), (_, rows, columns) = s["input"], s["output"]
        total = self._fresh("m")
        lines += [f"int32_t {total} = {operation.low};", "{", *_places(rows, columns)]
        lines += _windows("    ", s["kernel"], s)
        read = buffer.at(f"(o * {height} + r) * {width} + q")
        lines.append(f"            if ({read} > {total}) {total} = {read};")
        lines += ["        }", "    }", "}"]
        return total

    def _gather(self, operation: Operation, lines: list[str]) -> str:
        index = self._fresh("k")
        place = f"{self._table(operation, 'index')}[i]" if operation.kind == "gather" else "i"
        lines.append(f"const int32_t {index} = {place};")
        found, start, total = "", 0, self._fresh("g")
        for name in operation.inputs:
            size, buffer = self.program[name].size, self.plan.buffers[name]
            at = buffer.at(f"({index} - {start})" if start else index)
            found += f"{index} < {start + size} ? {self._times(buffer, at)} : "
            start += size
        lines.append(f"const {self.sum_type} {total} = {index} < 0 ? 0 : {found}0;")
        return total

    def _source(self, operation: Operation) -> Buffer:
        return self.plan.buffers[operation.inputs[0]]

    def _constant(self, operation: Operation, role: str) -> str:
        """Return what broadcasts over a value, at element ``i``: a number, or one of a table."""
        tensor = self.program.tensors[operation.tensors[role]]
        if tensor.numel() == 1:
            return f"({int(tensor)})"
        shape = operation.shape
        own = (1,) * (len(shape) - tensor.ndim) + tuple(tensor.shape)
        parts = [
            f"i / {math.prod(shape[a + 1 :])} % {shape[a]} * {math.prod(own[a + 1 :])}"
            for a in range(len(shape))
            if own[a] != 1
        ]
        index = "i" if own == shape else " + ".join(parts)
        return f"{self._table(operation, role)}[{index}]"

    def _table(self, operation: Operation, role: str) -> str:
        name = operation.tensors[role]
        return self._array(name, self.program.tensors[name])

    def _array(self, name: str, tensor: Tensor) -> str:
        if name not in self._names:
            kind = smallest(tensor)
            self._names[name] = f"table_{len(self._names)}"
            numbers = [str(n) for n in tensor.flatten().tolist()]
            rows = [", ".join(numbers[i : i + 24]) for i in range(0, len(numbers), 24)]
            head = f"static const {str(kind).removeprefix('torch.')}_t {self._names[name]}"
            body = ",\n    ".join(rows)
            self.tables.append(f"{head}[{len(numbers)}] = {{\n    {body}}};")
            self.table_bytes += len(numbers) * kind.itemsize
        return self._names[name]

    def _fresh(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"


def _places(rows: int, columns: int) -> list[str]:
    """Say which channel, row and column of a map element ``i`` is."""
    return [
        f"    const int32_t o = i / {rows * columns};",
        f"    const int32_t y = i / {columns} % {rows}, x = i % {columns};",
    ]


def _windows(indent: str, kernel: Sequence[int], settings: Mapping[str, Any]) -> list[str]:
    """Begin the loops over a window: rows ``r`` and columns ``q`` that are inside the map."""
    lines = []
    for axis, (at, place) in enumerate((("y", "r"), ("x", "q"))):
        stride, before = settings["stride"][axis], settings["padding"][axis][0]
        size, step = settings["input"][1 + axis], settings["dilation"][axis]
        lines += [
            f"{indent}for (int32_t k{place} = 0; k{place} < {kernel[axis]}; k{place}++) {{",
            f"{indent}    const int32_t {place} = {at} * {stride} + k{place} * {step} - {before};",
            f"{indent}    if ({place} < 0 || {place} >= {size}) continue;",
        ]
        indent += "    "
    return lines
