# SPDX-License-Identifier: Apache-2.0
"""Networks as data: what is unknown or misfits is refused; the rest computes as plain torch."""

import json
import re
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from spikewright.errors import FileFormatError
from spikewright.models import from_graph_json

Nodes = list[dict[str, Any]]


def conv(name: str, source: str, out: str, **settings: Any) -> dict[str, Any]:
    plain = {"stride": [1, 1], "pad_lrtb": [0, 0, 0, 0], "groups": 1, "act": None}
    return {"op": "conv2d", "name": name, "inputs": [source], "out": out} | plain | settings


def small() -> Nodes:
    return [
        conv("a.conv", "x", "n0", act="relu"),
        {"op": "global_avgpool", "inputs": ["n0"], "out": "n1"},
        {"op": "linear", "name": "fc", "inputs": ["n1"], "out": "n2", "act": None},
    ]


def small_weights() -> dict[str, Tensor]:
    return {
        "a.conv.weight": torch.randn(4, 3, 3, 3),
        "a.conv.bias": torch.randn(4),
        "fc.weight": torch.randn(5, 4),
        "fc.bias": torch.randn(5),
    }


def write(
    folder: Path, nodes: Nodes, weights: dict[str, Tensor], output: str | None = None
) -> Path:
    path = folder / "net.graph.json"
    path.write_text(json.dumps({"nodes": nodes, "output": output or nodes[-1]["out"]}))
    save_file(weights, folder / "net.safetensors")
    return path


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        from_graph_json(path)


def test_a_missing_graph(tmp_path: Path) -> None:
    refused(tmp_path / "net.graph.json", "net.graph.json: expected a graph file, got no file")


def test_missing_weights(tmp_path: Path) -> None:
    path = write(tmp_path, small(), small_weights())
    (tmp_path / "net.safetensors").unlink()
    refused(path, "net.safetensors: expected a weights file, got no file")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"nodes": [1], "output": "x"}', '{"nodes": 3}']
)
def test_text_that_is_no_graph(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.graph.json"
    path.write_text(text)
    refused(path, "net.graph.json: expected a graph of nodes and an output, got something else (")


def test_everything_unknown_is_in_one_error(tmp_path: Path) -> None:
    nodes = [
        {"op": "attention", "inputs": ["x"], "out": "n0"},
        conv("c", "n0", "n1", act="gelu", dilation=2),
        {"op": "maxpool", "inputs": ["n7"], "out": "n2", "kernel": 2},
        {"op": "add", "name": "c", "inputs": ["n1", "n2"], "out": "n3"},
    ]
    path = write(tmp_path, nodes, small_weights(), output="n9")
    with pytest.raises(FileFormatError) as caught:
        from_graph_json(path)
    for problem in (
        "n0 has op 'attention', known: conv2d, batchnorm, linear, maxpool, add, concat, ",
        "n1 (conv2d) has 'dilation'",
        "n1 has act 'gelu', known: None, relu, relu6, leaky_relu_0.1",
        "n2 (maxpool) lacks stride; n2 (maxpool) lacks ceil_mode",
        "n2 takes n7 before it is made",
        "output n9 is never made",
        "two nodes are called c",
    ):
        assert problem in str(caught.value)


def test_weights_that_lack_or_add_tensors(tmp_path: Path) -> None:
    weights = small_weights()
    weights["fc.weights"] = weights.pop("fc.weight")
    refused(
        write(tmp_path, small(), weights),
        "net.graph.json: expected 4 tensors in the weights file, got some missing: fc.weight; "
        "unexpected: fc.weights. Give the weights of this graph.",
    )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "a.conv.weight",
            (4, 3, 3),
            "as many axes as their operators have, got others in a.conv.weight",
        ),
        ("a.conv.bias", (7,), "of another shape: a.conv.bias (7, expected 4)"),
        ("fc.weight", (5,), "as many axes as their operators have, got others in fc.weight"),
    ],
)
def test_weights_of_another_shape(
    tmp_path: Path, name: str, shape: tuple[int, ...], message: str
) -> None:
    refused(write(tmp_path, small(), small_weights() | {name: torch.zeros(shape)}), message)


