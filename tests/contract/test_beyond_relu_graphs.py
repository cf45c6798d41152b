# SPDX-License-Identifier: Apache-2.0
"""Transformers and gated networks, as people have them, end up in a few operators.

Their graphs compute the model after all passes, and hold nothing but layers, moves, sums, neurons,
products of two values in two spellings, functions of a group, functions of one number, and what
makes masks of tokens.
"""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from benchmarks._minilm import MiniLM
from spikewright.graph import Graph, capture, find_activations, fold_batch_norm, normalise, ops
from spikewright.graph import simplify as simplified
from spikewright.graph.equality import check_rewritten
from spikewright.models import from_graph_json
from tests.contract.transformers import HUGGING_FACE, PICTURES, hugging_face, tokens

pytestmark = pytest.mark.slow

PRODUCTS = {"matmul.default", "mul.Tensor"}
GROUPS = {"softmax.int", "layer_norm.default", "linalg_vector_norm.default"}
ELEMENTS = {"gelu.default", "silu.default", "sigmoid.default", "tanh.default", "hardswish.default"}
MASKS = {
    *("eq.Scalar", "gt.Scalar", "_to_copy.default", "where.self", "where.ScalarOther", "any.dim"),
    *("ge.Scalar", "le.Tensor", "bitwise_and.Tensor", "logical_and.default", "embedding.default"),
}
DIVISIONS = {"div.Tensor", "clamp_min.default", "clamp.default"}  # the mean over tokens


def prepared(model: nn.Module, example: Tensor | dict[str, Tensor]) -> Graph:
    """Return a graph after all passes; fail unless it computes the model, outputs and sites."""
    model = model.eval()
    captured = capture(model, example)
    graph = find_activations(fold_batch_norm(normalise(simplified(captured))))
    with torch.no_grad():
        alone = isinstance(example, Tensor)
        outputs = captured.results.flatten_any(model(example) if alone else model(**example))
    assert outputs is not None
    inputs = [example] if isinstance(example, Tensor) else list(example.values())
    assert check_rewritten(captured, graph, inputs, outputs) < 1e-4
    return graph


def analog(graph: Graph) -> set[str]:
    return {n.op.removeprefix("aten.") for n in graph if ops.kind(n) == "analog"}


@pytest.mark.parametrize("name", PICTURES)
def test_networks_for_pictures_are_in_few_operators(name: str) -> None:
    build, shape, elements = PICTURES[name]
    found = analog(prepared(build(), torch.randn(2, *shape)))
    assert found - PRODUCTS - {"softmax.int", "layer_norm.default"} == elements


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", HUGGING_FACE)
def test_networks_for_tokens_are_in_few_operators(
    library: ModuleType, name: str, attention: str
) -> None:
    found = analog(prepared(hugging_face(library, name, attention), tokens()))
    assert found - PRODUCTS - GROUPS - ELEMENTS - MASKS == set()
    assert {"matmul.default", "softmax.int", "layer_norm.default", "gelu.default"} <= found
    assert "mul.Tensor" not in found


def test_minilm_is_in_few_operators() -> None:
    small = MiniLM(vocabulary=50, positions=16, width=16, hidden=32, heads=2, depth=2)
    found = analog(prepared(small, tokens()))
    assert found - PRODUCTS - GROUPS - ELEMENTS - MASKS - DIVISIONS == set()


def test_tiny_darknet_is_made_of_spiking_neurons(data_dir: Path) -> None:
    model = from_graph_json(data_dir / "imagenet_darknet_tiny.graph.json")
    assert not analog(prepared(model, torch.rand(2, 3, 64, 64)))
