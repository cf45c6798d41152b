# SPDX-License-Identifier: Apache-2.0
"""Plan once, run often: a graph (or a part of it) as a list of steps with nothing left to decide.

Values are dropped after their last reader, and an addition is done in the memory of an operand
that nobody else needs, so that a run takes no more memory than the model's own forward.
"""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import FileFormatError
from spikewright.graph import kernels, ops
from spikewright.graph.function_units import is_function, operations_of
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref

__all__ = ["Program", "SiteFunction", "resolve_operator", "run_node", "visit"]

SiteFunction = Callable[[Node, Tensor, bool], Tensor]
"""What a site does to its input: node, value, whether the value's memory may be overwritten."""

_OPERATORS: dict[str, Callable[..., Any]] = {
    f"operator.{name}": getattr(operator, name)
    for name in ("getitem", "add", "sub", "mul", "floordiv", "truediv", "mod", "neg")
}


def _affine(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return torch.addcmul(bias, x, gain)


def _scale(x: Tensor, gain: Tensor) -> Tensor:
    return x * gain


def _scale_(x: Tensor, gain: Tensor) -> Tensor:
    return x.mul_(gain) if x.is_floating_point() else x * gain


def _hold(x: Tensor) -> Tensor:
    return x


def _product(left: Tensor, right: Tensor, by: str) -> Tensor:
    return torch.matmul(left, right) if by == "matmul" else left * right


def _window_sum(x: Tensor, *matrices: Tensor) -> Tensor:
    for axis, matrix in enumerate(matrices, start=x.ndim - len(matrices)):
        x = torch.matmul(x.movedim(axis, -1), matrix.to(x.dtype).T).movedim(-1, axis)
    return x


_OPERATORS |= {
    ops.AFFINE: _affine,
    ops.SCALE: _scale,
    ops.WINDOW_SUM: _window_sum,
    ops.HOLD: _hold,
    ops.PRODUCT: _product,
}


def resolve_operator(op: str) -> Callable[..., Any]:
    """Return the function behind an operator name.

    Only PyTorch's own operators and integer arithmetic on shapes can be named, so that a file
    cannot make the program call anything else.

    Raises:
        FileFormatError: If there is no such operator.
    """
    if op in _OPERATORS:
        return _OPERATORS[op]
    parts = op.split(".")
    if len(parts) == 3 and parts[0] == "aten":
        packet = getattr(torch.ops.aten, parts[1], None)
        if packet is not None and parts[2] in packet.overloads():
            return getattr(packet, parts[2])  # type: ignore[no-any-return]
    raise FileFormatError(f"operator {op!r}: not one that a network may call.")


_FRESH = ("weighted", "mixing", "add")


class _Step:
    """One planned call: where its arguments are, what to drop afterwards."""

    __slots__ = ("call", "drop", "fn", "node", "overwrite")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.fn: Callable[..., Any] | None = None
        self.drop: tuple[str, ...] = ()
        self.overwrite = False
        self.call: Callable[[dict[str, Any]], Tensor] | None = None


class Program:
    """An executable plan of a graph, or of the part between given values and wanted ones.

    Args:
        graph: The graph.
        outputs: Names of the wanted nodes; the graph's own outputs by default.
        given: Names of nodes whose values will be passed in, the graph's inputs by default; what
            lies in front of them is not run.
        site: What spiking sites and max pools of spikes do; required if any is in the plan.
        params: Tensors that replace the graph's own, by name.
        pools: Whether max pools are handed to ``site`` too.
        fast: Whether convolutions may run through faster kernels, whose results can differ from
            the model's in the last bit, and factors be multiplied in place, which gradients do not
            survive. Read-outs then pass on the memory that they are given.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        outputs: Iterable[str] | None = None,
        given: Iterable[str] | None = None,
        site: SiteFunction | None = None,
        params: Mapping[str, Tensor] | None = None,
        pools: bool = False,
        fast: bool = False,
    ) -> None:
        self.outputs = tuple(graph.outputs if outputs is None else outputs)
        self.given = tuple(graph.inputs if given is None else given)
        self._params: dict[str, Tensor] = {**graph.params, **(params or {})}
        self._site = site
        self._pools = pools
        self._fast = fast
        self._steps = self._plan(graph)

    def _plan(self, graph: Graph) -> list[_Step]:
        nodes = self._needed(graph)
        position = {n.name: i for i, n in enumerate(nodes)}
        readers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        kept, free = set(self.outputs), set[str]()
        for node in nodes:
            alone = len(readers.get(node.name, ())) == 1 and node.name not in kept
            if alone and (ops.kind(node) in _FRESH or (self._fast and _is_fresh(node, free))):
                free.add(node.name)
        fused = {
            n.name: n
            for n in nodes
            if n.op == ops.SCALE and n.name in free and _is_sum(readers[n.name][0])
        }
        last = {
            name: max(position[readers[r.name][0].name if r.name in fused else r.name] for r in rs)
            for name, rs in readers.items()
        }
        steps = []
        for node in nodes:
            if node.name in fused:
                continue
            step = _Step(node)
            step.drop = tuple(
                n for n, at in last.items() if at == position[node.name] and n not in kept
            )
            if self._is_site(node):
                step.overwrite = node.inputs[0] in free
            elif _is_sum(node):
                step.call = self._sum(graph, node, free, fused)
            elif self._fast and node.op == ops.SCALE and node.inputs[0] in free:
                step.fn = _scale_
            elif not (self._fast and self._plan_fast(graph, node, step)):
                step.fn = resolve_operator(node.op)
            steps.append(step)
        return steps

    def _plan_fast(self, graph: Graph, node: Node, step: _Step) -> bool:
        """Plan a convolution through a kernel of its own; return whether there is one."""
        weight = kernels.laid_out(node, self._params)
        if weight is None:
            return False
        self._params[node.args[1].name] = weight
        convolve, source = kernels.convolution(graph, node, self._params), node.inputs[0]
        if convolve is None:
            return False
        step.call = lambda env: convolve(env[source])
        return True

    def _needed(self, graph: Graph) -> list[Node]:
        cut, needed = set(self.given), set[str]()
        todo = [o for o in self.outputs if o not in cut]
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                todo.extend(i for i in graph[name].inputs if i not in cut)
        return [n for n in graph if n.name in needed]

    def _is_site(self, node: Node) -> bool:
        return ops.kind(node) == "site" or (self._pools and ops.kind(node) == "pool")

    def _sum(
        self, graph: Graph, node: Node, free: set[str], fused: Mapping[str, Node]
    ) -> Callable[[dict[str, Any]], Tensor]:
        """Plan ``a + c·b`` with scales of the operands fused in, in place where memory is free."""
        sign = float(node.kwargs.get("alpha", 1)) * (-1.0 if node.op == "aten.sub.Tensor" else 1.0)
        terms = []
        for arg, factor in zip(node.args[:2], (1.0, sign), strict=True):
            name, gain = arg.name, None
            if name in fused:
                gain = self._params[fused[name].args[1].name]
                name = fused[name].args[0].name
            own = gain is None and factor == 1.0 and name in free
            terms.append((name, gain, factor, own and graph[name].shape == node.shape))
        terms.sort(key=lambda term: (not term[3], graph[term[0]].shape != node.shape))
        (a, gain_a, c_a, own), (b, gain_b, c_b, _) = terms

        factor_a = c_a if gain_a is None else _as_factor(gain_a, c_a)
        factor_b = c_b if gain_b is None else _as_factor(gain_b, c_b)

        def run(env: dict[str, Any]) -> Tensor:
            if own:
                base: Tensor = env[a]
            elif isinstance(factor_a, float) and isinstance(factor_b, float) and factor_a == 1.0:
                return torch.add(env[a], env[b], alpha=factor_b)
            else:
                base = env[a] * factor_a
            if isinstance(factor_b, Tensor):
                return base.addcmul_(env[b], factor_b)
            return base.add_(env[b], alpha=factor_b)

        return run

    def __call__(self, *values: Any) -> tuple[Any, ...]:  # noqa: ANN401 - tensors or shapes
        """Run the plan on the given values, in the order of ``given``; return the outputs."""
        env: dict[str, Any] = dict(zip(self.given, values, strict=True))
        for step in self._steps:
            node = step.node
            if step.call is not None:
                result = step.call(env)
            elif step.fn is None:
                if self._site is None:
                    raise RuntimeError(f"{node.name}: the plan has sites but no site function.")
                result = self._site(node, env[node.inputs[0]], step.overwrite)
            else:
                result = step.fn(
                    *(self._value(a, env) for a in node.args),
                    **{k: self._value(v, env) for k, v in node.kwargs.items()},
                )
                if node.pick is not None:
                    result = result[node.pick]
            env[node.name] = result
            for name in step.drop:
                env.pop(name, None)
        return tuple(env[o] for o in self.outputs)

    def _value(self, arg: Arg, env: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors or data
        if isinstance(arg, Ref):
            return env[arg.name]
        if isinstance(arg, Param):
            return self._params[arg.name]
        if isinstance(arg, tuple):
            return [self._value(a, env) for a in arg]
        return arg


def visit(
    graph: Graph,
    inputs: Sequence[Tensor],
    see: Callable[[Node, Tensor], Tensor | None],
    site: SiteFunction | None = None,
) -> None:
    """Run a whole graph node by node, plainly, and show every tensor.

    Args:
        graph: The graph.
        inputs: Its inputs.
        see: Called with every node and its value, the inputs' included; what it returns, if
            anything, takes the value's place.
        site: What spiking sites do; required if there are any.
    """
    env: dict[str, Any] = {}
    last = {name: node.name for node in graph for name in node.inputs}
    given = dict(zip(graph.inputs, inputs, strict=True))
    with torch.no_grad():
        for node in graph:
            if node.name in given:
                result: Any = given[node.name]
            elif ops.kind(node) == "site":
                if site is None:
                    raise RuntimeError(f"{node.name}: the graph has sites but no site function.")
                result = site(node, env[node.inputs[0]], False)
            else:
                result = run_node(graph, node, env)
            if isinstance(result, Tensor):
                seen = see(node, result)
                result = result if seen is None else seen
            env[node.name] = result
            for name in node.inputs:
                if last[name] == node.name:
                    env.pop(name, None)


def run_node(graph: Graph, node: Node, env: Mapping[str, Any]) -> Any:  # noqa: ANN401 - tensors
    """Return what one operator makes of the values computed so far."""

    def value(arg: Arg) -> Any:  # noqa: ANN401 - tensors or data
        if isinstance(arg, Ref):
            return env[arg.name]
        if isinstance(arg, Param):
            return graph.params[arg.name]
        return [value(a) for a in arg] if isinstance(arg, tuple) else arg

    kwargs = {k: value(v) for k, v in node.kwargs.items()}
    result = resolve_operator(node.op)(*(value(a) for a in node.args), **kwargs)
    return result if node.pick is None else result[node.pick]


def _is_fresh(node: Node, free: Collection[str]) -> bool:
    """Tell whether a function or a product, or a read-out of one, has memory of its own."""
    if node.op == ops.READOUT:
        return node.inputs[0] in free
    return ops.kind(node) == "product" or (is_function(node) and bool(operations_of(node).element))


def _is_sum(node: Node) -> bool:
    return ops.kind(node) == "add" and all(isinstance(a, Ref) for a in node.args[:2])


def _as_factor(gain: Tensor, c: float) -> float | Tensor:
    """Return gain·c, as a number where it is one: a pass of its own kind, and a cheaper one."""
    return float(gain) * c if gain.numel() == 1 else gain * c
