# SPDX-License-Identifier: Apache-2.0
"""A synchronous integrate-and-fire network as a NIR graph, where NIR's words mean what we do.

NIR says dynamics in continuous time; we mean them read in steps of ``DT`` with v ← v + dt·R·I and
R = 1/dt, what enters first and spikes then. What a spike does to the potential depends on the
installed version: up to 1.0.4 an IF subtracts its threshold, from 1.0.5 on it is set to v_reset.
"""

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports.nir_nodes import Nodes, as_array
from spikewright.graph import ops
from spikewright.graph.ir import Node
from spikewright.integers.errors import NoForm
from spikewright.integers.layouts import own_shape
from spikewright.integers.windows import conv_windows, pool_windows
from spikewright.network import Site, SpikingNetwork

__all__ = ["DT", "NIRModel", "nir_model", "write_nir"]

DT = 1e-4
"""Seconds of a step: what the readers that we know assume unless told otherwise."""

_NO_WORD = {
    "burst": "sends several spikes in a step",
    "consistent-if": "takes spikes back and counts them",
    "poisson": "draws random numbers",
    "lif": "leaks once a step, not in continuous time",
}


@dataclasses.dataclass(frozen=True)
class NIRModel:
    """A graph, and what its nodes are in the network.

    Attributes:
        graph: The ``nir.NIRGraph``.
        facts: For the manifest: version, dt, populations, read-outs, what is not exported.
    """

    graph: Any
    facts: Mapping[str, Any]


def nir_model(network: SpikingNetwork) -> NIRModel:
    """Write a network as a NIR graph.

    A soft-reset population is an ``IF`` where that subtracts (nir up to 1.0.4) and no potential
    is there before the first step; else three nodes: an integrator ``I``, a ``Threshold`` behind
    it, and a ``Scale`` that brings −θ back for every spike. A hard-reset one is an ``IF`` from
    nir 1.0.5 on; its potential is counted from where it starts, so that this is 0. NIR fires at
    v > threshold and we at v ≥ θ, so the threshold is the next smaller number.

    Args:
        network: A network in floating point with the synchronous schedule.

    Raises:
        ConfigError: If the package is missing, or the network has another schedule or is rounded.
        UnsupportedModuleError: If NIR has no word for something; all of it is listed.
    """
    try:
        nir = import_module("nir")
    except ImportError as error:
        raise ConfigError(
            "export: expected the package nir, got none. pip install spikewright[nir]"
        ) from error
    if network.schedule.name != "synchronous":
        raise ConfigError(
            "export to nir: expected the synchronous schedule, in which all layers work in every "
            f"step, got {network.schedule.name}. Convert with the method rueckauer or rmp."
        )
    if network.integer:
        raise ConfigError(
            "export to nir: expected a network in floating point, got one in integers, whose "
            "inputs are rounded, which NIR cannot say. Export the network before to_integer()."
        )
    return _Model(network, nir).made()


def write_nir(path: Path, graph: Any) -> None:  # noqa: ANN401 - a nir.NIRGraph
    """Write a graph as NIR's own file."""
    import_module("nir").write(path, graph)


