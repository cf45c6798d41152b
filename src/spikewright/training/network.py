# SPDX-License-Identifier: Apache-2.0
"""A captured graph as a module that can be trained, with an activation module at every site."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import Graph, Node, ops
from spikewright.graph.activation import activate
from spikewright.graph.batch import Shape
from spikewright.graph.ir import Arg, Param, Ref
from spikewright.graph.program import resolve_operator
from spikewright.training import processes

__all__ = ["BATCH_NORM", "SITES", "TrainableNetwork", "safe_name"]

BATCH_NORM = "aten._native_batch_norm_legit_no_training.default"
SITES = "sites"
_CONSTANTS = "constants"
MOMENTUM = 0.1  # of running statistics where the captured batch norm says none


class TrainableNetwork(nn.Module):
    """Runs a graph node by node, with the parameters of the model that it was captured from.

    Tensors keep their dotted names, so ``state_dict()`` has the keys of the original model, and
    ``sites.NAME.cap`` for every site in addition. Nodes run inside a module of their original path,
    so that layers keep their names when the network is captured again: it converts like any model.

    In training mode batch norms use the statistics of the batch and update the running ones; in
    evaluation mode they use the running ones. **Dropout is not in here**: a model is captured in
    evaluation mode, where dropout does nothing. Other operators that behave differently during
    training (drop path, for example) are captured as they are in evaluation, too.

    Args:
        graph: Captured and simplified, batch norms not folded, with sites placed where there are
            modules for them; not changed, its tensors are copied.
        sites: Node name to the module that stands for it.
        state: The original model's own tensors, those included that the graph does not read.
        trainable: Those of ``state`` that are parameters, and whether they ask for gradients.
        settings: How the sites were made, JSON-able; kept in checkpoints.

    Raises:
        UnsupportedModuleError: If a name of the model is taken by this class.
    """

    def __init__(
        self,
        graph: Graph,
        sites: Mapping[str, nn.Module],
        state: Mapping[str, Tensor],
        trainable: Mapping[str, bool],
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__()
        for name in (*state, *(n.module for n in graph)):
            if name.partition(".")[0] in (SITES, _CONSTANTS):
                raise _taken(name)
        self._settings = dict(settings)
        self._graph = graph.copy()
        self._tensors: dict[str, tuple[str, str]] = {}  # tensor name to module path and attribute
        self._add_tensors(state, trainable)
        self._graph.params = {}
        for node in graph:
            _scope(self, node.module)
        self.sites = nn.ModuleDict({safe_name(name): module for name, module in sites.items()})
        self._steps = _plan(self._graph, self.sites)

    @property
    def settings(self) -> dict[str, Any]:
        """How the sites were made."""
        return dict(self._settings)

    @property
    def input_shape(self) -> Shape:
        """Shape of the input, None for the batch."""
        return self._graph.input_shapes[0]

    def site_of(self, node: str) -> nn.Module | None:
        """Return the module that stands for a node of the graph, None if there is none."""
        name = safe_name(node)
        return dict(self.sites.items()).get(name)

    def weights(self) -> dict[str, Tensor]:
        """Return the tensors that the original model has, under their own names.

        Loaded into the original architecture they make a network for ``convert`` whose sites are
        given in another way, e.g. a directly trained one (method ``stbp``).
        """
        return {n: t for n, t in self.state_dict().items() if n.partition(".")[0] != SITES}

    def digest(self) -> str:
        """Return SHA-256 over the architecture, 64 hexadecimal digits; weights do not count."""
        shapes = {n: [list(t.shape), str(t.dtype)] for n, t in self.state_dict().items()}
        constants = {
            name: self._tensor(name).tolist()
            for name in sorted(self._tensors)
            if name not in shapes
        }
        nodes = [
            {k: v for k, v in node.items() if k != "source"}
            for node in self._graph.to_dict()["nodes"]
        ]
        text = json.dumps([nodes, shapes, constants, self._settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def forward(self, x: Tensor) -> Any:  # noqa: ANN401 - what the original returns
        """Run the network on a batch, "batch *feature"; several outputs come as a tuple."""
        env: dict[str, Any] = {self._graph.inputs[0]: x}
        for step in self._steps:
            env[step.node.name] = step(self, env)
            for name in step.drop:
                del env[name]
        results = tuple(env[name] for name in self._graph.outputs)
        return results[0] if len(results) == 1 else results

    def _add_tensors(self, state: Mapping[str, Tensor], trainable: Mapping[str, bool]) -> None:
        """Register every tensor under its own name; tensors that were one stay one."""
        made: dict[int, Tensor] = {}
        for name, tensor in state.items():
            if id(tensor) not in made:
                copy = tensor.detach().clone()
                if name in trainable:
                    copy = nn.Parameter(copy, requires_grad=trainable[name])
                made[id(tensor)] = copy
            self._register(name, made[id(tensor)], persistent=True)
        for number, name in enumerate(n for n in self._graph.params if n not in state):
            value = self._graph.params[name].detach().clone()
            self._register(f"{_CONSTANTS}.c{number}", value, persistent=False, key=name)

    def _register(self, name: str, tensor: Tensor, *, persistent: bool, key: str = "") -> None:
        path, _, attribute = name.rpartition(".")
        owner = _scope(self, path)
        if hasattr(owner, attribute):
            raise _taken(name)
        if isinstance(tensor, nn.Parameter):
            owner.register_parameter(attribute, tensor)
        else:
            owner.register_buffer(attribute, tensor, persistent=persistent)
        self._tensors[key or name] = (path, attribute)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of the graph by its name there."""
        return self._tensor(name)

    def _tensor(self, name: str) -> Tensor:
        path, attribute = self._tensors[name]
        tensor: Tensor = getattr(self.get_submodule(path), attribute)
        return tensor

    def counter_of(self, mean: str) -> Tensor | None:
        """Return the batch counter that lies beside a running mean, None if there is none."""
        name = f"{mean.rpartition('.')[0]}.num_batches_tracked".removeprefix(".")
        return self._tensor(name) if name in self._tensors else None


