# SPDX-License-Identifier: Apache-2.0
"""Networks described as data: a ``.graph.json`` file beside a file of weights.

This is how networks that come from other frameworks are stored exactly, with the uneven paddings
and odd activations that no model class of ours would have.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spikewright.errors import FileFormatError
from spikewright.files import parse_json, read_text
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
    odd = [
        f"{node.name}.{last}"
        for node in nodes
        for last in OPERATORS[node.op].parameters[:1]
        if state[f"{node.name}.{last}"].ndim != OPERATORS[node.op].axes
        or not state[f"{node.name}.{last}"].numel()
    ]
    if odd:
        raise FileFormatError(
            f"{path.name}: expected weights with as many axes as their operators have, got others "
            f"in {', '.join(odd[:8])}. Give the weights of this graph."
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
    try:
        graph = parse_json(read_text(path, "a graph file"), finite=True)
        nodes = tuple(_node(entry) for entry in graph["nodes"])
        output = _text(graph["output"])
    except FileFormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
    for what, found in (
        ("nodes are called", [node.name for node in nodes]),
        ("nodes make", ["x", *(node.out for node in nodes)]),
    ):
        problems += [f"two {what} {name}" for name, n in Counter(found).items() if n > 1]
    if problems:
        raise FileFormatError(
            f"{path.name}: expected nodes of known operators in execution order, got: "
            f"{'; '.join(problems)}. Correct the graph file."
        )
    return nodes, output


def _node(entry: Mapping[str, Any]) -> Node:
    return Node(
        op=_text(entry["op"]),
        name=_text(entry.get("name", entry["out"])),
        inputs=tuple(map(_text, entry["inputs"] if isinstance(entry["inputs"], list) else [None])),
        out=_text(entry["out"]),
        act=None if entry.get("act") is None else _text(entry["act"]),
        settings={key: value for key, value in entry.items() if key not in COMMON_KEYS},
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected a name, got {str(value)[:40]!r}")
    return value


def _problems(node: Node) -> list[str]:
    """Say what one node holds that is unknown, and what it lacks."""
    if node.op not in OPERATORS:
        return [f"{node.out} has op {node.op!r}, known: {', '.join(OPERATORS)}"]
    operator = OPERATORS[node.op]
    where, known = f"{node.out} ({node.op})", {s.name: s for s in operator.settings}
    problems = [
        f"{where} lacks {name}"
        for name, setting in known.items()
        if name not in node.settings and not setting.optional
    ]
    for name, value in node.settings.items():
        problem = known[name].problem(value) if name in known else repr(name)
        problems += [f"{where} has {problem}"] if problem else []
    if len(node.inputs) != (operator.inputs or max(1, len(node.inputs))):
        problems.append(f"{where} takes {len(node.inputs)} inputs, not {operator.inputs or 1}")
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