class _Model(Nodes):
    """Says of every operator what it becomes."""

    def made(self) -> NIRModel:
        refused: list[str] = []
        for node in self.graph:
            if ops.kind(node) == "shape" or node.shape is None:
                continue
            try:
                self._node(node)
            except NoForm as error:
                refused.append(f"{node.where()}: {ops.describe(node)} {error}")
                self.source[node.name] = ()
        if not self.populations and not refused:
            refused.append("no population that fires")
        if refused:
            raise UnsupportedModuleError(
                f"export to nir: expected what NIR {self.nir.version} can say, got "
                f"{'; '.join(refused)}. docs/exports.md lists what it can."
            )
        for name in self.readouts.values():
            node = self.graph[name]
            shape = np.array(own_shape(node))
            output = self.fresh(f"{name}/output")
            self.nodes[output] = self.nir.Output(output_type={"output": shape})
            self.connect(node.name, output)
        try:
            graph = self.nir.NIRGraph(self.nodes, self.edges)
        except (ValueError, NotImplementedError) as error:
            raise UnsupportedModuleError(
                f"export to nir: nir {self.nir.version} does not take the graph: {error}. "
                "Use square kernels, and one input."
            ) from error
        facts = {
            "nir": self.nir.version,
            "dt": DT,
            "steps": self.network.steps,
            "populations": self.populations,
            "outputs": {n: [self.source[s][0]] for n, s in self.readouts.items()},
            "not_exported": self.tail,
        }
        return NIRModel(graph, facts)

    def _node(self, node: Node) -> None:
        kind = ops.kind(node)
        unit = node.op == ops.SCALE and bool(node.inputs) and node.inputs[0] in self.readouts
        if self.flow[node.name].tail and node.op != ops.READOUT and not unit:
            self.tail.append(f"{ops.describe(node)} at {node.where()}")
            self.source[node.name] = ()
        elif kind == "input":
            shape = np.array(own_shape(node))
            self.emit(node, self.nir.Input(input_type={"input": shape}))
        elif kind == "site":
            self._site(node)
        elif kind == "add":
            self._add(node)
        elif kind == "weighted":
            self._weighted(node)
        elif node.op == ops.SCALE:
            gain = self.graph.params[node.params[0]]
            self.emit(node, self.nir.Scale(scale=self.full(gain, node)))
            if unit:
                self.readouts[node.inputs[0]] = node.name
        elif kind == "mixing":
            self._average(node)
        elif kind == "layout":
            self._flatten(node)
        elif kind == "pool":
            raise NoForm("of spikes: NIR has no maximum; use average pooling")
        else:
            raise NoForm("has no node in NIR")

    def _site(self, node: Node) -> None:
        site = self.network.sites[node.name]
        if node.op == ops.ANALOG_RELAY:
            raise NoForm("sends no spikes; convert without analog relays")
        if node.op == ops.READOUT:
            self.source[node.name] = self.source[node.inputs[0]]
            self.readouts[node.name] = node.name
            return
        if site.signed:
            raise NoForm("sends signed spikes; NIR's are 0 or 1")
        if site.neuron in _NO_WORD or site.neuron not in ("if-soft", "if-hard"):
            why = _NO_WORD.get(site.neuron, "is no integrate-and-fire neuron")
            raise NoForm(f"of {site.neuron} neurons: each {why}")
        if not site.function.by_firing:
            raise NoForm(f"with the function {site.function.name}, which NIR has no word for")
        self._neurons(node, site)

    def _neurons(self, node: Node, site: Site) -> None:
        firing, nir = self.network.firing(node.name), self.nir
        theta, start = self.full(firing.threshold, node), self.full(firing.v_init, node)
        below = np.nextafter(theta - start, np.array(-np.inf, theta.dtype))
        rate = np.full_like(theta, 1.0 / DT)
        if site.neuron == "if-hard":
            if self.subtracts:
                raise NoForm(
                    f"with reset to zero: an IF of nir {nir.version} subtracts its threshold; "
                    "install nir 1.0.8"
                )
            form, made = "IF", nir.IF(r=rate, v_threshold=below, v_reset=0.0 - start)
        elif self.subtracts and not start.any():
            form, made = "IF", nir.IF(r=rate, v_threshold=below)
        else:
            form, made = "I, Threshold, Scale", nir.Threshold(threshold=below)
        if form == "IF":
            spikes = self.emit(node, made)
        else:
            v = self.emit(node, nir.I(r=rate), f"{node.name}/v")
            spikes, back = self.fresh(node.name), self.fresh(f"{node.name}/reset")
            self.nodes |= {spikes: made, back: nir.Scale(scale=-theta)}
            self.edges += [(v, spikes), (spikes, back), (back, v)]
            self.source[node.name] = (spikes,)
        self.populations[node.name] = {"node": spikes, "form": form}

    def _add(self, node: Node) -> None:
        if ops.is_constant_add(node):
            raise NoForm("of a constant; give it to a layer as its bias")
        if node.op != "aten.add.Tensor" or node.kwargs:
            raise NoForm("; NIR adds what enters a node, and nothing else")
        if len({own_shape(node), *(own_shape(self.graph[n]) for n in node.inputs)}) > 1:
            raise NoForm("of values of several shapes")
        first, second = node.args[:2]
        self.source[node.name] = self.source[first.name] + self.source[second.name]

    def _weighted(self, node: Node) -> None:
        weight = as_array(self.graph.params[node.args[1].name])
        given = node.args[2] if len(node.args) > 2 else None
        bias = None if given is None else as_array(self.graph.params[given.name])
        if node.op == "aten.linear.default":
            if len(own_shape(node)) != 1:
                raise NoForm("over several rows; NIR's takes one vector")
            made = self.nir.Linear(weight=weight)
            self.emit(node, made if bias is None else self.nir.Affine(weight=weight, bias=bias))
            return
        if node.op == ops.AFFINE:
            raise NoForm("that is not part of a layer")
        windows = conv_windows(self.graph, node)
        if any(a != b for a, b in windows["padding"]):
            raise NoForm("with padding that differs between sides")
        if windows["groups"] != 1:
            raise NoForm("in groups, whose shapes NIR's own check does not take")
        padding = tuple(a for a, _ in windows["padding"])
        rows = slice(1, 2) if weight.ndim == 3 else slice(0, 2)
        size = windows["input"][1:][rows]
        how = {n: windows[n][rows] for n in ("stride", "dilation")} | {"padding": padding[rows]}
        if weight.ndim == 3:
            how = {name: value[0] for name, value in how.items()}
        bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
        conv = self.nir.Conv1d if weight.ndim == 3 else self.nir.Conv2d
        shape = size[0] if weight.ndim == 3 else size
        self.emit(node, conv(input_shape=shape, weight=weight, groups=1, bias=bias, **how))

    def _average(self, node: Node) -> None:
        before = self.graph[node.inputs[0]]
        rows = own_shape(before)[1:]
        whole = node.op == "aten.mean.dim" and self._spatial(node, before)
        given: list[Any] = list(node.args[4:7])
        given += (False, True, None)[len(given) :]
        ceil, include, divisor = given
        padded = len(node.args) > 3 and any(_numbers(node.args[3]))
        plain = "avg_pool2d" in node.op and not (ceil or divisor or (padded and not include))
        if len(rows) != 2 or not (whole or plain):
            raise NoForm("; use plain average pooling over rows and columns")
        if whole:
            kernel = stride = rows
            padding = [(0, 0), (0, 0)]
        else:
            windows = pool_windows(self.graph, node)
            kernel, stride, padding = (windows[n] for n in ("kernel", "stride", "padding"))
        how = {"kernel_size": kernel, "stride": stride, "padding": [a for a, _ in padding]}
        made = self.nir.AvgPool2d(**{n: np.array(v) for n, v in how.items()})
        pooled = self.emit(node, made)
        if whole and own_shape(node) != (own_shape(before)[0], 1, 1):
            shape = np.array((own_shape(before)[0], 1, 1))
            flat = self.fresh(f"{node.name}/flat")
            self.nodes[flat] = self.nir.Flatten({"input": shape}, start_dim=0, end_dim=-1)
            self.edges.append((pooled, flat))
            self.source[node.name] = (flat,)

    def _spatial(self, node: Node, before: Node) -> bool:
        axes = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        return sorted(a % len(before.shape or ()) for a in axes) == [2, 3]

    def _flatten(self, node: Node) -> None:
        before, after = own_shape(self.graph[node.inputs[0]]), own_shape(node)
        reshapes = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten")
        if not any(f"aten.{name}." in node.op for name in reshapes):
            raise NoForm("; NIR moves no elements, it only flattens")
        if before == after:
            self.source[node.name] = self.source[node.inputs[0]]
        elif len(after) == 1:
            shape = {"input": np.array(before)}
            self.emit(node, self.nir.Flatten(shape, start_dim=0, end_dim=-1))
        else:
            raise NoForm(f"from {before} to {after}; NIR only flattens whole maps")


def _numbers(value: Any) -> tuple[int, ...]:  # noqa: ANN401 - a number or several
    return tuple(value) if isinstance(value, tuple | list) else (value,)
