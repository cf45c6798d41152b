# SPDX-License-Identifier: Apache-2.0
"""Graphs from files: only known operators, only arguments that they take, only true shapes."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import FileFormatError
from spikewright.graph import Graph, Node, ops
from spikewright.graph.ir import Arg, Param, Ref
from spikewright.graph.signatures import operators, signature
from spikewright.graph.validate import validate

DANGEROUS = (
    *("from_file", "bernoulli", "rand", "randn", "randint", "normal", "dropout", "multinomial"),
    *("set_", "resize_", "as_strided", "record_stream", "item", "_local_scalar_dense", "save"),
    *("poisson", "randperm", "native_dropout", "_print", "__getstate__", "copy_", "empty"),
)


class Small(nn.Module):
    """A convolution, spikes, a pool, and analog work behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, groups=2)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.b(F.max_pool2d(F.relu(self.a(x)), 2)))
        return torch.softmax(self.head(y.flatten(1)[:, :12]), 1)


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    return sw.convert(Small(), calibration=torch.rand(8, 2, 8, 8), T=4).graph


def changed(graph: Graph, op: str, **changes: Any) -> Graph:
    """Return a copy in which the one node of that operator is another."""
    copy = graph.copy()
    (node,) = [n for n in copy if n.op == op][:1]
    copy.update(dataclasses.replace(node, **changes))
    return copy


def with_args(graph: Graph, op: str, *args: Arg) -> Graph:
    """Return a copy in which the first node of that operator has other arguments behind its own."""
    (node,) = [n for n in graph if n.op == op][:1]
    kept = tuple(a for a in node.args if isinstance(a, Ref | Param))
    return changed(graph, op, args=(*kept, *args))


def refused(graph: Graph, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        validate(graph, torch.float32)


def test_a_converted_graph_is_one(graph: Graph) -> None:
    validate(graph, torch.float32)


def overloads() -> Iterator[str]:
    for schema in torch._C._jit_get_all_schemas():
        if schema.name.startswith("aten::"):
            yield f"aten.{schema.name[6:]}.{schema.overload_name or 'default'}"


def offered(graph: Graph, op: str) -> Graph:
    """Return the graph with a node behind its output that calls the operator on it."""
    copy, last = graph.copy(), graph[graph.outputs[0]]
    extra = Node(name="extra", op=op, args=(Ref(last.name),), shape=last.shape)
    copy.nodes[extra.name] = extra
    copy.outputs = ("extra",)
    return copy


def test_of_all_operators_of_torch_only_known_ones_pass_the_door(graph: Graph) -> None:
    """Every overload is offered as a node of a valid graph; none is run."""
    every = sorted(set(overloads()))
    assert len(every) > 3000
    assert "aten.from_file.default" in every
    let_in = set()
    for op in every:
        try:
            validate(offered(graph, op), torch.float32)
        except FileFormatError as error:
            if "not one that a network may call" not in str(error):
                let_in.add(op)  # known, but it takes other arguments
        else:
            let_in.add(op)
    assert let_in == {op for op in operators() if op.startswith("aten.")}
    assert len(let_in) < len(every) / 8


def test_known_operators_have_no_effect_but_their_result() -> None:
    for op in operators():
        if not op.startswith("aten."):
            assert op.startswith(("operator.", "sw.")) or op == ops.INPUT
            continue
        _, packet, overload = op.split(".")
        schema = getattr(getattr(torch.ops.aten, packet), overload)._schema
        assert packet.removesuffix("_like") not in DANGEROUS, op
        assert not schema.is_mutable, op
        assert not any(a.is_out for a in schema.arguments), op
        assert "Generator" not in str(schema), op
        kinds = {a.name: a.kind for a in signature(op).arguments}
        assert all(kinds[n] == "fixed" for n in ("device", "layout", "pin_memory") if n in kinds)


def test_names_that_are_no_operators(graph: Graph) -> None:
    for op in ("os.system", "operator.call", "operator.attrgetter", "sw.nothing", "", "aten"):
        refused(offered(graph, op), "not one that a network may call")


CONV, POOL, LINEAR = "aten.conv2d.default", "aten.max_pool2d.default", "aten.linear.default"


@pytest.mark.parametrize(
    ("op", "args", "message"),
    [
        (CONV, ((0, 0), (1, 1), (1, 1), 1), "stride: expected 1 to 1.04858e"),
        (CONV, ((1, 1), (1 << 40, 1), (1, 1), 1), "padding: expected 0 to"),
        (CONV, ((1, 1), (-1, 0), (1, 1), 1), "padding: expected 0 to"),
        (CONV, ((1, 1), (1, 1), (0, 1), 1), "dilation: expected 1 to"),
        (CONV, ((1, 1), (1, 1), (1, 1), 3), "channels in 3 groups"),
        (CONV, ((1.0, 1), (1, 1)), "stride: expected a whole number, got '1.0'"),
        (CONV, ((True, 1), (1, 1)), "stride: expected a whole number, got 'True'"),
        (CONV, ((1, 1, 1), (1, 1)), "stride: expected 2 values, got 3"),
        (CONV, ((), (1, 1)), "stride: expected 2 values, got none"),
        (CONV, ("1", (1, 1)), "stride: expected a whole number"),
        (CONV, ((1, 1), (1, 1), (1, 1), 1, 5), "expected up to 7 arguments, got 8"),
        (POOL, (), "expected kernel_size, got none"),
        (POOL, ((2, 2), (2, 2), (3, 3)), "its arguments do not fit"),
        (POOL, ((2, 2), (2, 2), (0, 0), (1, 1), 1), "ceil_mode: expected true or false, got '1'"),
        ("aten.softmax.int", (2,), "dim: expected -2 to 1, got '2'"),
        ("aten.softmax.int", (Ref("input"),), "dim: expected a whole number, got a tensor"),
        ("aten.softmax.int", (1, torch.complex64), "dtype: expected a type of real numbers"),
        ("aten.slice.Tensor", (1, 0, 16, 0), "step: expected 1 to"),
    ],
)
def test_arguments_that_an_operator_does_not_take(
    graph: Graph, op: str, args: tuple[Arg, ...], message: str
) -> None:
    refused(with_args(graph, op, *args), message)


def test_arguments_by_keyword_that_it_does_not_have(graph: Graph) -> None:
    refused(changed(graph, "aten.softmax.int", kwargs={"out": Ref("input")}), "no argument 'out'")
    refused(changed(graph, ops.RECTIFY, kwargs={"cap": -1.0}), "cap: expected 1e-30 to")
    refused(changed(graph, ops.RECTIFY, kwargs={"cap": float("nan")}), "cap: expected a number")


def test_a_shape_that_is_not_what_the_operator_gives(graph: Graph) -> None:
    for shape in ((None, 4, 8, 9), (None, 4, 8), (7, 4, 8, 8), None):
        refused(changed(graph, CONV, shape=shape), "expected shape")


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("aten.repeat.default", ((1 << 20, 1 << 20),)),
        ("aten.constant_pad_nd.default", ((1 << 20, 1 << 20, 1 << 20, 1 << 20),)),
        ("aten.eye.default", (1 << 20,)),
        ("aten.full.default", ((1 << 39,), 1.0)),
        ("aten.arange.default", (1e18,)),
        ("aten.new_zeros.default", ((1 << 20, 1 << 20),)),
    ],
)
def test_nothing_large_is_made(graph: Graph, op: str, args: tuple[Arg, ...]) -> None:
    """What it would take is found out without taking it; the error is the same for all."""
    takes_tensor = signature(op).arguments[0].kind == "tensor"
    copy = offered(graph, op)
    first = (Ref(graph.outputs[0]),) if takes_tensor else ()
    copy.update(dataclasses.replace(copy["extra"], args=(*first, *args), shape=(None,)))
    refused(copy, "expected values of at most 268,435,456 elements|do not fit")


