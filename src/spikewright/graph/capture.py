# SPDX-License-Identifier: Apache-2.0
"""Any ``nn.Module`` in, one flat graph of PyTorch operators out, the module untouched.

Capture goes through ``torch.export`` (non-strict, dynamic batch), so functional calls, methods,
in-place operators and shared modules all end up as the same operators.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.errors import ShapeError, UnsupportedModuleError
from spikewright.graph.fake_quantise import elementary_quantisers
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref

__all__ = ["capture", "check_parameters", "evaluation_mode"]

_LIBRARY = re.compile(r"[/\\](torch|torchvision)[/\\](nn|fx|_|export|ops|utils)")
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<fn>\S+)')


def capture(model: nn.Module, example: Tensor) -> Graph:
    """Capture a model as a flat operator graph.

    Args:
        model: The trained network. Its weights, buffers, hooks, training flags and device stay
            as they are; it is captured in evaluation mode.
        example: One input batch of any size, ``"batch *feature"``; its values do not matter.

    Returns:
        The graph; its tensors are copies, so training the model later does not change it.

    Raises:
        ShapeError: If the example has no batch axis or holds no sample.
        UnsupportedModuleError: If ``torch.export`` cannot take the model, or it takes several
            inputs, or returns something else than tensors.
    """
    if example.ndim < 2 or example.shape[0] < 1:
        raise ShapeError(
            f"example: expected a batch of inputs (batch, ...), got shape {tuple(example.shape)}. "
            "Pass a tensor as a data loader would deliver it."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModuleError(
            "model: expected an nn.Module, got a TorchScript module. Pass the Python model itself, "
            "or a file written by torch.export.save."
        )
    two = torch.cat([example, example])[:2].detach().clone()
    with evaluation_mode(model), elementary_quantisers(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                program = torch.export.export(
                    model, (two,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
                )
                program = program.run_decompositions({})
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
            raise UnsupportedModuleError(
                f"{type(model).__name__}: expected a model that torch.export can take with input "
                f"shape {tuple(two.shape)}, got {type(error).__name__}: {first}. "
                "Check the example's shape; control flow that depends on data has to be removed."
            ) from error
    return _translate(program, type(model).__name__)


def check_parameters(graph: Graph) -> None:
    """Raise if a tensor of the graph holds NaN or infinity, naming all of them.

    Raises:
        UnsupportedModuleError: With the names of the damaged tensors.
    """
    bad = [
        n for n, t in graph.params.items() if t.is_floating_point() and not bool(t.isfinite().all())
    ]
    if bad:
        raise UnsupportedModuleError(
            f"weights: expected finite numbers, got NaN or infinity in {', '.join(bad)}. "
            "Check the checkpoint; such a network cannot be converted."
        )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode; every module's own training flag comes back afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        yield
    finally:
        for module, training in flags:
            module.training = training


def _translate(program: Any, title: str) -> Graph:  # noqa: ANN401 - torch.export.ExportedProgram
    signature = program.graph_signature
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    tensors = {**dict(program.state_dict), **program.constants}
    params: dict[str, Tensor] = {}
    nodes: dict[str, Node] = {}
    env: dict[str, Arg] = {}
    user_inputs: list[str] = []
    shape: tuple[int | None, ...] = ()
    for fx in program.graph.nodes:
        if fx.op == "placeholder" and fx.name in names:
            params[names[fx.name]] = tensors[names[fx.name]].detach().clone()
            env[fx.name] = Param(names[fx.name])
        elif fx.op == "placeholder":
            user_inputs.append(fx.name)
            shape = _shape(fx.meta.get("val")) or ()
            nodes["input"] = Node(name="input", op="input", shape=shape)
            env[fx.name] = Ref("input")
        elif fx.op == "call_function":
            node = _node(fx, env, nodes)
            if node is not None:
                nodes[node.name] = node
                env[fx.name] = Ref(node.name)
        elif fx.op == "output":
            outputs = [env[o] if isinstance(o, str) else None for o in signature.user_outputs]
    if len(user_inputs) != 1:
        raise UnsupportedModuleError(
            f"{title}: expected a model with one input tensor, got {len(user_inputs)} inputs. "
            "Wrap it in a module whose forward takes one tensor."
        )
    if not outputs or not all(isinstance(o, Ref) for o in outputs):
        raise UnsupportedModuleError(
            f"{title}: expected a model that returns tensors, got outputs "
            f"{list(signature.user_outputs)}."
        )
    nodes = {n: _as_reshape(node) for n, node in nodes.items()}
    return Graph(
        nodes, params, "input", tuple(o.name for o in outputs if isinstance(o, Ref)), shape
    )


def _as_reshape(node: Node) -> Node:
    """Write views as reshapes, which do not depend on how a tensor lies in memory."""
    if node.op in ("aten.view.default", "aten._unsafe_view.default"):
        return Node(**{**node.__dict__, "op": "aten.reshape.default"})
    return node


def _node(fx: Any, env: dict[str, Arg], nodes: dict[str, Node]) -> Node | None:  # noqa: ANN401
    op = _operator_name(fx.target)
    module = _module_path(fx)
    if op.startswith(("aten.sym_constrain_range", "aten._assert")):
        return None
    name, number = f"{module or 'model'}/{op.split('.')[1]}".removeprefix("model/"), 1
    base = name
    while name in nodes:
        name, number = f"{base}_{number}", number + 1
    return Node(
        name=name,
        op=op,
        args=tuple(_argument(a, env) for a in fx.args),
        kwargs={
            k: _argument(v, env)
            for k, v in fx.kwargs.items()
            if k not in ("device", "pin_memory", "layout", "memory_format")
        },
        module=module,
        source=_source(fx.meta.get("stack_trace")),
        shape=_shape(fx.meta.get("val")),
    )


def _operator_name(target: Any) -> str:  # noqa: ANN401 - operator overload or builtin
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    return f"operator.{getattr(target, '__name__', target)}"


def _argument(value: Any, env: dict[str, Arg]) -> Arg:  # noqa: ANN401 - fx argument
    if isinstance(value, torch.fx.Node):
        return env[value.name]
    if isinstance(value, (list, tuple)):
        return tuple(_argument(v, env) for v in value)
    return value


def _shape(value: Any) -> tuple[int | None, ...] | None:  # noqa: ANN401 - fake tensor or number
    if not isinstance(value, Tensor):
        return None
    return tuple(int(s) if isinstance(s, int) else None for s in value.shape)


def _module_path(fx: Any) -> str:  # noqa: ANN401 - fx node
    stack = [v for v in (fx.meta.get("nn_module_stack") or {}).values() if isinstance(v[0], str)]
    path = stack[-1][0] if stack else ""
    return "" if path.startswith("_empty") else re.sub(r"@\d+$", "", path)


def _source(trace: str | None) -> str:
    frames = list(_FRAME.finditer(trace or ""))
    own = [f for f in frames if not _LIBRARY.search(f["file"])] or frames
    if not own:
        return ""
    file = own[-1]["file"].replace("\\", "/").rsplit("/", 1)[-1]
    return f"{file}:{own[-1]['line']}"
