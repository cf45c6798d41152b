# SPDX-License-Identifier: Apache-2.0
"""From what ``torch.export`` gives to a graph of our own: nodes as plain data, tensors by name."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright.errors import UnsupportedModuleError
from spikewright.graph.batch import Merged, Shape
from spikewright.graph.calls import Call, positional_names
from spikewright.graph.exported_form import out_of_place, viewed_as
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.structure import Structure

__all__ = ["translate"]

_LIBRARY = re.compile(r"[/\\](torch|torchvision)[/\\](nn|fx|_|export|ops|utils)")
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<fn>\S+)')
_HALF = (torch.float16, torch.bfloat16)


def translate(program: Any, model: nn.Module, call: Call) -> Graph:  # noqa: ANN401 - ExportedProgram
    """Return the graph of an exported program; the sizes of its values do not say yet how.

    Args:
        program: Of ``torch.export``, opened where it has to be.
        model: What was exported.
        call: With which arguments.

    Raises:
        UnsupportedModuleError: If it takes or returns something else than tensors, or a size is no
            multiple of the batch.
    """
    title = type(model).__name__
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
    inputs: list[str] = []
    results: Any = ()
    half: set[torch.dtype] = set()
    whole: set[str] = set()
    for fx in program.graph.nodes:
        if fx.op == "placeholder" and fx.name in names:
            value = tensors[names[fx.name]].detach()
            half |= {value.dtype} & {*_HALF}
            params[names[fx.name]] = value.float() if value.dtype in _HALF else value.clone()
            env[fx.name] = Param(names[fx.name])
        elif fx.op == "placeholder" and isinstance(fx.meta.get("val"), Tensor):
            name = f"input_{len(inputs)}" if inputs else "input"
            inputs.append(name)
            dtype = fx.meta["val"].dtype
            whole_numbers = {} if dtype.is_floating_point else {"dtype": dtype}
            nodes[name] = Node(
                name=name, op="input", kwargs=whole_numbers, shape=_shape(fx, fx.meta["val"])
            )
            env[fx.name] = Ref(name)
        elif fx.op == "call_function" and _is_cast_to_itself(fx):
            env[fx.name] = _argument(fx.args[0], env)
        elif fx.op == "call_function":
            node = _node(fx, env, nodes)
            if node is not None:
                nodes[node.name] = node
                env[fx.name] = Ref(node.name)
        elif fx.op == "output":
            results = fx.args[0]
        made = env.get(fx.name)
        if isinstance(made, Ref) and _is_whole(fx.meta.get("val")):
            whole.add(made.name)
    if not inputs:
        raise UnsupportedModuleError(f"{title}: expected a model that takes a tensor, got none.")
    outputs, structure = _results(program, results, env, title)
    nodes = {n: _as_reshape(node) for n, node in nodes.items()}
    notes = tuple(
        f"the model's {str(t).removeprefix('torch.')} weights run in float32"
        for t in sorted(half, key=str)
    )
    return Graph(
        nodes,
        params,
        tuple(inputs),
        outputs,
        Structure.of((call.args, dict(call.kwargs))),
        structure,
        positional_names(model),
        notes,
        frozenset(whole),
    )


def _results(
    program: Any,  # noqa: ANN401 - ExportedProgram
    results: Any,  # noqa: ANN401 - fx nodes and constants
    env: Mapping[str, Arg],
    title: str,
) -> tuple[tuple[str, ...], Structure]:
    """Return the nodes that are returned, and how they are nested."""
    written = len(program.graph_signature.output_specs) - len(program.graph_signature.user_outputs)
    leaves = [env[r.name] if isinstance(r, torch.fx.Node) else r for r in results[written:]]
    values = [torch.empty(0) if isinstance(leaf, Ref) else leaf for leaf in leaves]
    spec = program.call_spec.out_spec
    found = [leaf.name for leaf in leaves if isinstance(leaf, Ref)]
    constant: list[Any] = [leaf for leaf in leaves if isinstance(leaf, Param)]
    try:
        structure = Structure.of(pytree.tree_unflatten(values, spec))
    except TypeError as error:
        constant = [error]
    if not found or constant:
        raise UnsupportedModuleError(
            f"{title}: expected a model that returns tensors made of its input, in tuples, lists "
            f"or dictionaries, got {[str(o) for o in constant or leaves]}. Return what is computed "
            "and no cache (Hugging Face: config.use_cache = False)."
        )

    def rebuild(made: Any) -> Any:  # noqa: ANN401 - the model's own classes
        tensors = iter(made)
        filled = [next(tensors) if isinstance(leaf, Ref) else leaf for leaf in leaves]
        return pytree.tree_unflatten(filled, spec)

    plain = structure.build(values)
    own = pytree.tree_unflatten(values, spec)
    if _classes(plain) != _classes(own):
        structure = Structure(structure.template, rebuild)
    return tuple(found), structure


def _classes(tree: Any) -> list[type]:  # noqa: ANN401 - nested data
    """Return the classes of all containers."""
    inner = tree.values() if isinstance(tree, Mapping) else tree
    if isinstance(tree, Mapping | tuple | list):
        return [type(tree), *(c for value in inner for c in _classes(value))]
    return [] if isinstance(tree, Tensor) else [type(tree)]


def _as_reshape(node: Node) -> Node:
    """Write views as reshapes, which do not depend on how a tensor lies in memory."""
    if node.op in ("aten.view.default", "aten._unsafe_view.default"):
        return Node(**{**node.__dict__, "op": "aten.reshape.default"})
    return node


def _node(fx: Any, env: dict[str, Arg], nodes: dict[str, Node]) -> Node | None:  # noqa: ANN401
    op, module, sizes = _operator_name(fx), _module_path(fx), viewed_as(fx)
    args, kwargs = (fx.args, fx.kwargs) if sizes is None else ((fx.args[0], sizes), {})
    if op.startswith(("aten.sym_constrain_range", "aten._assert")):
        return None
    name, number = f"{module or 'model'}/{op.split('.')[1]}".removeprefix("model/"), 1
    base = name
    while name in nodes:
        name, number = f"{base}_{number}", number + 1
    return Node(
        name=name,
        op=op,
        args=tuple(_argument(a, env) for a in args),
        kwargs={
            k: _argument(v, env)
            for k, v in kwargs.items()
            if k not in ("device", "pin_memory", "layout", "memory_format")
        },
        module=module,
        source=_source(fx.meta.get("stack_trace")),
        shape=_shape(fx, fx.meta.get("val")),
    )


def _is_cast_to_itself(fx: Any) -> bool:  # noqa: ANN401 - fx node
    """Tell whether a conversion of type changes nothing; half precision is float32 here."""
    if str(fx.target) not in ("aten.to.dtype", "aten._to_copy.default"):
        return False
    before, after = fx.args[0].meta["val"].dtype, fx.meta["val"].dtype
    narrow = after in (torch.float32, *_HALF)
    return bool(before == after or (narrow and before.is_floating_point))


def _is_whole(value: Any) -> bool:  # noqa: ANN401 - fake tensor or number
    return isinstance(value, Tensor) and not value.is_floating_point()


def _operator_name(fx: Any) -> str:  # noqa: ANN401 - fx node
    target = fx.target
    if not isinstance(target, torch._ops.OpOverload):
        return f"operator.{getattr(target, '__name__', target)}"
    return "aten.view.default" if viewed_as(fx) is not None else str(out_of_place(fx) or target)


def _argument(value: Any, env: dict[str, Arg]) -> Arg:  # noqa: ANN401 - fx argument
    if isinstance(value, torch.fx.Node):
        return env[value.name]
    if isinstance(value, (list, tuple)):
        return tuple(_argument(v, env) for v in value)
    return torch.float32 if value in _HALF else value


def _shape(fx: Any, value: Any) -> Shape | None:  # noqa: ANN401 - fx node; fake tensor or number
    """Return a shape in which sizes that grow with the batch say how; `locate` orders them."""
    if not isinstance(value, Tensor):
        return None
    return tuple(int(s) if isinstance(s, int) else _growing(fx, s) for s in value.shape)


def _growing(fx: Any, size: Any) -> int | Merged | None:  # noqa: ANN401 - fx node; symbolic size
    expression = size.node.expr
    one, two, three = (
        int(expression.subs(dict.fromkeys(expression.free_symbols, n))) for n in (12, 24, 36)
    )
    if one == two == three:  # a quotient of the batches of two inputs
        return one
    if not (one % 12 == 0 and two == 2 * one and three == 3 * one):
        place = _module_path(fx) or "the model itself"
        raise UnsupportedModuleError(
            f"{place} ({_source(fx.meta.get('stack_trace'))}): expected sizes that are a multiple "
            f"of the batch, got {expression}. Samples of a batch must not be mixed or counted."
        )
    return None if one == 12 else Merged(one // 12, 1)


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
