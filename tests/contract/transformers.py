# SPDX-License-Identifier: Apache-2.0
"""Transformers and gated networks as people have them, small, with random weights.

Their graphs compute the model after all passes, and hold nothing but layers, moves, sums, neurons,
products of two values in two spellings, functions of a group, functions of one number, and what
makes masks of tokens.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from spikewright._vision import torchvision
from spikewright.graph import Graph, capture, find_activations, fold_batch_norm, normalise, ops
from spikewright.graph import simplify as simplified
from spikewright.graph.equality import check_rewritten
from spikewright.models.vit import PostNormViT, PreNormViT, ViTConfig


def vit() -> nn.Module:
    return torchvision().models.VisionTransformer(
        32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    )


def post_norm() -> nn.Module:
    return PostNormViT(ViTConfig(size=32, patch=4, width=16, hidden=32, heads=2, depth=2))


def pre_norm() -> nn.Module:
    return PreNormViT(ViTConfig(size=28, patch=7, width=16, hidden=32, heads=2, depth=2))


def swin() -> nn.Module:
    return torchvision().models.SwinTransformer(
        [2, 2], 16, [2, 1], [2, 4], [4, 4], num_classes=5, stochastic_depth_prob=0.1
    )


def convnext() -> nn.Module:
    parts = torchvision().models.convnext
    blocks = [parts.CNBlockConfig(16, 32, 1), parts.CNBlockConfig(32, None, 1)]
    return parts.ConvNeXt(blocks, stochastic_depth_prob=0.1, num_classes=5)


def efficientnet() -> nn.Module:
    parts = torchvision().models.efficientnet
    blocks = [
        parts.MBConvConfig(1, 3, 1, 16, 16, 1),
        parts.MBConvConfig(4, 5, 2, 16, 24, 2),
    ]
    return parts.EfficientNet(blocks, dropout=0.2, num_classes=5)


def mobilenet() -> nn.Module:
    parts = torchvision().models.mobilenetv3
    blocks = [
        parts.InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1),
        parts.InvertedResidualConfig(16, 5, 48, 24, True, "HS", 2, 1, 1),
    ]
    return parts.MobileNetV3(blocks, last_channel=32, num_classes=5)


def regnet() -> nn.Module:
    parts = torchvision().models.regnet
    blocks = parts.BlockParams([1, 2], [16, 32], [8, 8], [1.0, 1.0], [2, 2], se_ratio=0.25)
    return parts.RegNet(blocks, num_classes=5)


PICTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    "vit": (vit, (3, 32, 32), {"gelu.default"}),
    "swin": (swin, (3, 32, 32), {"gelu.default"}),
    "convnext": (convnext, (3, 32, 32), {"gelu.default"}),
    "efficientnet": (efficientnet, (3, 32, 32), {"silu.default", "sigmoid.default"}),
    "mobilenet_v3": (mobilenet, (3, 32, 32), {"hardswish.default"}),
    "regnet_y": (regnet, (3, 32, 32), {"sigmoid.default"}),
    "post-norm": (post_norm, (3, 32, 32), set()),
    "pre-norm": (pre_norm, (1, 28, 28), {"gelu.default"}),
}


HUGGING_FACE = ("BertModel", "DistilBertModel", "GPT2LMHeadModel")


def hugging_face(library: ModuleType, name: str, attention: str) -> nn.Module:
    """A small network with random weights."""
    sizes: dict[str, Any] = {
        "BertModel": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        "DistilBertModel": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
        "GPT2LMHeadModel": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    }[name]
    if name == "BertModel":
        sizes["intermediate_size"] = 32
    if name == "GPT2LMHeadModel":
        sizes["use_cache"] = False
    model = getattr(library, name)
    config = model.config_class(vocab_size=50, attn_implementation=attention, **sizes)
    network: nn.Module = model(config)
    return network


def tokens() -> dict[str, Tensor]:
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[0, 8:] = 0
    return {"input_ids": torch.randint(3, 50, (2, 12)), "attention_mask": mask}


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


def check_operators_of_tokens(found: set[str]) -> None:
    """Fail unless a network that reads tokens holds what its kind is made of, and no more."""
    assert found - PRODUCTS - GROUPS - ELEMENTS - MASKS == set()
    assert {"matmul.default", "softmax.int", "layer_norm.default", "gelu.default"} <= found
    assert "mul.Tensor" not in found


def check_operators_of_pictures(found: set[str], elements: set[str]) -> None:
    """Fail unless a network for pictures holds products, the two groups and the functions given."""
    assert found - PRODUCTS - {"softmax.int", "layer_norm.default"} == elements
