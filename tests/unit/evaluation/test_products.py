# SPDX-License-Identifier: Apache-2.0
"""The work of products of two values and of functions, counted by hand."""

import dataclasses

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.evaluation import LayerCount, LengthResult, Result
from spikewright.evaluation.purity import operations_by_class, spike_share
from spikewright.graph import Graph, Node, Param, Ref
from spikewright.graph.function_units import operations_of
from spikewright.graph.function_work import function_work
from tests.unit.evaluation.transformers import Norms, TwoTokens

T = 4


def rows(found: LengthResult, kind: str) -> list[LayerCount]:
    return [x for x in found.layers if x.kind == kind]


def attention(samples: int = 5) -> LengthResult:
    snn = sw.convert(TwoTokens(), T=T, calibration=torch.ones(8, 2, 3), scale=sw.Max())
    return sw.evaluate(snn, torch.ones(samples, 2, 3)).lengths[0]


def test_attention_of_two_tokens_by_hand() -> None:
    # Every neuron is at its full scale and sends T spikes. q, k, v, the softmax and what is
    # attended to have 2·2 values. A product of two 2×2 matrices has 8 products: each of the 4
    # streaming values meets 2 held ones. 4 values reach 5 read-outs each, for 2 tokens.
    found = attention()
    spikes = T * found.samples
    neurons = rows(found, "neurons")
    assert [x.spikes for x in neurons] == [4 * spikes] * 5
    products, registers = rows(found, "product"), rows(found, "register")
    assert [(x.additions, x.macs) for x in products] == [(4 * 2 * spikes, 8)] * 2
    assert [(x.inputs, x.held, x.values) for x in products] == [(8, 4, 4)] * 2
    assert [(x.additions, x.values, x.potentials) for x in registers] == [(4 * spikes, 4, 4)] * 2
    assert [x.updates for x in registers] == [4 * T] * 2
    assert [x.shifts for x in registers] == [4 * (T - 1)] * 2  # k = 2: inflated while taking in
    layers = {x.name: x for x in rows(found, "layer")}
    assert [layers[n].macs for n in ("q", "k", "v", "out")] == [12, 12, 12, 20]
    assert layers["out"].additions == 4 * 5 * spikes
    assert found.analog_macs == 36  # the constant input at q, k and v
    # Two rows of two: largest, difference, exponential, sum, product with the sum's reciprocal.
    (softmax,) = rows(found, "function")
    assert (softmax.comparisons, softmax.sums, softmax.evaluations) == (4, 8, 4)
    assert (softmax.multiplications, softmax.divisions) == (4, 2)
    assert (softmax.inputs, softmax.values, softmax.additions) == (4, 4, 0)
    assert found.macs == 56 + 16


def test_spike_purity_of_two_tokens_by_hand() -> None:
    found = attention()
    operations = found.operations
    assert operations == {
        "additions by spikes": (8 + 8 + 4 + 4 + 20) * T,
        "multiply-adds left": 36,
        "function evaluations": 4,
        "multiplications": 4,
        "additions of values": 8,
        "divisions": 2,
        "comparisons of values": 4,
    }
    assert found.spike_purity == 176 / (176 + 58)
    table = Result((found,), 0, 0, "collapsed").table(layers=True)
    assert "spike purity: 75.21 % of its operations are additions by spikes; multiply" in table
    assert "on values" in table


def test_parts_of_an_evaluation_are_put_together_and_read_back() -> None:
    snn = sw.convert(TwoTokens(), T=T, calibration=torch.ones(8, 2, 3), scale=sw.Max())
    first, second = (sw.evaluate(snn, torch.ones(n, 2, 3)) for n in (2, 3))
    whole = first.merge(second)
    assert whole.lengths[0] == attention(5)
    assert Result.from_json(whole.to_json()) == whole