class _Scope(nn.Module):
    """Stands at a module path of the original model: holds its tensors, runs its operators."""

    def forward(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return fn(*args, **kwargs)


class _Step:
    """One node to run, where, and what to drop afterwards."""

    def __init__(self, node: Node, drop: tuple[str, ...], site: str | None) -> None:
        self.node, self.drop, self.site = node, drop, site

    def __call__(self, network: TrainableNetwork, env: dict[str, Any]) -> Any:  # noqa: ANN401
        node = self.node

        def value(arg: Arg) -> Any:  # noqa: ANN401 - tensors or data
            if isinstance(arg, Ref):
                return env[arg.name]
            if isinstance(arg, Param):
                return network._tensor(arg.name)
            return [value(a) for a in arg] if isinstance(arg, tuple) else arg

        if self.site is not None:
            return network.sites[self.site](env[node.inputs[0]])
        if ops.kind(node) == "site":
            return activate(node, env[node.inputs[0]])
        args = tuple(value(a) for a in node.args)
        scope = network.get_submodule(node.module) if node.module else None
        if node.op == BATCH_NORM:
            counter = network.counter_of(node.args[3].name) if node.args[3] else None
            call: Callable[..., Any] = _batch_norm
            args, kwargs = (network.training, counter, *args), {}
        else:
            call = resolve_operator(node.op)
            kwargs = {k: value(v) for k, v in node.kwargs.items()}
        result = call(*args, **kwargs) if scope is None else scope(call, *args, **kwargs)
        picked = node.pick is not None and node.op != BATCH_NORM
        return result[node.pick] if picked else result


def _plan(graph: Graph, sites: nn.ModuleDict) -> list[_Step]:
    """Say in which order to run what, and after which step a value is not needed any more."""
    last = {name: node.name for node in graph for name in node.inputs}
    steps = []
    for node in graph:
        if node.op == ops.INPUT:
            continue
        drop = tuple(
            n for n in dict.fromkeys(node.inputs) if last[n] == node.name and n not in graph.outputs
        )
        name = safe_name(node.name)
        steps.append(_Step(node, drop, name if name in sites else None))
    return steps


def _batch_norm(
    training: bool,
    counter: Tensor | None,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise a batch; in training also follow its statistics."""
    momentum = momentum or MOMENTUM
    if training and counter is not None:
        counter.add_(1)
    if training and processes.count() > 1:
        return processes.batch_norm(x, mean, var, weight, bias, momentum, eps)
    return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps)


def safe_name(node: str) -> str:
    """Turn a node's name into one that a module can have.

    Example:
        >>> safe_name("layer1.0/relu_1")
        'layer1_0-relu_1'
    """
    return re.sub(r"[^\w-]", "_", node.replace("/", "-"))


def _scope(network: nn.Module, path: str) -> nn.Module:
    """Return the module at a path, made where it is missing."""
    owner = network
    for part in path.split(".") if path else ():
        if not hasattr(owner, part):
            owner.add_module(part, _Scope())
        owner = getattr(owner, part)
        if not isinstance(owner, _Scope):
            raise _taken(path)
    return owner


def _taken(name: str) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"{name}: expected a name that nn.Module and {SITES!r} leave free, got one that is taken. "
        "Rename this part of the model."
    )
