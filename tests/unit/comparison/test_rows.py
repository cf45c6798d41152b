# SPDX-License-Identifier: Apache-2.0
"""From when on a method is as good as the original: hand-made curves, also ones that fall again."""

from typing import Any

import pytest

from spikewright.comparison.cells import Ann, Cell, points
from spikewright.comparison.entries import Entry
from spikewright.comparison.rows import Within, first_within, rows_of
from spikewright.evaluation import LayerCount, LengthResult
from spikewright.methods.burst import Burst
from spikewright.methods.tsc import TSC


@pytest.mark.parametrize(
    ("correct", "reference", "samples", "tolerance", "place"),
    [
        ([10, 50, 89, 90], 90, 100, 1.0, 2),  # 89 is one point below: still within
        ([10, 50, 89, 90], 90, 100, 0.5, 3),
        ([10, 92, 70, 90, 91], 90, 100, 1.0, 3),  # a good step before a bad one does not count
        ([90, 90, 90, 88], 90, 100, 1.0, None),  # nor does a good beginning
        ([95, 96, 97], 90, 100, 0.5, 0),  # above is fine
        ([90, 88, 90, 88, 90], 90, 100, 1.0, 4),
        ([179, 180], 180, 200, 0.5, 0),  # exactly half a point
        ([178, 180], 180, 200, 0.5, 1),
        ([], 90, 100, 1.0, None),
        ([0, 0], 0, 0, 1.0, None),  # nothing labelled
    ],
)
def test_the_rule(
    correct: list[int], reference: int, samples: int, tolerance: float, place: int | None
) -> None:
    assert first_within(correct, reference, samples, tolerance) == place


ANN = Ann((0,) * 100, correct=90, labelled=100, seconds=1.0, samples=100, classes=2)


def length(T: int, correct: tuple[int, ...], latency: int, **more: Any) -> LengthResult:
    """Return a result of 100 inputs of T steps."""
    plain = {"samples": 100, "labelled": 100, "compared": 100, "correct": correct, "agree": correct}
    return LengthResult(
        T=T, steps=T, latency_ticks=latency, ticks_per_input=T, **{"k": 2.0, **plain, **more}
    )


def synchronous(correct: tuple[int, ...]) -> LengthResult:
    """Return a result of 10 neurons: t·700 additions, t·500 spikes up to t."""
    steps = len(correct)
    return length(
        steps,
        correct,
        steps,
        k=1.0,
        layers=(
            LayerCount("n", "neurons", spikes=500 * steps, neurons=10),
            LayerCount("l", "layer", additions=700 * steps, macs=35, analog_macs=5),
        ),
        code="rate",
        schedule="synchronous",
        spikes_by_step=tuple(500 * t for t in range(1, steps + 1)),
        additions_by_step=tuple(700 * t for t in range(1, steps + 1)),
    )


def layered(T: int, correct: tuple[int, ...], additions: int) -> LengthResult:
    """Return a result whose latency is three trains."""
    layers = (
        LayerCount("n", "neurons", spikes=2000, neurons=10),
        LayerCount("l", "layer", additions=additions, macs=35),
    )
    return length(T, correct, 3 * T, layers=layers)


def cell(result: LengthResult, *, anytime: bool) -> Cell:
    return Cell("x", "m", {}, result.T, anytime, result, 0.1, 0.2)


def test_every_step_of_a_synchronous_run_has_its_own_work() -> None:
    third = list(points(synchronous((10, 50, 89, 90))))[2]
    assert (third.t, third.tick, third.correct, third.accuracy) == (3, 3, 89, 0.89)
    assert third.additions == 3 * 700 / 100
    assert third.spikes_per_neuron == 3 * 500 / (100 * 10)


def test_every_step_of_a_layered_run_has_the_work_of_the_whole() -> None:
    found = list(points(layered(4, (10, 50, 80, 90), 4200)))
    assert [p.tick for p in found] == [9, 10, 11, 12]
    assert {p.additions for p in found} == {42.0}
    assert {p.spikes_per_neuron for p in found} == {2.0}


def test_an_anytime_method_has_a_row_for_each_length_asked_for() -> None:
    entry = Entry("x", Burst(), (2, 5))
    low, high = rows_of(entry, [cell(synchronous((10, 92, 70, 89, 90)), anytime=True)], ANN)
    assert (low.T, low.accuracy, low.additions, low.latency_ticks) == (2, 0.92, 14.0, 2)
    assert (high.T, high.accuracy, high.additions, high.latency_ticks) == (5, 0.9, 35.0, 5)
    assert (high.relative, high.analog_macs, high.ann_accuracy) == (1.0, 5, 0.9)
    assert low.within == high.within == (Within(1.0, 4, 28.0), Within(0.5, 5, 35.0))


def test_other_methods_have_the_last_step_of_each_length() -> None:
    entry = Entry("x", TSC(), (2, 4, 8))
    cells = [
        cell(layered(2, (95, 89), 1000), anytime=False),
        cell(layered(4, (95, 95, 95, 70), 2000), anytime=False),  # the best step is not taken
        cell(layered(8, (0,) * 7 + (90,), 3000), anytime=False),
    ]
    rows = rows_of(entry, cells, ANN)
    assert [(r.T, r.accuracy, r.latency_ticks) for r in rows] == [
        (2, 0.89, 6),
        (4, 0.7, 12),
        (8, 0.9, 24),
    ]
    assert {r.within for r in rows} == {(Within(1.0, 8, 30.0), Within(0.5, 8, 30.0))}
    missed = rows_of(entry, cells[:2], ANN)
    assert missed[0].within == (Within(1.0, None, None), Within(0.5, None, None))
    assert rows_of(entry, [], ANN) == []
