# SPDX-License-Identifier: Apache-2.0
"""Which operators spikes do, and which function units, in graphs without neurons for them yet."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.graph import (
    Graph,
    capture,
    find_activations,
    fold_batch_norm,
    normalise,
    ops,
    simplify,
)
from spikewright.graph.place_functions import place_functions
from spikewright.graph.regions import Part, never_negative, regions
from tests.unit.simulators.functions import Net


def graph_of(fn: Callable[[Net, Tensor], Tensor]) -> Graph:
    captured = capture(Net(fn).eval(), torch.rand(2, 6))
    return find_activations(fold_batch_norm(normalise(simplify(captured))))


def states(graph: Graph) -> dict[str, list[str]]:
    """Return the states of every operator, by its name without the library's."""
    found: dict[str, list[str]] = {}
    for name, part in regions(graph).items():
        short = graph[name].op.removeprefix("aten.").removeprefix("sw.").split(".")[0]
        found.setdefault(short, []).append(part.state)
    return found


def test_what_lies_between_layers_is_a_function_and_layers_are_wires() -> None:
    found = states(graph_of(lambda s, x: s.out(F.gelu(s.norm(s.a(x))))))
    assert found["linear"] == ["wire", "wire"]
    assert found["layer_norm"] == found["gelu"] == ["function"]


def test_what_is_made_of_the_input_alone_is_in_front_of_everything() -> None:
    found = states(graph_of(lambda s, x: s.out(F.relu(s.a(torch.tanh(x))))))
    assert found["tanh"] == ["prefix"]
    assert found["rectify"] == ["wire"]


def test_a_product_of_two_layers_is_done_by_spikes_one_with_a_function_of_itself_is_not() -> None:
    apart = states(graph_of(lambda s, x: s.out(s.b(F.relu(s.a(x))) * s.c(F.relu(s.a(x))))))
    assert apart["mul"] == ["wire"]
    own = graph_of(lambda s, x: s.out((lambda y: y * torch.sigmoid(1.3 * y))(s.a(x))))
    assert states(own)["mul"] == ["function"]


def test_a_product_that_no_layer_follows_is_a_function_of_its_factors() -> None:
    found = states(graph_of(lambda s, x: s.out(F.relu(s.a(x))) * s.out(s.b(F.relu(s.a(x))))))
    assert found["mul"] == ["function"]


def test_a_sum_with_spikes_is_a_wire_and_a_sum_with_its_own_argument_a_function() -> None:
    shared = graph_of(lambda s, x: s.out((lambda y: y + torch.sin(y))(s.a(x))))
    assert states(shared)["add"] == ["function"]
    other = graph_of(lambda s, x: s.out(s.b(F.relu(s.a(x))) + torch.sin(s.c(F.relu(s.a(x))))))
    assert states(other)["add"] == ["wire"]


def test_a_function_remembers_whose_complete_values_it_needs() -> None:
    graph = graph_of(lambda s, x: s.out(torch.atan2(torch.sin(s.a(x)), torch.cos(s.b(s.a(x))))))
    angle = next(n for n in graph if n.op == "aten.atan2.default")
    part = regions(graph)[angle.name]
    assert isinstance(part, Part)
    assert part.state == "function"
    assert len(part.sources) == 2
    assert all(graph[n].op == "aten.linear.default" for n in part.sources)


def test_values_that_cannot_be_negative() -> None:
    graph = graph_of(lambda s, x: s.out(torch.sigmoid(s.b(F.silu(s.a(x))))))
    found = {n.op: never_negative(n) for n in graph}
    assert found["aten.sigmoid.default"]
    assert not found["aten.silu.default"]


def placed(fn: Callable[[Net, Tensor], Tensor]) -> Graph:
    graph = graph_of(fn)
    place_functions(graph)
    return graph


def test_a_function_gets_a_read_out_in_front_and_neurons_behind() -> None:
    graph = placed(lambda s, x: s.out(F.gelu(s.a(x))))
    gelu = next(n for n in graph if n.op == "aten.gelu.default")
    assert graph[gelu.inputs[0]].op == ops.READOUT
    (neurons,) = graph.users()[gelu.name]
    assert neurons.op == ops.RELAY


def test_a_function_without_a_sign_gets_single_neurons() -> None:
    graph = placed(lambda s, x: s.out(torch.sigmoid(s.a(x))))
    sigmoid = next(n for n in graph if n.op == "aten.sigmoid.default")
    assert [u.op for u in graph.users()[sigmoid.name]] == [ops.RECTIFY]


def test_readers_of_one_function_share_its_neurons() -> None:
    graph = placed(lambda s, x: s.out((lambda y: s.b(y) + s.c(y))(F.gelu(s.a(x)))))
    gelu = next(n for n in graph if n.op == "aten.gelu.default")
    (neurons,) = graph.users()[gelu.name]
    assert len(graph.users()[neurons.name]) == 2


def test_the_right_factor_of_a_product_is_held() -> None:
    graph = placed(lambda s, x: s.out(s.b(F.relu(s.a(x))) * s.c(F.relu(s.a(x)))))
    product = next(n for n in graph if n.op == ops.PRODUCT)
    left, right = (graph[arg.name].op for arg in product.args[:2])
    assert left != ops.HOLD
    assert right == ops.HOLD
    assert product.kwargs["by"] == "mul"


def test_a_value_that_is_read_out_and_goes_on_is_accumulated_once() -> None:
    graph = placed(lambda s, x: s.out((lambda y: y + s.b(F.gelu(y)))(s.a(x))))
    first = next(n for n in graph if n.op == "aten.linear.default")
    (readout,) = graph.users()[first.name]
    assert readout.op == ops.READOUT
    assert sorted(u.op for u in graph.users()[readout.name]) == ["aten.gelu.default", ops.RELAY]
