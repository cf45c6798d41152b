# SPDX-License-Identifier: Apache-2.0
"""Graphs of transformers in a few operators; most are checked where they go the whole way."""

from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks._minilm import MiniLM
from spikewright.models import from_graph_json
from tests.contract import transformers as small

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [n for n in small.PICTURES if "norm" in n])
def test_networks_for_pictures_are_in_few_operators(name: str) -> None:
    build, shape, elements = small.PICTURES[name]
    small.check_operators_of_pictures(
        small.analog(small.prepared(build(), torch.randn(2, *shape))), elements
    )


@pytest.mark.parametrize("name", small.HUGGING_FACE)
def test_networks_for_tokens_are_in_few_operators(library: ModuleType, name: str) -> None:
    """Attention as it is written out; the other spelling goes the whole way (networks)."""
    small.check_operators_of_tokens(
        small.analog(small.prepared(small.hugging_face(library, name, "eager"), small.tokens()))
    )


def test_minilm_is_in_few_operators() -> None:
    model = MiniLM(vocabulary=50, positions=16, width=16, hidden=32, heads=2, depth=2)
    small.check_operators_of_tokens(
        small.analog(small.prepared(model, small.tokens())) - small.DIVISIONS - {"mul.Tensor"}
    )


def test_tiny_darknet_is_made_of_spiking_neurons(data_dir: Path) -> None:
    model = from_graph_json(data_dir / "imagenet_darknet_tiny.graph.json")
    assert not small.analog(small.prepared(model, torch.rand(2, 3, 64, 64)))
