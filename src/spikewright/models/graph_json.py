# SPDX-License-Identifier: Apache-2.0
"""Networks described as data: a ``.graph.json`` file beside a file of weights.

This is how networks that come from other frameworks are stored exactly, with the uneven paddings
and odd activations that no model class of ours would have.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spikewright.errors import FileFormatError
from spikewright.models.graph_layers import ACTIVATIONS, OPERATORS, Node
from spikewright.models.weights import apply_state, load_state

__all__ = ["GRAPH_SUFFIX", "GraphModel", "from_graph_json"]

GRAPH_SUFFIX = ".graph.json"
COMMON_KEYS = frozenset({"op", "name", "inputs", "out", "act"})


@dataclasses.dataclass(frozen=True)
class _Step:
    """``out`` becomes ``layer(*inputs)``; the values in ``frees`` are not needed after it."""

    layer: str
    inputs: tuple[str, ...]
    out: str
    frees: tuple[str, ...]


class GraphModel(nn.Module):
    """A feed-forward network that runs the nodes of a graph file in their order.

    Every node is a sub-module under its own name, so parameters have the names of the weights file.

    Args:
        nodes: The nodes in execution order; the network's input is the value ``"x"``.
        output: Which value is the result.
        state: Name to tensor; decides the sizes of the layers, and is not yet copied into them.
    """

    def __init__(self, nodes: Sequence[Node], output: str, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._output = output
        self._steps = _steps(nodes, output)
        for node in nodes:
            *path, last = node.name.split(".")
            parent: nn.Module = self
            for part in path:
                if part not in dict(parent.named_children()):
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            operator = OPERATORS[node.op]
            own = {key.rpartition(".")[2]: state[key] for key in operator.parameter_names(node)}
            parent.add_module(last, operator.build(node, own))

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs "batch channel height width" to scores "batch class"."""
        values = {"x": x}
        for step in self._steps:
            layer = self.get_submodule(step.layer)
            values[step.out] = layer(*(values[name] for name in step.inputs))
            for name in step.frees:
                del values[name]
        return values[self._output]


def from_graph_json(path: str | Path, weights: str | Path | None = None) -> GraphModel:
    """Build a network from its graph file and weights, in eval mode and float32.

    Args:
        path: ``NAME.graph.json``: ``nodes`` in execution order, each with ``op`` (conv2d,
            batchnorm, maxpool, global_avgpool, linear, add, concat), ``inputs``, ``out`` and the
            settings of the op, and ``output``. ``pad_lrtb`` are zeros put left, right, top and
            bottom of a convolution's input; ``act`` (null, relu, relu6, leaky_relu_0.1) comes last.
        weights: Safetensors or a state dict. Default: ``NAME.safetensors`` beside the graph file.

    Returns:
        The network. Half-precision weights become float32.

    Raises:
        FileFormatError: If a file is missing or damaged, the graph says something unknown, or graph
            and weights do not fit.
    """
    path = Path(path)
    nodes, output = _read(path)
    beside = path.with_name(path.name.removesuffix(GRAPH_SUFFIX) + ".safetensors")
    state = load_state(weights or beside)
    wanted = {key for node in nodes for key in OPERATORS[node.op].parameter_names(node)}
    missing, unexpected = sorted(wanted - set(state)), sorted(set(state) - wanted)
    if missing or unexpected:
        raise FileFormatError(
            f"{path.name}: expected {len(wanted)} tensors in the weights file, got some "
            f"missing: {', '.join(missing) or 'none'}; unexpected: "
            f"{', '.join(unexpected) or 'none'}. Give the weights of this graph."
        )
    try:
        model = GraphModel(nodes, output, state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(
            f"{path.name}: expected settings that fit the weights, got a misfit ({error}). "
            "Give the weights of this graph."
        ) from error
    apply_state(model, state, path.name)
    return model.eval()


def _read(path: Path) -> tuple[tuple[Node, ...], str]:
    """Read and check a graph file."""
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a graph file, got no file. Check the path.")
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
        nodes = tuple(_node(entry) for entry in graph["nodes"])
        output = str(graph["output"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(
            f"{path.name}: expected a graph of nodes and an output, got something else "
            f"({type(error).__name__}: {error}). It may be truncated: copy it again."
        ) from error
    problems = [problem for node in nodes for problem in _problems(node)]
    known = {"x"}
    for node in nodes:
        problems += [
            f"{node.out} takes {name} before it is made"
            for name in node.inputs
            if name not in known
        ]
        known.add(node.out)
    if output not in known - {"x"}:
        problems.append(f"output {output} is never made")
    names = [node.name for node in nodes]
    problems += [
        f"two nodes are called {name}" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise FileFormatError(
            f"{path.name}: expected nodes of known operators in execution order, got: "
            f"{'; '.join(problems)}. Correct the graph file."
        )
    return nodes, output


def _node(entry: Mapping[str, Any]) -> Node:
    return Node(
        op=entry["op"],
        name=entry.get("name", entry["out"]),
        inputs=tuple(entry["inputs"]),
        out=entry["out"],
        act=entry.get("act"),
        settings={key: value for key, value in entry.items() if key not in COMMON_KEYS},
    )


def _problems(node: Node) -> list[str]:
    """Say what one node holds that is unknown, and what it lacks."""
    if node.op not in OPERATORS:
        return [f"{node.out} has op {node.op!r}, known: {', '.join(OPERATORS)}"]
    operator = OPERATORS[node.op]
    problems = [
        f"{node.out} ({node.op}) lacks {key}"
        for key in operator.required
        if key not in node.settings
    ]
    known = {*operator.required, *operator.optional}
    problems += [f"{node.out} ({node.op}) has {key!r}" for key in node.settings if key not in known]
    if node.act not in ACTIVATIONS:
        acts = ", ".join(str(act) for act in ACTIVATIONS)
        problems.append(f"{node.out} has act {node.act!r}, known: {acts}")
    return problems


def _steps(nodes: Sequence[Node], output: str) -> tuple[_Step, ...]:
    """Order is given; find after which node each value is last needed."""
    last_use = {
        name: position for position, node in enumerate(nodes) for name in (node.out, *node.inputs)
    }
    last_use[output] = len(nodes)
    return tuple(
        _Step(
            node.name,
            node.inputs,
            node.out,
            tuple(name for name, last in last_use.items() if last == position),
        )
        for position, node in enumerate(nodes)
    )
