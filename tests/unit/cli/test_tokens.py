# SPDX-License-Identifier: Apache-2.0
"""Text to values: what is no number is refused, and nothing is cut or rounded."""

import re
from typing import Any

import pytest
from cyclopts import App, CycloptsError, Parameter

from spikewright.cli.option_values import Inflation, Number, Numbers, Size, Whole, Wholes


def parse(words: list[str]) -> dict[str, Any]:
    def verb(
        *,
        whole: Whole = None,
        number: Number = None,
        wholes: Wholes = None,
        numbers: Numbers = None,
        size: Size = None,
        k: Inflation = None,
    ) -> None: ...

    app = App(name="test", default_parameter=Parameter(negative=""))
    app.default(verb)
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False, verbose=False)
    return bound.kwargs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--whole", "2.5"], "--whole: expected a whole number, got '2.5'"),
        (["--whole", "x"], "--whole: expected a whole number, got 'x'"),
        (["--number", "x"], "--number: expected a number, got 'x'"),
        (["--number", "nan"], "--number: expected a number, got 'nan'"),
        (["--number", "inf"], "--number: expected a number, got 'inf'"),
        (["--wholes", "4,,6"], "--wholes: expected a whole number, got ''"),
        (["--numbers", "0.5;1"], "--numbers: expected a number, got '0.5;1'"),
        (["--size", "1,2,3"], "--size: expected one number or HEIGHT,WIDTH, got 3 numbers"),
        (["--k", "seek"], "--k: expected a number in (1, 2] or 'search', got 'seek'"),
    ],
)
def test_what_is_no_value(words: list[str], message: str) -> None:
    with pytest.raises(CycloptsError, match=re.escape(message)):
        parse(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--whole", "8"], {"whole": 8}),
        (["--number", "99.9"], {"number": 99.9}),
        (["--wholes", "4,6, 8"], {"wholes": (4, 6, 8)}),
        (["--wholes", "4"], {"wholes": (4,)}),
        (["--numbers", "-0.5,2"], {"numbers": (-0.5, 2.0)}),
        (["--size", "224"], {"size": 224}),
        (["--size", "224,192"], {"size": (224, 192)}),
        (["--k", "search"], {"k": "search"}),
        (["--k", "1.5"], {"k": 1.5}),
    ],
)
def test_values(words: list[str], expected: dict[str, Any]) -> None:
    assert parse(words) == expected