def test_a_shape_in_the_graph_that_the_weights_do_not_have(tmp_path: Path) -> None:
    nodes = small()
    nodes[0]["shape"] = [4, 3, 5, 5]
    refused(
        write(tmp_path, nodes, small_weights()),
        "a.conv.weight has shape (4, 3, 3, 3), the graph says (4, 3, 5, 5)",
    )


def test_groups_that_do_not_divide_the_channels(tmp_path: Path) -> None:
    nodes = small()
    nodes[0]["groups"] = 3
    refused(
        write(tmp_path, nodes, small_weights()),
        "got a misfit (out_channels must be divisible by groups)",
    )


def test_weights_from_another_place_and_in_half_precision(tmp_path: Path) -> None:
    weights = small_weights()
    path = write(tmp_path, small(), weights)
    elsewhere = tmp_path / "other.pt"
    torch.save({name: 2 * tensor.half() for name, tensor in weights.items()}, elsewhere)
    model = from_graph_json(path, elsewhere)
    assert model.get_submodule("a.conv").weight.dtype == torch.float32
    assert torch.equal(model.get_submodule("fc").bias, 2 * weights["fc.bias"].half().float())
    assert not model.training


def test_parameters_have_the_names_of_the_weights_file(tmp_path: Path) -> None:
    model = from_graph_json(write(tmp_path, small(), small_weights()))
    assert set(model.state_dict()) == set(small_weights())


@pytest.mark.parametrize(
    ("act", "function"),
    [
        (None, lambda x: x),
        ("relu", F.relu),
        ("relu6", F.relu6),
        ("leaky_relu_0.1", lambda x: F.leaky_relu(x, 0.1)),
    ],
)
@pytest.mark.parametrize(
    "pads", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 1, 1), (0, 1, 0, 1), (3, 0, 1, 2)]
)
def test_convolutions_pad_left_right_top_bottom(
    tmp_path: Path, pads: tuple[int, ...], act: str | None, function: Any
) -> None:
    weight = torch.randn(4, 1, 3, 2)
    node = conv("c", "x", "y", pad_lrtb=pads, stride=[2, 1], groups=2, bias=False, act=act)
    model = from_graph_json(write(tmp_path, [node], {"c.weight": weight}))
    x = 4 * torch.randn(2, 2, 7, 9)
    expected = function(F.conv2d(F.pad(x, pads), weight, stride=(2, 1), groups=2))
    torch.testing.assert_close(model(x), expected)


def test_a_graph_with_every_operator(tmp_path: Path) -> None:
    norm = {
        "n.weight": torch.rand(4),
        "n.bias": torch.randn(4),
        "n.running_mean": torch.randn(4),
        "n.running_var": torch.rand(4) + 0.5,
    }
    weights = {
        "c.weight": torch.randn(4, 3, 3, 3),
        "f.weight": torch.randn(5, 8),
        "f.bias": torch.randn(5),
    } | norm
    nodes: Nodes = [
        conv("c", "x", "n0", bias=False),
        {"op": "batchnorm", "name": "n", "inputs": ["n0"], "out": "n1", "eps": 0.1, "act": "relu"},
        {"op": "add", "inputs": ["n0", "n1", "n1"], "out": "n2", "act": "relu"},
        {"op": "concat", "inputs": ["n2", "n0"], "out": "n3"},
        {
            "op": "maxpool",
            "inputs": ["n3"],
            "out": "n4",
            "kernel": 3,
            "stride": 2,
            "ceil_mode": True,
        },
        {"op": "global_avgpool", "inputs": ["n4"], "out": "n5"},
        {"op": "linear", "name": "f", "inputs": ["n5"], "out": "n6", "act": None},
    ]
    model = from_graph_json(write(tmp_path, nodes, weights))
    x = torch.randn(2, 3, 8, 8)
    n0 = F.conv2d(x, weights["c.weight"])
    shaped = {name.removeprefix("n."): tensor.view(1, -1, 1, 1) for name, tensor in norm.items()}
    n1 = F.relu(
        (n0 - shaped["running_mean"]) / torch.sqrt(shaped["running_var"] + 0.1) * shaped["weight"]
        + shaped["bias"]
    )
    n3 = torch.cat([F.relu(n0 + 2 * n1), n0], dim=1)
    n5 = F.max_pool2d(n3, 3, 2, ceil_mode=True).mean(dim=(2, 3))
    torch.testing.assert_close(model(x), n5 @ weights["f.weight"].T + weights["f.bias"])


