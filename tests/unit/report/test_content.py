# SPDX-License-Identifier: Apache-2.0
"""What a report of several runs says: ties, savings only where all agree, the cheapest curve."""

import dataclasses
from pathlib import Path

import pytest

from spikewright.energy.energy import OPPONENTS
from spikewright.energy.energy_model import choose_models
from spikewright.report import findings
from spikewright.report.content import content, times
from spikewright.report.figures import Plot, Series, front
from spikewright.report.read import Measured, read
from spikewright.report.tables import energy_table, layer_table, row_table
from tests.unit.report.results import comparison, measured, write

MODELS = choose_models()


@pytest.fixture
def compared(tmp_path: Path) -> Measured:
    return read([write(tmp_path, "c.json", comparison())])


def test_ties_are_told_and_one_point_is_one_point(compared: Measured) -> None:
    runs = tuple(
        dataclasses.replace(
            run,
            result=dataclasses.replace(
                run.result,
                labelled=100,
                correct=(0,) * (run.result.steps - 1) + (right,),
            ),
        )
        for run, right in zip(compared.runs, (90, 90, 89, 10), strict=True)
    )
    text = content(dataclasses.replace(compared, runs=runs, ann_accuracy=0.91), MODELS).verdict[0]
    assert text == (
        "After the last step burst T=2 and burst T=4 are right most often, on 90.00 % of the "
        "inputs (ANN: 91.00 %); 2 of 4 networks are at most 1 point below the ANN."
    )


def test_without_labels_agreement_is_told(compared: Measured) -> None:
    runs = tuple(
        dataclasses.replace(r, result=dataclasses.replace(r.result, labelled=0))
        for r in compared.runs
    )
    found = dataclasses.replace(compared, runs=runs, ann_accuracy=None)
    assert "decides most often as the ANN does" in content(found, MODELS).verdict[0]
    plot = findings.accuracy_over_steps(found).plot
    assert (plot.title, plot.level) == ("Agreement over steps", None)


def test_a_saving_is_only_told_where_all_models_agree(compared: Measured) -> None:
    for priced in content(compared, MODELS).runs:
        one = dataclasses.replace(compared, runs=(priced.run,))
        said = content(one, MODELS).verdict[1]
        pays = [e.pays(o) for e in priced.energies for o in OPPONENTS]
        assert ("saves energy under all" in said) == all(pays)
        assert ("saves none under any of" in said) == (not any(pays))
    dear = dataclasses.replace(MODELS[0], addition=1e9)
    assert "save none under the one energy model" in content(compared, (dear,)).verdict[1]
    free = dict.fromkeys(("addition", "comparison", "shift", "factor"), 1e-12)
    cheap = dataclasses.replace(MODELS[0], multiplication=1e-3, multiplication_bits=1, **free)
    said = content(compared, (cheap,)).verdict[1]
    assert (
        "burst T=2, burst T=4, tsc T=2 and tsc T=4 save energy under the one energy model" in said
    )


def test_latency_names_both_ends(compared: Measured) -> None:
    said = content(compared, MODELS).verdict[2]
    ticks = {run.label: run.result.latency_ticks for run in compared.runs}
    assert f"burst T=2 takes least, {ticks['burst T=2']} ticks" in said
    assert f"tsc T=4 most, {ticks['tsc T=4']}" in said


def test_curves_join_the_runs_of_a_method_or_go_along_the_steps_of_one_run(
    compared: Measured,
) -> None:
    joined = findings.accuracy_over_steps(compared).plot.series
    assert [(s.label, [x for x, _ in s.points]) for s in joined] == [
        ("burst", [2.0, 4.0]),
        ("tsc", [2.0, 4.0]),
    ]
    alone = dataclasses.replace(compared, runs=compared.runs[1:2])
    (steps,) = findings.accuracy_over_steps(alone).plot.series
    assert [x for x, _ in steps.points] == [1.0, 2.0, 3.0, 4.0]
    (costs,) = findings.over_additions(alone).plot.series
    result = compared.runs[1].result
    assert costs.points[-1] == (result.additions_per_sample, 100 * (result.accuracy() or 0))
    layered = dataclasses.replace(compared, runs=compared.runs[3:])
    assert len(findings.over_additions(layered).plot.series[0].points) == 1


def test_costs_have_a_front_that_no_run_is_left_of(compared: Measured) -> None:
    for curves in (
        findings.over_spikes(compared),
        findings.over_additions(compared),
        findings.over_ticks(compared),
        findings.over_energy(content(compared, MODELS)),
    ):
        every = [p for s in curves.plot.series for p in s.points]
        best = front(curves.plot)
        assert best
        assert set(best) <= set(every)
        for x, y in every:
            assert any(a <= x and b >= y for a, b in best)
        for x, y in best:
            assert not any(a <= x and b > y for a, b in every)
    assert front(findings.accuracy_over_steps(compared).plot) == ()
    ends = [p for s in findings.over_ticks(compared).plot.series for p in s.points]
    assert len(ends) == len(compared.runs)


def test_of_errors_the_front_is_the_lowest() -> None:
    curve = Series("a", ((1.0, 9.0), (2.0, 4.0), (3.0, 5.0)))
    plot = Plot(series=(curve,), x_label="", y_label="", front=True, rises=False)
    assert front(plot) == ((1.0, 9.0), (2.0, 4.0))


def test_tables_hold_every_run_layer_and_model(compared: Measured) -> None:
    found = content(compared, MODELS)
    rows = row_table(found)
    assert [row[0].text for row in rows.rows] == [run.label for run in compared.runs]
    assert {len(row) for row in rows.rows} == {len(rows.head)}
    energies = energy_table(found.runs[0].energies)
    assert len(energies.rows) == len(MODELS)
    for row, energy in zip(energies.rows, found.runs[0].energies, strict=True):
        won = [energy.pays(o) for o in OPPONENTS]
        assert [field.good for field in row[4:6]] == won
        assert (row[6].text == "both") == all(won)
        assert (row[6].text == "neither") == (not any(won))
    layers = layer_table(measured().lengths[0], MODELS[0])
    assert [row[0].text for row in layers.rows] == [x.name for x in measured().lengths[0].layers]
    for column in (2, 3, 6):
        bars = [row[column].bar for row in layers.rows if row[column].bar is not None]
        assert max(bars) == 100.0
        assert min(bars) >= 0.0
    shares = [float(row[6].text.removesuffix(" %")) for row in layers.rows]
    assert sum(shares) == pytest.approx(100.0, abs=0.05 * len(shares))


def test_a_ratio_is_not_rounded_to_one() -> None:
    assert [times(r) for r in (1.0, 1.0001, 0.99999, 0.5)] == ["1×", "1.0001×", "0.99999×", "0.5×"]
