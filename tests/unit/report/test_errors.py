# SPDX-License-Identifier: Apache-2.0
"""Reports of networks whose outputs are no class scores."""

import csv
import io

import pytest
import torch

import spikewright as sw
from spikewright.energy.energy_model import choose_models
from spikewright.evaluation.result import Result
from spikewright.report import findings
from spikewright.report.content import Content, content
from spikewright.report.data import to_csv
from spikewright.report.markdown import markdown
from spikewright.report.page import page
from spikewright.report.read import measured_of
from spikewright.report.tables import key_figures, output_table, step_table
from tests.unit.evaluation.answering import FORMS, converted, inputs

MODELS = choose_models(["fp32"])
MEANINGLESS = ("Accuracy over", "<th>accuracy", "agree", "Agreement", "is right on")


def result(name: str, *, compared: bool = True) -> Result:
    model, snn = converted(FORMS[name][0], "burst")
    data = [(inputs(), torch.rand(24))]
    return sw.evaluate(snn, data, reference=model if compared else None, examples=1)


def found(name: str, *, compared: bool = True) -> Content:
    return content(measured_of(result(name, compared=compared)), MODELS)


@pytest.mark.parametrize("name", ["batch_1", "argmax", "nested", "many"])
def test_pages_say_errors_and_nothing_else(name: str) -> None:
    for text in (page(found(name)), markdown(found(name))):
        assert "Error over steps" in text
        assert "Accuracy is not shown" in text
        assert "No class: the outputs are no class scores." in text
        for words in MEANINGLESS:
            assert words not in text


@pytest.mark.parametrize("name", ["batch_1", "many"])
def test_without_the_original_there_is_still_a_page(name: str) -> None:
    for text in (page(found(name, compared=False)), markdown(found(name, compared=False))):
        assert "Nothing to compare with: the ANN was not run." in text
        for words in MEANINGLESS:
            assert words not in text


def test_figures_are_those_of_the_result() -> None:
    length = result("nested").lengths[0]
    (series,) = findings.accuracy_over_steps(measured_of(result("nested"))).plot.series
    assert series.points == tuple((float(t), 100 * length.error(t)) for t in (1, 2, 3))
    table = step_table(length)
    assert table.head == ("step", "tick", "x.0 error", "x.1.0 error", "x.1.1 equal")
    assert table.rows[1][2].text == (
        f"{100 * length.errors[0].relative_error(2):.3g} %, {length.errors[0].snr_db(2):.1f} dB"
    )
    assert table.rows[1][4].text == f"{100 * length.errors[2].equality(2):.2f} %"
    keys = key_figures(found("nested"))
    assert [name for name, _, _ in keys[:3]] == ["x.0 error", "x.1.0 error", "x.1.1 equal"]
    assert output_table(length) is None
    many = output_table(result("many").lengths[0])
    assert many is not None
    assert [row[0].text for row in many.rows] == [f"output {i}" for i in range(5)]


def test_csv_has_a_line_for_every_output_and_step() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(found("nested")))))
    numbers = {(x["table"], x["row"], x["quantity"]): x["value"] for x in lines}
    length = result("nested").lengths[0]
    assert float(numbers["step", "2", "relative_error (x.0)"]) == length.errors[0].relative_error(2)
    assert float(numbers["step", "2", "snr_db (x.0)"]) == length.errors[0].snr_db(2)
    assert float(numbers["total", "T=3", "equality (x.1.1)"]) == length.errors[2].equality()
    assert not any("accuracy" in quantity or "agreement" in quantity for _, _, quantity in numbers)
