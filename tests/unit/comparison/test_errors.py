# SPDX-License-Identifier: Apache-2.0
"""Comparisons of networks whose outputs are no class scores: errors instead of accuracy."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.comparison import Comparison
from spikewright.energy import choose_models
from spikewright.report import content, read
from tests.unit.evaluation.answering import FORMS, Net, inputs

METHODS = ("burst", "tsc@2,4")


def run(name: str, **changes: Any) -> Comparison:
    options: dict[str, Any] = {"calibration": inputs(), "data": inputs().split(10), "T": (2, 5)}
    return sw.compare(Net(FORMS[name][0]).eval(), METHODS, **{**options, **changes})


@pytest.mark.parametrize("name", ["batch_1", "argmax", "nested"])
def test_rows_have_the_error_that_evaluate_finds(name: str) -> None:
    model, found = Net(FORMS[name][0]).eval(), run(name)
    prepared = sw.calibrate(model, inputs())
    for cell in found.cells:
        snn = sw.convert(prepared, cell.method, T=cell.T)
        expected = sw.evaluate(snn, inputs().split(10), reference=model).lengths[0]
        assert cell.result == expected
        assert expected.error() is not None
    rows = {(row.label, row.T): row for row in found.rows()}
    assert rows["tsc", 4].error == found.of("tsc")[1].result.error()
    assert rows["burst", 2].error == found.of("burst")[0].result.error(2)
    assert {(r.accuracy, r.agreement, r.ann_accuracy) for r in rows.values()} == {(None,) * 3}
    assert all(w.T is None for r in rows.values() for w in r.within)


def test_only_errors_are_shown(tmp_path: Path) -> None:
    found = run("batch_1")
    text = found.table()
    assert text.startswith("24 inputs, ")
    assert text.splitlines()[2].split()[:3] == ["label", "T", "error"]
    for word in ("accuracy  ", "agrees", "from T"):
        assert word not in text
    assert max(map(len, text.splitlines())) <= 80
    found.to_csv(tmp_path / "c.csv")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "c.csv").read_text())))
    assert "accuracy" not in lines[0]
    assert "agreement" not in lines[0]
    assert float(lines[-1]["error"]) == found.of("tsc")[-1].result.error()
    assert float(lines[-1]["snr_db"]) == found.of("tsc")[-1].result.snr_db()
    assert f"{found.rows()[-1].snr_db:.1f} dB" in text
    plain = json.loads(found.to_json())
    assert (plain["ann"]["samples"], plain["ann"]["classes"]) == (24, 0)
    drawn = found.figures(tmp_path)
    assert "error against the ANN (%)" in drawn[0].read_text()


def test_the_report_of_it_ranks_by_error(tmp_path: Path) -> None:
    found = run("batch_1")
    (tmp_path / "c.json").write_text(found.to_json())
    measured = read.read([tmp_path / "c.json"])
    errors = {r.label: r.result.error() for r in measured.runs}
    best = min(errors, key=lambda label: errors[label])
    said = content.content(measured, choose_models(["fp32"])).verdict[0]
    assert said.startswith(f"After the last step {best} comes closest to the ANN: the relative")


def test_labels_are_not_read_and_cells_do_not_depend_on_them(tmp_path: Path) -> None:
    first = run("batch_1", store=tmp_path)
    cells = {p.name for p in (tmp_path / "cells").iterdir()}
    labelled = [(x, torch.rand(len(x), 1)) for x in inputs().split(10)]
    again = run("batch_1", store=tmp_path, data=labelled)
    assert {p.name for p in (tmp_path / "cells").iterdir()} == cells
    assert again == first


def test_class_scores_in_a_dictionary_are_decided() -> None:
    model = Net(lambda s, _: {"logits": s}).eval()
    x = inputs()
    y = model(x)["logits"].argmax(1)
    found = sw.compare(model, ["tsc@4"], calibration=x, data=[(x, y)])
    assert (found.ann.accuracy, found.ann.classes) == (1.0, 6)
    expected = sw.evaluate(sw.convert(model, "tsc", T=4, calibration=x), [(x, y)], reference=model)
    assert found.cells[0].result == expected.lengths[0]