def test_values_are_let_go_when_nothing_needs_them_any_more(tmp_path: Path) -> None:
    nodes: Nodes = [
        {"op": "add", "inputs": ["x", "x"], "out": "n0"},
        {"op": "add", "inputs": ["n0", "x"], "out": "unused"},
        {"op": "add", "inputs": ["n0", "n0"], "out": "n1"},
        {"op": "add", "inputs": ["n1", "n1"], "out": "n2"},
    ]
    model = from_graph_json(write(tmp_path, nodes, {}))
    seen: list[weakref.ref[Tensor]] = []
    alive: list[list[bool]] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        alive.append([value() is not None for value in seen])
        seen.append(weakref.ref(output))

    for layer in model.children():
        layer.register_forward_hook(watch)
    assert torch.equal(model(torch.ones(1)), 8 * torch.ones(1))
    assert alive == [[], [True], [True, False], [False, False, True]]


def test_a_network_of_a_graph_file_can_be_exported(tmp_path: Path) -> None:
    model = from_graph_json(write(tmp_path, small(), small_weights()))
    program = torch.export.export(
        model, (torch.randn(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    x = torch.randn(5, 3, 8, 8)
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.parametrize(
    ("node", "key", "value", "message"),
    [
        (0, "stride", [0, 1], "has stride '[0, 1]', expected 2: 1 to 65536"),
        (0, "stride", [1], "has stride '[1]', expected 2: 1 to 65536"),
        (0, "stride", [1.5, 1], "has stride '[1.5, 1]'"),
        (0, "pad_lrtb", [-1, 0, 0, 0], "has pad_lrtb '[-1, 0, 0, 0]', expected 4: 0 to 65536"),
        (0, "pad_lrtb", [0, 0, 0, 1 << 40], "has pad_lrtb"),
        (0, "groups", True, "has groups 'True'"),
        (0, "inputs", ["x", "x"], "takes 2 inputs, not 1"),
        (0, "inputs", "x", "got something else (TypeError: expected a name"),
        (0, "inputs", [["x"]], "got something else (TypeError: expected a name"),
        (0, "out", "x", "two nodes make x"),
        (0, "op", ["conv2d"], "got something else (TypeError: expected a name"),
        (0, "act", {}, "got something else (TypeError: expected a name"),
        (0, "bias", 1, "has bias '1', expected one: true or false"),
    ],
)
def test_settings_that_no_operator_takes(
    tmp_path: Path, node: int, key: str, value: object, message: str
) -> None:
    nodes = small()
    nodes[node][key] = value
    refused(write(tmp_path, nodes, small_weights()), message)


def test_a_graph_nested_without_end(tmp_path: Path) -> None:
    path = write(tmp_path, small(), small_weights())
    path.write_text('{"nodes": ' + "[" * 100_000 + "]" * 100_000 + "}")
    refused(path, "nested more than 64 levels deep")
    path.write_text('{"nodes": [], "output": "x", "output": "y"}')
    refused(path, "'output' is there twice")
