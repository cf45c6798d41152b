# SPDX-License-Identifier: Apache-2.0
"""Any ``nn.Module`` in, one flat graph of PyTorch operators out, the module untouched.

Capture goes through ``torch.export`` (non-strict, dynamic batch), so functional calls, methods,
in-place operators and shared modules all end up as the same operators.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikewright._vision import detector_family
from spikewright.errors import SpikewrightError, UnsupportedModuleError
from spikewright.graph.calls import Call, call_of, doubled, positional_names
from spikewright.graph.export_errors import explained, is_a_detector
from spikewright.graph.exported_form import needs_opening
from spikewright.graph.fake_quantise import elementary_quantisers
from spikewright.graph.ir import Graph
from spikewright.graph.kept import kept
from spikewright.graph.locate import locate_batch
from spikewright.graph.opened import OPENED
from spikewright.graph.original import evaluation_mode, layer_by_layer, left_as_it_was, unwrapped
from spikewright.graph.quiet import muted
from spikewright.graph.translate import translate

__all__ = ["capture", "check_parameters", "evaluation_mode"]


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
    graph = translate(program, model, call)
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