def test_indices_must_lie_inside(graph: Graph) -> None:
    copy = offered(graph, "aten.index_select.default")
    last = Ref(graph.outputs[0])
    for index, message in (
        (torch.tensor([0, 3]), "expected indices below 3, got 0 to 3"),
        (torch.tensor([-1]), "got -1 to -1"),
        (torch.tensor([0.0]), "expected whole numbers as indices"),
        (torch.tensor([[0]]), "expected whole numbers as indices, in one row"),
    ):
        copy.params = {**graph.params, "index": index}
        copy.update(dataclasses.replace(copy["extra"], args=(last, 1, Param("index"))))
        refused(copy, message)
    copy.params["index"] = torch.tensor([2, 0, 1])
    copy.update(dataclasses.replace(copy["extra"], args=(last, 1, Param("index"))))
    validate(copy, torch.float32)


def test_indices_that_were_searched_for_lie_inside(graph: Graph) -> None:
    copy, last = graph.copy(), graph[graph.outputs[0]]
    copy.nodes["best"] = Node(
        name="best", op="aten.argmax.default", args=(Ref(last.name), 1, True), shape=(None, 1)
    )
    copy.nodes["score"] = Node(
        name="score",
        op="aten.gather.default",
        args=(Ref(last.name), 1, Ref("best")),
        shape=(None, 1),
    )
    copy.outputs = ("score",)
    validate(copy, torch.float32)
    copy.update(dataclasses.replace(copy["score"], args=(Ref("best"), 1, Ref("best"))))
    refused(copy, "expected indices below 1, got 0 to 2")


def first_param(graph: Graph, op: str = CONV, at: int = 1) -> str:
    return str(next(n for n in graph if n.op == op).args[at].name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to(torch.complex64), "got complex64"),
        (lambda t: t.to(torch.float8_e4m3fn), "got float8_e4m3fn"),
        (lambda t: t.half(), "got float16"),
        (lambda t: t * torch.nan, "expected finite numbers, got NaN or infinity"),
        (lambda t: t / 0, "expected finite numbers, got NaN or infinity"),
        (lambda t: t[:-1], "expected a bias of 3 channels|expected a weight|expected shape"),
        (lambda t: t.flatten(), "expected a weight for values of 4 axes"),
        (lambda t: t.to(torch.int8), "expected tensors of torch.float32"),
        (lambda t: t[:0], "expected a weight for values of 4 axes"),
    ],
)
def test_weights_that_no_layer_has(
    graph: Graph, change: Callable[[Tensor], Tensor], message: str
) -> None:
    copy, name = graph.copy(), first_param(graph)
    copy.params[name] = change(copy.params[name])
    refused(copy, message)


def test_a_bias_of_another_size(graph: Graph) -> None:
    copy, name = graph.copy(), first_param(graph, at=2)
    copy.params[name] = torch.zeros(5)
    refused(copy, "expected a bias of 4 channels")


def test_a_graph_that_is_no_spiking_network(graph: Graph) -> None:
    silent = graph.copy()
    for node in graph:
        if node.op == ops.RECTIFY:
            silent.redirect(node.name, node.inputs[0])
    silent.prune()
    refused(silent, "expected spikes to read|expected spikes to take the maximum of")
    hidden = graph.copy()
    hidden.outputs = (next(n.name for n in graph if n.op == CONV),)
    refused(hidden, "expected outputs behind a read-out")
