# SPDX-License-Identifier: Apache-2.0
"""Where text goes, and that only a terminal sees styles."""

import io
import json
import sys

import pytest

from spikewright.cli.terminal import Terminal

TABLE = "the head\n\nlayer  spikes\n─────  ──────\nconv        3\nand [bold]no[/bold] markup"


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch, terminal: str = "xterm-256color") -> Screen:
    """Put a screen in the place of standard output (in the test itself: pytest sets its own)."""
    found = Screen()
    monkeypatch.setattr(sys, "stdout", found)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", terminal)
    return found


def test_in_a_terminal_titles_are_bold_and_rules_dim(monkeypatch: pytest.MonkeyPatch) -> None:
    found = screen(monkeypatch)
    Terminal().result(TABLE, {})
    shown = found.getvalue()
    assert "\x1b[1mlayer  spikes" in shown
    assert "\x1b[2m─────  ──────" in shown
    assert "\nconv        3\n" in shown
    assert "and [bold]no[/bold] markup" in shown
    assert "\x1b" not in shown.partition("\n")[0]


def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = screen(monkeypatch, "dumb")
    Terminal().result(TABLE, {})
    assert found.getvalue() == TABLE + "\n"


def test_piped_text_has_no_styles(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().result(TABLE, {})
    Terminal().tell(TABLE)
    assert capsys.readouterr().out == f"{TABLE}\n{TABLE}\n"


def test_quiet_and_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = screen(monkeypatch)
    Terminal(quiet=True).tell(TABLE)
    Terminal(json=True).tell(TABLE)
    Terminal(quiet=True).note("nothing")
    assert found.getvalue() == capsys.readouterr().err == ""
    Terminal(json=True).result(TABLE, {"a": 1})
    assert json.loads(found.getvalue()) == {"a": 1}
