# SPDX-License-Identifier: Apache-2.0
"""A user sees what in a transformer is spikes, what a function unit, what a product."""

import torch
from torch import nn

import spikewright as sw
from spikewright.graph import support_table
from tests.unit.evaluation.transformers import Norms, TwoTokens


def test_products_registers_and_functions_are_told_apart() -> None:
    found = sw.inspect(TwoTokens(), torch.ones(2, 2, 3))
    assert found.counts()["product"] == found.counts()["register"] == 2
    rows = {r.becomes: r for r in found.rows if r.becomes in ("function", "product", "register")}
    assert rows["function"].operator.startswith("Softmax for softmax")
    assert rows["function"].note == "function unit of groups of neurons, which exchange sums"
    assert rows["product"].operator == "softmax/neurons × held"
    assert rows["register"].operator == "holds v/linear/relay"
    assert "2 product" in found.table()


def test_functions_of_single_neurons_and_analog_work_at_the_end() -> None:
    found = sw.inspect(Norms(), torch.ones(2, 5, 4))
    said = [(r.operator, r.becomes) for r in found.rows if r.becomes in ("function", "analog")]
    assert [what for _, what in said] == ["function", "function", "analog"]
    assert [name.split(" for ")[0] for name, _ in said] == ["LayerNorm", "GELU", "Softmax"]
    notes = {r.operator.split(" for ")[0]: r.note for r in found.rows}
    assert notes["GELU"] == "function unit of single neurons"
    assert notes["Softmax"] == "behind the read-out"


def test_summary_names_functions_and_products() -> None:
    x = torch.ones(8, 2, 3)
    said = sw.convert(TwoTokens(), T=4, calibration=x, scale=sw.Max()).summary()
    assert "  functions   Softmax, in function units" in said
    assert "  products    2 products of two values; held in registers: 2 right factor" in said
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    said = sw.convert(plain, T=4, calibration=torch.rand(8, 3)).summary()
    assert "functions" not in said
    assert "products" not in said


def test_neurons_that_send_a_function_are_no_relu_and_functions_are_in_the_support_table() -> None:
    layers = nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)
    model = nn.Sequential(*layers)
    rows = [r.operator for r in sw.inspect(model, torch.rand(2, 4)).rows if r.becomes == "spiking"]
    assert rows == ["neurons", "ReLU"]
    table = support_table()
    assert "`silu`" in table.split("| function |")[0].splitlines()[-1]
    assert "`layer_norm`" in table.split("| function of a group |")[0].splitlines()[-1]
    assert "| `matmul`, `mul` of two values | product |" in table