def test_inflation_by_a_factor_is_a_multiplication_of_the_purity() -> None:
    layers = (LayerCount(name="a", kind="neurons", factors=30, comparisons=99, constants=9),)
    found = operations_by_class(layers, 10, worked=0.5)
    assert found["multiplications"] == 15
    assert sum(found.values()) == 15
    assert spike_share(found) == 0.0
    assert spike_share(operations_by_class((), 0)) is None


def test_functions_of_groups_of_one_and_at_the_end() -> None:
    snn = sw.convert(Norms().eval(), T=T, calibration=torch.randn(16, 5, 4))
    found = sw.evaluate(snn, torch.randn(3, 5, 4)).lengths[0]
    # 5 tokens of 6. LayerNorm: mean, difference, squares' sum and shift are additions; square,
    # 1/σ and gain products. Once a token two divisions by a constant, ε, a square root.
    norm = LayerCount(
        *("norm (LayerNorm)", "function"),
        multiplications=30 * 3 + 5 * 2,
        sums=30 * 4 + 5,
        evaluations=5,
        inputs=30,
        values=30,
    )
    gelu = LayerCount("GELU", "function", evaluations=30, inputs=30, values=30)
    softmax = {"evaluations": 15, "comparisons": 15, "sums": 30, "multiplications": 15}
    end = LayerCount("Softmax", "analog", inputs=15, values=15, divisions=5, **softmax)
    kinds = ("function", "analog")
    said = {x.name: dataclasses.replace(x, values=x.values) for k in kinds for x in rows(found, k)}
    assert sum(x.evaluations for x in said.values()) == 5 + 30 + 15
    assert said["norm (LayerNorm)"] == norm
    assert said["GELU"] == gelu
    assert said["Softmax"] == end


class Ends(nn.Module):
    """A normalisation in front, pooling and logarithms at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv((x - x.mean((2, 3), keepdim=True)).tanh()).relu()
        return nn.functional.conv2d(x, torch.ones(2, 2, 1, 1)).mean((2, 3)).log_softmax(1)


def test_analog_work_in_front_of_the_network_and_behind_it() -> None:
    snn = sw.convert(Ends(), T=T, calibration=torch.rand(16, 1, 5, 5))
    found = function_work(snn.graph).values()
    assert {w.kind for w in found} == {"analog"}
    work = {w.node.op.split(".")[1]: dict(w.operations) for w in found}
    assert work == {
        "mean": {"addition": 25, "multiplication": 1},
        "sub": {"addition": 25},
        "tanh": {"evaluation": 25},
        "log_softmax": {"comparison": 2, "addition": 7, "evaluation": 3},
    }


@pytest.mark.parametrize(
    ("op", "args", "element", "group"),
    [
        ("gelu.default", (), {"evaluation": 1}, {}),
        ("pow.Tensor_Scalar", (3,), {"multiplication": 2}, {}),
        ("pow.Tensor_Scalar", (0.5,), {"evaluation": 1}, {}),
        ("max.other", (Ref("y"),), {"comparison": 1}, {}),
        ("layer_norm.default", ((6,),), {"addition": 3, "multiplication": 2}, None),
        (
            "layer_norm.default",
            ((6,), Param("w"), Param("b")),
            {"addition": 4, "multiplication": 3},
            None,
        ),
        ("tril.default", (), {}, {}),
        ("some_new_operator.default", (), {"evaluation": 1}, {}),
    ],
)
def test_operations_of_an_element(
    op: str, args: tuple[object, ...], element: dict[str, int], group: dict[str, int] | None
) -> None:
    cost = operations_of(Node(name="n", op=f"aten.{op}", args=(Ref("x"), *args)))
    assert dict(cost.element) == element
    once = {"multiplication": 2, "addition": 1, "evaluation": 1}
    assert dict(cost.group) == (once if group is None else group)


def test_a_graph_without_functions_has_no_function_work() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    graph: Graph = sw.convert(model, T=T, calibration=torch.rand(8, 3)).graph
    assert function_work(graph) == {}
