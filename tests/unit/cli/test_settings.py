# SPDX-License-Identifier: Apache-2.0
"""Options from TOML: every key is checked, and belongs to the verbs that have it."""

import re
import tomllib
from pathlib import Path

import pytest

from spikewright.cli.settings import config_path, literal, read_settings
from spikewright.errors import SpikewrightError

OPTIONS = {
    "convert": frozenset({"model", "T", "analog-relay", "set", "config"}),
    "evaluate": frozenset({"model", "data", "config"}),
}


def read(folder: Path, text: str) -> dict[str, dict[str, object]]:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, OPTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "run.toml: expected a TOML file, got one that cannot be read (Invalid value"),
        ("modle = 'x'", "run.toml: option 'modle': not known. Did you mean 'model'"),
        ("t = 8", "run.toml: option 't': not known."),
        ("[convrt]\nT = 8", "run.toml: option 'convrt': not known. Did you mean '[convert]'?"),
        ("[convert]\ndata = 'x'", "run.toml [convert]: option 'data': not known."),
        ("config = 'other.toml'", "run.toml: option 'config': not known."),
        ("convert = 3", "run.toml: expected a table [convert], got convert = 3."),
        ("[model]\nname = 'x'", "run.toml: expected a value for model, got a table."),
        ("set = 3", "run.toml: expected a table [set], got set = 3."),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpikewrightError, match=re.escape(message)):
        read(tmp_path, text)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpikewrightError, match=r"none.toml: expected a TOML file, .*No such file"):
        read_settings(tmp_path / "none.toml", OPTIONS)


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == {"convert": {}, "evaluate": {}}


def test_the_top_is_for_all_verbs_and_a_table_for_one(tmp_path: Path) -> None:
    found = read(
        tmp_path, 'model = "a"\ndata = "b"\nanalog_relay = ["x"]\n[convert]\nmodel = "c"\nT = 6\n'
    )
    assert found == {
        "convert": {"model": "c", "T": 6, "analog-relay": ["x"]},
        "evaluate": {"model": "a", "data": "b"},
    }


def test_a_table_of_method_options_becomes_assignments(tmp_path: Path) -> None:
    found = read(tmp_path, '[convert.set]\nk = 1.5\nrounding = false\nscale = {name = "max"}\n')
    assert found["convert"]["set"] == ["k=1.5", "rounding=false", 'scale={name = "max"}']


@pytest.mark.parametrize(
    "value", [True, 3, -2.5, 'say "hi"\\\n', [1, [2.5, "x"]], {"a": 1, "b": {"c": False}}]
)
def test_literals_read_back(value: object) -> None:
    assert tomllib.loads(f"value = {literal(value)}")["value"] == value


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ([], None),
        (["convert", "--config"], None),
        (["convert", "--config", "a.toml"], Path("a.toml")),
        (["convert", "--config=b.toml", "--T", "8"], Path("b.toml")),
    ],
)
def test_where_the_file_is(words: list[str], path: Path | None) -> None:
    assert config_path(words) == path
