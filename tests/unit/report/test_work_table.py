# SPDX-License-Identifier: Apache-2.0
"""A report shows at a glance what in a transformer is spikes and what is a function unit."""

import csv
import io
import json
from functools import cache

import pytest
import torch

import spikewright as sw
from spikewright.energy import choose_models
from spikewright.evaluation.result import Result
from spikewright.report.content import Content, content
from spikewright.report.data import to_csv, to_dict
from spikewright.report.markdown import markdown
from spikewright.report.page import page
from spikewright.report.read import measured_of
from spikewright.report.tables import key_figures, layer_table
from spikewright.report.work_table import work_table
from tests.unit.evaluation.transformers import TwoTokens
from tests.unit.report.results import measured


@cache
def attention() -> Result:
    snn = sw.convert(TwoTokens(), T=4, calibration=torch.ones(8, 2, 3), scale=sw.Max())
    return sw.evaluate(snn, torch.ones(5, 2, 3))


def found() -> Content:
    return content(measured_of(attention()), choose_models(["int8", "memory-int8", "loihi"]))


def test_places_of_work_by_hand() -> None:
    (model,) = choose_models(["int8"])
    table = work_table(attention().lengths[0], model)
    rows = {row[0].text: [field.text for field in row[1:]] for row in table.rows}
    assert "75.21 %" in table.caption
    # 4 layers: 80 additions and the 36 multiply-adds of a constant input, of 234 operations.
    work = "80 additions by spikes, 36 multiply-adds left"
    assert rows["spikes at weights"][:3] == ["4", work, f"{11600 / 234:.2f} %"]
    products = rows["spikes at held values (products)"]
    assert products[:3] == ["2", "64 additions by spikes", f"{6400 / 234:.2f} %"]
    assert rows["spikes into registers"][1] == "32 additions by spikes"
    assert rows["function units"][0] == "1"
    assert rows["function units"][2] == f"{2200 / 234:.2f} %"
    assert rows["neurons, gates and read-outs by themselves"][1:3] == ["-", "-"]
    energy = [float(row[-1].text.removesuffix(" %")) for row in table.rows]
    assert sum(energy) == pytest.approx(100, abs=0.05)


def test_every_form_has_it() -> None:
    for form in (page(found()), markdown(found())):
        assert "function units" in form
        assert "spikes into registers" in form
        assert "Spike purity" in form
        assert "additions that spikes cause" in form
    figures = {name: value for name, value, _ in key_figures(found())}
    assert figures["Spike purity"] == "75.21 %"
    (run,) = json.loads(json.dumps(to_dict(found())))["runs"]
    assert run["result"]["spike_purity"] == 176 / 234
    assert run["result"]["operations"]["divisions"] == 2
    lines = list(csv.reader(io.StringIO(to_csv(found()))))
    by_row = {(row, quantity): value for _, _, row, quantity, value in lines}
    assert float(by_row["T=4", "spike_purity"]) == 176 / 234
    assert float(by_row["T=4", "function_evaluations"]) == 4
    (function,) = (k for k in by_row if k[1] == "operations_on_values" and "function" in k[0])
    assert float(by_row[function]) == 22


def test_operations_on_values_have_a_column_where_there_are_any() -> None:
    (model,) = choose_models(["int8"])
    own, plain = (layer_table(r.lengths[0], model) for r in (attention(), measured()))
    assert "on values" in own.head
    assert "on values" not in plain.head
    for table in (own, plain):
        assert {len(row) for row in table.rows} == {len(table.head)}
