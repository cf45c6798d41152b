# SPDX-License-Identifier: Apache-2.0
"""Figures: what cannot be drawn, and that curves can be told apart without colour."""

import re
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from spikewright.errors import ConfigError
from spikewright.report.figures import Plot, Series, _draw, save

CURVE = Series("curve", ((1.0, 10.0), (2.0, 50.0), (4.0, 90.0)))


def plot(*series: Series) -> Plot:
    return Plot(series=series, x_label="steps", y_label="accuracy (%)", level=91.0, level_label="A")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.svg or \.png"):
        save(plot(CURVE), tmp_path / "figure.gif")
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_place_on_a_logarithmic_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected every x above zero, got zero with another"):
        save(plot(Series("zero", ((0.0, 1.0),))), tmp_path / "figure.svg")


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'spikewright\[report\]'"):
        save(plot(CURVE), tmp_path / "figure.svg")


def test_the_same_plot_is_the_same_file_and_nothing_stays_behind(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    first, second = (save(plot(CURVE), tmp_path / n / "x.svg").read_text() for n in ("a", "b"))
    assert first == second
    assert dict(matplotlib.rcParams) == before
    for text in ("curve", "A", "steps", "accuracy (%)"):
        assert f">{text}</text>" in first
    assert not re.search(r"\d{4}-\d\d-\d\dT", first)  # no date


def test_curves_differ_in_more_than_colour_and_the_level_is_dashed() -> None:
    axes = Figure().add_subplot()
    _draw(axes, plot(*(Series(f"curve {i}", CURVE.points) for i in range(20))))
    *curves, level = axes.get_lines()
    forms = {(line.get_marker(), line._dash_pattern[0], str(line._dash_pattern)) for line in curves}  # type: ignore[attr-defined]
    assert len(forms) == 20
    assert level.get_linestyle() == "--"
    assert list(level.get_ydata()) == [91.0, 91.0]
    assert axes.get_xscale() == "log"
    assert [list(line.get_xydata()[:, 1]) for line in curves[:1]] == [[10.0, 50.0, 90.0]]
