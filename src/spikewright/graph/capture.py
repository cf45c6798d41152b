# SPDX-License-Identifier: Apache-2.0
"""Any ``nn.Module`` in, one flat graph of PyTorch operators out, the module untouched.

Capture goes through ``torch.export`` (non-strict, dynamic batch), so functional calls, methods,
in-place operators and shared modules all end up as the same operators.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright._vision import detector_family
from spikewright.errors import SpikewrightError, UnsupportedModuleError
from spikewright.graph.batch import Merged, Shape
from spikewright.graph.calls import Call, call_of, doubled, positional_names
from spikewright.graph.export_errors import explained, is_a_detector
from spikewright.graph.exported_form import needs_opening, out_of_place, viewed_as
from spikewright.graph.fake_quantise import elementary_quantisers
from spikewright.graph.ir import Arg, Graph, Node, Param, Ref
from spikewright.graph.kept import kept
from spikewright.graph.locate import locate_batch
from spikewright.graph.opened import OPENED
from spikewright.graph.original import evaluation_mode, layer_by_layer, left_as_it_was, unwrapped
from spikewright.graph.quiet import muted
from spikewright.graph.structure import Structure

__all__ = ["capture", "check_parameters", "evaluation_mode"]

_LIBRARY = re.compile(r"[/\\](torch|torchvision)[/\\](nn|fx|_|export|ops|utils)")
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<fn>\S+)')
_HALF = (torch.float16, torch.bfloat16)


def capture(model: nn.Module, example: Any) -> Graph:  # noqa: ANN401 - see graph/calls.py
    """Capture a model as a flat operator graph.

    Args:
        model: The trained network. Its weights, buffers, attributes, hooks, training flags and
            device stay as they are; it is captured in evaluation mode. Wrappers (DataParallel,
            ``torch.compile`` and the like) are looked through.
        example: One input batch of any size, ``"batch *feature"``; its values do not matter. A
            tuple holds several inputs, a dictionary holds keyword arguments.

    Returns:
        The graph; its tensors are copies, so training the model later does not change it. Models
        in half precision become graphs in float32, which ``graph.notes`` says. Of a model that has
        not changed since its last capture it is the same graph again; see ``graph/kept.py``.

    Raises:
        ShapeError: If an input has no batch axis or holds no sample.
        UnsupportedModuleError: If ``torch.export`` cannot take the model, its weights hold NaN,
            a result depends on other samples of the batch, or something else than tensors is
            taken or returned.
    """
    model = unwrapped(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModuleError(
            "model: expected an nn.Module, got a TorchScript module. Pass the Python model itself, "
            "or a file written by torch.export.save."
        )
    if detector_family(model):
        raise is_a_detector(model)
    call = doubled(call_of(model, example), model)
    return kept(model, call, lambda: _exported(model, call))


def _exported(model: nn.Module, call: Call) -> Graph:
    """Capture a model with the arguments of one call, a batch of two."""
    with (
        left_as_it_was(model),
        evaluation_mode(model),
        layer_by_layer(),
        elementary_quantisers(model),
        muted("torch"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                program = torch.export.export(
                    model,
                    call.args,
                    dict(call.kwargs),
                    dynamic_shapes=_dynamic(model, call),
                    strict=False,
                )
                if needs_opening(program):
                    program = program.run_decompositions(dict(OPENED))
        except SpikewrightError:
            raise
        except Exception as error:
            raise explained(error, model, call) from error
    graph = _translate(program, model, call)
    check_parameters(graph)
    locate_batch(graph, call.tensors())
    return graph


def _dynamic(model: nn.Module, call: Call) -> Any:  # noqa: ANN401 - what torch.export takes
    """Say of every input that its first axis is the batch."""

    def size(leaf: Any) -> Any:  # noqa: ANN401 - any leaf
        return {0: torch.export.Dim.DYNAMIC} if isinstance(leaf, Tensor) else None

    args = pytree.tree_map(size, call.args)
    kwargs = pytree.tree_map(size, dict(call.kwargs))
    if not kwargs:
        return args
    names = positional_names(model)
    return {**dict(zip(names, args, strict=False)), **kwargs}


def check_parameters(graph: Graph) -> None:
    """Raise if a tensor of the graph holds NaN or infinity and is no mask, naming all of them.

    Raises:
        UnsupportedModuleError: With the names of the damaged tensors.
    """
    bad = [n for n, t in graph.params.items() if not (bool(t.isfinite().all()) or _is_mask(t))]
    if bad:
        raise UnsupportedModuleError(
            f"weights: expected finite numbers, got NaN or infinity in {', '.join(bad)}. "
            "Check the checkpoint; such a network cannot be converted."
        )


def _is_mask(tensor: Tensor) -> bool:
    """Tell whether a tensor is added to scores to leave some out: 0 or minus infinity."""
    return bool(((tensor == 0) | (tensor == -torch.inf)).all())


def _translate(program: Any, model: nn.Module, call: Call) -> Graph:  # noqa: ANN401 - ExportedProgram
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
