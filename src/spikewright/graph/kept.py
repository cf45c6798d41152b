# SPDX-License-Identifier: Apache-2.0
"""Graphs that were captured are kept while their models live and nothing about them changes."""

import dataclasses
import threading
import weakref
from collections.abc import Callable

from torch import nn

from spikewright.graph.calls import Call
from spikewright.graph.fingerprint import Fingerprint, fingerprint
from spikewright.graph.ir import Graph

__all__ = ["MOST", "kept"]

MOST = 4
"""How many graphs are kept, one a model."""
reference_to = weakref.ref
"""How models are held."""


@dataclasses.dataclass(frozen=True)
class _Kept:
    model: Callable[[], nn.Module | None]
    depends: Fingerprint
    graph: Graph


_lock = threading.RLock()
_graphs: dict[int, _Kept] = {}  # by the model's id, the oldest first


def kept(model: nn.Module, call: Call, make: Callable[[], Graph]) -> Graph:
    """Return a model's graph: one kept of a model that is equal in all it depends on, or a new one.

    One graph is made at a time, whatever the number of threads. A graph is kept as long as the
    model that it was made of lives, unchanged or not looked at again.

    Args:
        model: The model; it is held weakly.
        call: The arguments that it is captured with.
        make: Captures it.

    Returns:
        A graph whose nodes and tensors are the caller's own.
    """
    with _lock:
        depends = fingerprint(model, call)
        for number, found in _graphs.copy().items():  # a model may go, and its graph, at any time
            if found.depends == depends:  # what is kept depends on something
                if _graphs.pop(number, None) is not None:
                    _graphs[number] = found
                return _copied(found.graph)
        _graphs.pop(id(model), None)
        graph = make()
        if depends is not None and depends == fingerprint(model, call):
            number = id(model)
            reference = reference_to(model, lambda dead: _forget(number, dead))
            _graphs[number] = _Kept(reference, depends, _copied(graph))
            while len(_graphs) > MOST:
                _graphs.pop(next(iter(_graphs)), None)
        return graph


def _forget(number: int, dead: weakref.ref[nn.Module]) -> None:
    found = _graphs.get(number)
    if found is not None and found.model is dead:
        _graphs.pop(number, None)


def _copied(graph: Graph) -> Graph:
    params = {name: tensor.clone() for name, tensor in graph.params.items()}
    return dataclasses.replace(graph, nodes=dict(graph.nodes), params=params)
