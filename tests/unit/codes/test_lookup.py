# SPDX-License-Identifier: Apache-2.0
"""Finding classes by name: a file in the folder is enough, and two of one name are an error."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import pytest

from spikewright.codes import lookup
from spikewright.codes.lookup import Lookup, classes_in, discover, with_entry_points
from spikewright.errors import ConfigError, UnknownNameError


def module(name: str, **members: type) -> ModuleType:
    made = ModuleType(name)
    for key, cls in members.items():
        cls.__module__ = name
        setattr(made, key, cls)
    return made


def test_two_classes_of_one_name_are_an_error() -> None:
    first = module("first", A=type("A", (), {"name": "twin"}))
    second = module("second", B=type("B", (), {"name": "twin"}))
    with pytest.raises(ConfigError, match=r"second\.B: expected a name of its own, got 'twin'"):
        classes_in([first, second])


def test_imported_and_nameless_classes_are_not_taken() -> None:
    own = type("Own", (), {"name": "own"})
    made = module("made", Own=own, Nameless=type("Nameless", (), {}))
    made.Foreign = type("Foreign", (), {"name": "foreign", "__module__": "elsewhere"})
    assert classes_in([made]) == {"own": own}


def test_a_new_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugged"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text("class Mine:\n    name = 'mine'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = discover("plug", "plugged", [str(package)], object)
    assert found.names() == ("mine",)
    assert found["mine"] is sys.modules["plugged.mine"].Mine


def test_reading_like_a_table() -> None:
    table = Lookup("thing", {"b": 2, "a": 1})
    assert list(table) == ["a", "b"]
    assert len(table) == 2
    assert "a" in table
    assert "c" not in table
    with pytest.raises(UnknownNameError, match=r"thing 'c': not known\. Known: a, b\."):
        table["c"]


class Base:
    """What entry points must name."""


@pytest.mark.parametrize(
    ("name", "bases", "said"),
    [
        ("mine", (Base,), ""),
        ("mine", (), "a Base of that name"),
        ("other", (Base,), "of that name"),
    ],
)
def test_an_entry_point_names_a_subclass_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, bases: tuple[type, ...], said: str
) -> None:
    made = type("Mine", bases, {"name": name})
    monkeypatch.setattr(EntryPoint, "load", lambda self: made)
    entry = EntryPoint("mine", "package.mine:Mine", "group")
    monkeypatch.setattr(lookup, "_entry_points", lambda group, path: EntryPoints([entry]))
    known = Lookup[type[object]]("thing", {"known": Base})
    if not said:
        assert with_entry_points(known, "group", Base).names() == ("known", "mine")
        return
    with pytest.raises(ConfigError, match=said):
        with_entry_points(known, "group", Base)
