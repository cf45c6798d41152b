# SPDX-License-Identifier: Apache-2.0
"""A NIR graph under construction: nodes and edges, by names that can be Python's."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.graph.ir import Node
from spikewright.graph.sites import flow
from spikewright.integers.layouts import own_shape
from spikewright.network import SpikingNetwork

__all__ = ["Nodes", "as_array"]


class Nodes:
    """The nodes and edges so far.

    Args:
        network: The network.
        nir: The package.
    """

    def __init__(self, network: SpikingNetwork, nir: Any) -> None:  # noqa: ANN401 - a module
        self.network, self.graph, self.nir = network, network.graph, nir
        self.flow = flow(self.graph)
        self.subtracts = "v_reset" not in {f.name for f in dataclasses.fields(nir.IF)}
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.source: dict[str, tuple[str, ...]] = {}  # node of ours to those whose sum it is
        self.populations: dict[str, dict[str, str]] = {}
        self.readouts: dict[str, str] = {}
        self.tail: list[str] = []

    def fresh(self, name: str) -> str:
        """Return a name that readers can make a Python name of."""
        base = "".join(c if c.isalnum() else "_" for c in name)
        base = f"n{base}" if base[0].isdigit() else base
        found, count = base, 0
        while found in self.nodes:
            found, count = f"{base}_{(count := count + 1)}", count
        return found

    def connect(self, source: str, target: str) -> None:
        """Let what gives a value enter a node."""
        names = self.source[source]
        for name in names:
            if (name, target) in self.edges:  # the same value twice: NIR has no double edges
                again = self.fresh(f"{name}/again")
                shape = self.nodes[name].output_type["output"]
                self.nodes[again] = self.nir.Scale(scale=np.ones(tuple(shape), np.float32))
                self.edges += [(name, again), (again, target)]
            else:
                self.edges.append((name, target))

    def emit(self, node: Node, made: Any, name: str = "") -> str:  # noqa: ANN401 - a nir node
        """Add a node that reads what ``node`` reads, and gives what it gives."""
        name = self.fresh(name or node.name)
        self.nodes[name] = made
        if node.inputs:
            self.connect(node.inputs[0], name)
        self.source[node.name] = (name,)
        return name

    def full(self, value: float | Tensor, node: Node) -> Any:  # noqa: ANN401 - a numpy array
        """Return a number, or one a channel, for every neuron of a population."""
        tensor = torch.as_tensor(value, dtype=self.network.dtype)
        shape = own_shape(node)
        tensor = tensor.squeeze(0) if tensor.ndim > len(shape) else tensor
        return as_array(tensor.expand(shape))


def as_array(value: Tensor) -> Any:  # noqa: ANN401 - a numpy array
    """Return a tensor as NumPy's."""
    return value.detach().cpu().contiguous().numpy()
