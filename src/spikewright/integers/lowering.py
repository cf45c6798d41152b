# SPDX-License-Identifier: Apache-2.0
"""From a network in integers to its program, operator by operator."""

import math
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import ops
from spikewright.graph.batch import batch_axis, is_plain
from spikewright.graph.ir import Node, Param
from spikewright.integers import ranges
from spikewright.integers.building import Builder, whole
from spikewright.integers.errors import NoForm
from spikewright.integers.front import Front, moved_front
from spikewright.integers.layouts import own_shape, sources, where_from
from spikewright.integers.program import IntegerProgram, Kind, Operation
from spikewright.integers.windows import conv_windows, pool_windows
from spikewright.network import LayeredTiming, Site, SpikingNetwork

__all__ = ["Lowering", "lower"]


def lower(network: SpikingNetwork) -> IntegerProgram:
    """Write a network in integers as a flat list of operations.

    Args:
        network: What ``to_integer()`` returned: layered schedule, radix code, k = 2.

    Raises:
        ConfigError: If the network is another; see :func:`check_network`.
        UnsupportedModuleError: If it holds operators that a program cannot say; all are listed.
    """
    return Lowering(network).run()


class Lowering(Builder):
    """Says of every operator what it becomes."""

    def run(self) -> IntegerProgram:
        """Return the program; refuse all operators that it cannot say in one error."""
        refused, tail = list[str](), list[str]()
        for node in self.graph:
            kind = ops.kind(node)
            if kind == "shape" or node.shape is None:
                continue
            if self.flow[node.name].tail and kind != "site":
                unit = node.op == ops.SCALE and self.graph[node.inputs[0]].op == ops.READOUT
                tail.extend([] if unit else [f"{ops.describe(node)} at {node.where()}"])
                continue
            try:
                self._lower(node, kind)
            except NoForm as error:
                refused.append(f"{node.where()}: {ops.describe(node)} {error}")
                self.made[node.name] = Operation(
                    name=node.name,
                    kind="reshape",
                    inputs=(),
                    shape=own_shape(node),
                    low=0,
                    high=0,
                    depth=0,
                )  # so that what reads it is checked as well
        if refused:
            raise UnsupportedModuleError(
                "export: expected operators that an integer program can say, got "
                f"{'; '.join(refused)}. Replace them; docs/exports.md lists those that can."
            )
        timing = self.network.timing()
        delays: dict[str, int] = {}
        for line in timing.delays if isinstance(timing, LayeredTiming) else ():
            delays[line.source] = max(line.ticks, delays.get(line.source, 0))
        return IntegerProgram(
            steps=self.steps,
            operations=tuple(self.operations.values()),
            tensors=self.tensors,
            delays=delays,
            ticks=timing.latency_ticks,
            tail=tuple(tail),
            provenance=self.network.provenance,
        )

    def _lower(self, node: Node, kind: ops.Kind) -> None:
        name = node.inputs[0] if node.inputs else ""
        if kind == "input":
            self.fronts[node.name] = Front(node.name, own_shape(node))
        elif kind == "site":
            self._site(node)
        elif name in self.fronts:
            self._front(node, kind, self.fronts[name])
        elif kind == "layout":
            self._layout(node)
        elif kind == "weighted":
            self._weighted(node)
        elif kind == "pool":
            self._pool(node)
        elif kind == "add":
            self._add(node)
        elif kind == "hold":
            x = self.value(name)
            self.emit(node, "hold", (x,), (x.low, x.high))
        elif kind == "product":
            self.product(node)
        elif node.op == ops.SCALE:
            self.scale(node, self.value(name))
        elif kind == "mixing":
            self._sum(node, self.value(name))
        else:
            raise NoForm("between layers")

    def _front(self, node: Node, kind: ops.Kind, before: Front) -> None:
        """Follow the input up to where it is rounded; nothing else may be done to it."""
        if node.op == "aten.round.default":
            bits = int(self.network.provenance["integer"]["input_bits"])
            half = self.top << (bits - 1)
            settings = self._source(before) | {"bits": bits}
            gains = {f"gain{i}": gain for i, gain in enumerate(before.gains)}
            self.emit(
                node, "input", (), (-half, half - self.top),
                settings=settings, index=before.index, many=gains,
            )  # fmt: skip
        elif node.op == ops.SCALE:
            gain = self.broadcast(node, self.graph.params[node.params[0]].double())
            self.fronts[node.name] = before.scaled(gain)
        elif kind == "layout":
            self.fronts[node.name] = moved_front(self.graph, node, before)
        else:
            raise NoForm("in front of the network; do it to the inputs, outside the model")

    def _source(self, before: Front) -> dict[str, Any]:
        shape = own_shape(self.graph[before.source])
        return {"source": before.source, "source_shape": shape}

    def _site(self, node: Node) -> None:
        site = self.network.sites[node.name]
        settings: dict[str, Any]
        if node.op == ops.ANALOG_RELAY:
            raise NoForm("; convert without analog relays")
        if node.op == ops.READOUT:
            x = self.value(node.inputs[0])
            units = [u for u in self.graph.users()[node.name] if u.op == ops.SCALE]
            unit = self.broadcast(node, self.graph.params[units[0].params[0]]) if units else None
            outputs = self.graph.outputs
            named = [outputs.index(n.name) for n in (node, *units) if n.name in outputs]
            settings = {"output": named[0] if named else None}
            self.emit(node, "readout", (x,), (x.low, x.high), settings=settings, unit=unit)
            return
        threshold = self.broadcast(node, site.threshold.double())
        pre_bias = self.broadcast(node, site.pre_bias.double())
        if node.op == ops.INPUT_SITE:
            before = self.fronts[node.inputs[0]]
            settings = self._source(before) | {"signed": site.signed}
            gains = {f"gain{i}": gain for i, gain in enumerate(before.gains)}
            self.emit(
                node, "encode", (), self.span(site), settings=settings,
                index=before.index, threshold=threshold, pre_bias=pre_bias, many=gains,
            )  # fmt: skip
            return
        self.fire(node, site, self.value(node.inputs[0]), whole(threshold), whole(pre_bias))

    def fire(
        self, node: Node, site: Site, x: Operation, threshold: Tensor, pre_bias: Tensor
    ) -> None:
        """Append a population."""
        start = ranges.hull(pre_bias)
        if site.signed:
            start = (-start[1], start[1])
        potential = ranges.added(((x.low, x.high), start))
        highest = int(threshold.max()) << (self.steps - 1)
        register = (min(potential[0], -highest * site.signed), max(potential[1], highest))
        settings = {"signed": site.signed, "potential": potential, "register": register}
        self.emit(
            node, "fire", (x,), self.span(site),
            settings=settings, threshold=threshold, pre_bias=pre_bias,
        )  # fmt: skip

    def _layout(self, node: Node) -> None:
        names = sources(self.graph, node)
        if any(self.graph.params[p].is_floating_point() for p in node.params):
            raise NoForm("of a constant; add it as a bias")
        index, shape = where_from(self.graph, node, names), own_shape(node)
        read = [self.value(name) for name in names]
        flat, starts = index.flatten(), [0]
        for operation in read:
            starts.append(starts[-1] + operation.size)
        used = [
            i
            for i in range(len(read))
            if bool(((flat >= starts[i]) & (flat < starts[i + 1])).any())
        ]
        if len(used) < len(read):  # a split, or sizes that are read off another value
            shift = torch.zeros_like(flat)
            for i in range(len(read)):
                lost = sum(read[j].size for j in range(i) if j not in used)
                shift = torch.where(flat >= starts[i], lost, shift)
            flat, read = torch.where(flat >= 0, flat - shift, -1), [read[i] for i in used]
        span = (min(o.low for o in read), max(o.high for o in read))
        total = sum(o.size for o in read)
        if torch.equal(flat, torch.arange(total)):
            self.emit(node, "reshape" if len(read) == 1 else "concat", tuple(read), span)
        else:
            self.emit(node, "gather", tuple(read), span, index=flat.reshape(shape))

    def _weighted(self, node: Node) -> None:
        x = self.value(node.inputs[0])
        weight = whole(self.graph.params[node.args[1].name])
        added = node.args[2] if len(node.args) > 2 else None
        total = None if added is None else self.graph.params[added.name]
        if node.op == ops.AFFINE:
            gain = self.broadcast(node, weight)
            scaled = self.emit(
                node, "scale", (x,), ranges.multiplied(gain, (x.low, x.high)),
                name=f"{node.name}/gain", gain=gain,
            )  # fmt: skip
            if total is not None:
                self.bias(node, scaled, total)
            return
        settings: dict[str, Any]
        kind: Kind
        if node.op == "aten.linear.default":
            at = batch_axis(node.shape)
            if at is None or at.axis == len(node.shape or ()) - 1:
                raise NoForm("across the samples of a batch")
            kind, settings = "linear", {"rows": math.prod(own_shape(node)[:-1])}
        else:
            kind, settings = "conv", conv_windows(self.graph, node)
            weight = weight if weight.ndim == 4 else weight.unsqueeze(2)
        span = ranges.weighted(weight, (x.low, x.high), None if total is None else whole(total))
        bias = None if total is None else self.per_step(total)
        self.emit(node, kind, (x,), span, settings=settings, weight=weight, bias=bias)

    def _pool(self, node: Node) -> None:
        x = self.value(node.inputs[0])
        if not self.flow[node.inputs[0]].train:
            raise NoForm("of other values than spikes")
        if node.op == "aten.amax.default":
            x, settings = self._all_of_axes(node, x)
        else:
            settings = pool_windows(self.graph, node)
        self.emit(node, "max", (x,), (x.low, x.high), settings=settings)

    def _all_of_axes(self, node: Node, x: Operation) -> tuple[Operation, dict[str, Any]]:
        """Bring the axes that a maximum is taken over to the end; return them as one window."""
        axes = self._axes(node)
        rest = [i for i in range(len(x.shape)) if i not in axes]
        size = math.prod(x.shape[i] for i in axes)
        index = torch.arange(x.size).reshape(x.shape).permute(*rest, *axes).reshape(-1, 1, size)
        if not torch.equal(index.flatten(), torch.arange(x.size)):
            x = self.emit(
                node, "gather", (x,), (x.low, x.high),
                name=f"{node.name}/moved", shape=tuple(index.shape), index=index,
            )  # fmt: skip
        settings = {
            "input": tuple(index.shape),
            "output": (len(index), 1, 1),
            "kernel": (1, size),
            "stride": (1, 1),
            "padding": ((0, 0), (0, 0)),
            "dilation": (1, 1),
        }
        return x, settings

    def _axes(self, node: Node) -> list[int]:
        """Return the axes that an operator reduces, those of one sample."""
        before = self.graph[node.inputs[0]].shape or ()
        dims = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        full = sorted(d % len(before) for d in dims)
        return [d - is_plain(before) for d in full]

    def _add(self, node: Node) -> None:
        minus = node.op == "aten.sub.Tensor"
        first, second = node.args[:2]
        if ops.is_constant_add(node):
            x = self.value(node.inputs[0])
            if isinstance(first, Param):
                x = self.minus(node, x) if minus else x
                self.bias(node, x, self.graph.params[first.name])
            else:
                number = (
                    self.graph.params[second.name]
                    if isinstance(second, Param)
                    else torch.tensor(float(second))
                )
                self.bias(node, x, -number if minus else number)
            return
        a, b = self.value(first.name), self.value(second.name)
        b = self.minus(node, b) if minus else b
        a, b = (self.expanded(node, o, f"{node.name}/{i}") for i, o in enumerate((a, b)))
        self.emit(node, "add", (a, b), ranges.added(((a.low, a.high), (b.low, b.high))))

    def _sum(self, node: Node, x: Operation) -> None:
        if node.op == ops.WINDOW_SUM:
            matrices = [whole(self.graph.params[p]) for p in node.params]
            axes = list(range(len(x.shape) - len(matrices), len(x.shape)))
        elif node.op == "aten.sum.dim_IntList":
            axes = self._axes(node)
            matrices = [torch.ones(1, x.shape[a], dtype=torch.int64) for a in axes]
        else:
            raise NoForm("; use average pooling or nearest-neighbour upsampling")
        settings = {"axes": tuple(axes)}
        named = {f"axis{a}": m for a, m in zip(axes, matrices, strict=True)}
        span = ranges.covered(matrices, (x.low, x.high))
        self.emit(node, "sum", (x,), span, settings=settings, many=named)
