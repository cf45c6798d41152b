# SPDX-License-Identifier: Apache-2.0
"""What the reports and lists say, and that it fits."""

import dataclasses
import json
import os
import shlex
import warnings
from pathlib import Path

import pytest

from spikewright.cli import catalogue, terminal
from spikewright.cli.report import fit, preprocessing
from spikewright.codes import codes
from spikewright.errors import SpikewrightWarning
from spikewright.methods import methods
from spikewright.neurons import neurons


def test_long_lines_are_broken_and_short_ones_left_alone() -> None:
    table = "a    b\n───  ───"
    text = "  latency  " + "40 ticks and more " * 8
    broken = fit(f"{table}\n{text}").splitlines()
    assert broken[:2] == table.splitlines()
    assert all(len(line) <= 80 for line in broken)
    assert broken[3].startswith("    ")
    assert " ".join(" ".join(broken[2:]).split()) == " ".join(text.split())


def test_preprocessing_in_words() -> None:
    text = preprocessing(
        {"channels": "BGR", "crop": 0.875, "size": [224, 192], "scale": 1 / 255, "mean": [1, 2, 3]}
    )
    assert text == "BGR, crop 0.875, size 224x192, v·0.003922, mean 1 2 3"


def test_everything_that_can_be_chosen_is_listed_with_a_text() -> None:
    found = catalogue.everything()
    assert {kind: [e["name"] for e in found[kind]] for kind in ("methods", "codes", "neurons")} == {
        "methods": list(methods().names()),
        "codes": list(codes().names()),
        "neurons": list(neurons().names()),
    }
    assert all(entry["text"] for entries in found.values() for entry in entries)
    json.dumps(found)


def test_every_option_of_every_method_is_explained() -> None:
    found = {entry["name"]: entry["options"] for entry in catalogue.everything()["methods"]}
    for name in methods().names():
        fields = dataclasses.fields(methods()[name])
        assert [option["name"] for option in found[name]] == [field.name for field in fields]
        assert all(option["text"] for option in found[name])


def test_the_list_fits() -> None:
    text = catalogue.text(catalogue.everything())
    assert max(map(len, text.splitlines())) <= 80
    assert "[16] Time steps" in text


@pytest.mark.skipif(os.name == "nt", reason="the shell there quotes in another way")
def test_a_command_to_paste_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(terminal.shutil, "which", lambda _: "/bin/spikewright")
    assert terminal.command() == "spikewright"
    words = ("evaluate", "--snn", Path("my nets") / "it's.safetensors", "--T", 8)
    assert shlex.split(terminal.command(*words)) == ["spikewright", *map(str, words)]
    assert terminal.command("verify", "--data", "SPEC") == "spikewright verify --data SPEC"
    monkeypatch.setattr(terminal.shutil, "which", lambda _: None)
    monkeypatch.setattr(terminal.sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    assert terminal.command() == f"{Path('bin') / 'python'} -m spikewright"
    monkeypatch.setattr(terminal.sys, "executable", str(tmp_path / "my env" / "python"))
    assert shlex.split(terminal.command("list")) == [
        *(str(Path("my env") / "python"), "-m", "spikewright", "list")
    ]


def test_warnings_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.shown_warnings():
        warnings.simplefilter("always")
        warnings.warn("it changes this", SpikewrightWarning, stacklevel=1)
        warnings.warn("other", UserWarning, stacklevel=1)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "warning: it changes this"
    assert second.startswith("warning: other (")


def test_json_goes_alone_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = terminal.Terminal(json=True)
    quiet.tell("working")
    quiet.note("by the way")
    quiet.result("text", {"a": 1})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert captured.err == "note: by the way\n"
