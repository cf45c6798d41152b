# SPDX-License-Identifier: Apache-2.0
"""Result files: what is none, what cannot be compared, and that nothing gets lost on the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikewright.errors import ConfigError, FileFormatError
from spikewright.report.read import measured_of, read
from tests.unit.report.results import comparison, data, measured, write


def test_no_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least one result file, got none"):
        read([])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got no file"),
        ("", "cut off or no JSON"),
        ('{"schema": "spikewright.result/5", "lengths": [', "cut off or no JSON"),
        ("[1, 2]", "got another JSON file"),
        ('{"schema": "other.tool/7"}', "got other.tool/7"),
        ('{"schema": "spikewright.result/3"}', "got spikewright.result/3"),
        ('{"schema": "spikewright.result/5"}', "a field is missing"),
        ('{"schema": "spikewright.comparison/5"}', "one is missing"),
    ],
)
def test_what_is_no_result(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "r.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FileFormatError, match=message) as error:
        read([path])
    assert str(error.value).startswith(f"{path}: ")


def test_every_truncation_is_found(tmp_path: Path) -> None:
    whole, path = json.dumps(data()), tmp_path / "r.json"
    for end in range(0, len(whole), len(whole) // 40):
        path.write_text(whole[:end])
        with pytest.raises(FileFormatError):
            read([path])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d["cells"].clear(), "expected at least one finished cell"),
        (lambda d: d["cells"][0].pop("T"), "one is missing or of another kind"),
        (lambda d: d["cells"][0]["result"]["correct"].reverse(), "ratios do not follow"),
        (lambda d: d["ann"].update(correct="all"), "expected whole numbers of right decisions"),
        (lambda d: d.update(data=3), "expected facts about its inputs, got 3"),
    ],
)
def test_damaged_comparisons(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    content = comparison()
    correct = content["cells"][0]["result"]
    correct.update(correct=[1, 2], accuracy=[1 / 30, 2 / 30])
    edit(content)
    with pytest.raises(FileFormatError, match=message):
        read([write(tmp_path, "c.json", content)])


def changed(**changes: Any) -> dict[str, Any]:
    return {**data("burst"), **changes}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: changed(provenance={**data("burst")["provenance"], "model": "Other"}),
            "of one checkpoint with one calibration, got different ones: model Sequential and Oth",
        ),
        (lambda: data("burst", seed=1), "got different ones: statistics digest"),
        (
            lambda: changed(data={**data()["data"], "name": "more noise"}),
            "on the same inputs, got different ones: name noise and more noise",
        ),
        (lambda: changed(reference_correct=0), "original network is right on"),
    ],
)
def test_what_cannot_be_compared(
    tmp_path: Path, other: Callable[[], dict[str, Any]], message: str
) -> None:
    a, b = write(tmp_path, "a.json", data()), write(tmp_path, "b.json", other())
    with pytest.raises(ConfigError, match=message) as error:
        read([a, b])
    assert str(error.value).startswith(f"{a} and {b}: ")
    assert "\n" not in str(error.value)


def test_an_evaluation(tmp_path: Path) -> None:
    found = read([write(tmp_path, "r.json", data())])
    (run,) = found.runs
    assert (run.label, found.compares, found.interrupted) == ("spikeconverter T=4", False, False)
    assert run.result == measured().lengths[0]
    assert run.examples == measured().examples
    assert len(run.examples) == 2
    assert found.ann_accuracy == measured().reference_accuracy
    assert found.data["name"] == "noise"
    assert list(found.provenance) == ["r.json"]
    assert measured_of(measured(), data()["data"]).runs == found.runs


def test_a_comparison_and_its_curves(tmp_path: Path) -> None:
    found = read([write(tmp_path, "c.json", comparison())])
    assert [run.label for run in found.runs] == ["burst T=2", "burst T=4", "tsc T=2", "tsc T=4"]
    assert [run.line for run in found.runs] == ["burst", "burst", "tsc", "tsc"]
    assert found.compares
    assert found.runs[3].result == measured("tsc", 4).lengths[0]


def test_several_files_are_rivals_with_names_of_their_own(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "a.json", data()),
        write(tmp_path, "b.json", data("burst")),
        write(tmp_path, "c.json", data()),
        write(tmp_path, "d.json", comparison()),
    ]
    found = read(paths)
    assert [run.label for run in found.runs] == [
        "spikeconverter T=4 (a)",
        "burst T=4 (b)",
        "spikeconverter T=4 (c)",
        "burst T=2",
        "burst T=4 (d)",
        "tsc T=2",
        "tsc T=4",
    ]
    assert found.compares
    assert len(found.provenance) == 4
