# SPDX-License-Identifier: Apache-2.0
"""Errors of outputs: sums without rounding, in any order; ratios where they mean something."""

import itertools
import json
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from spikewright.errors import ConfigError, FileFormatError
from spikewright.tasks.output_error import OutputError, exact_sum


def floating(**changes: Any) -> OutputError:
    plain: dict[str, Any] = {
        "name": "y",
        "elements": 8,
        "norm": (4.0,),
        "squared": ((1.0,), (0.25,)),
        "odd": (0, 0),
    }
    return OutputError(**{**plain, **changes})


def integers(**changes: Any) -> OutputError:
    return OutputError(**{"name": "n", "elements": 8, "equal": (2, 6), **changes})


def test_sums_are_those_of_fractions_in_any_order_and_parts() -> None:
    draw = random.Random(0)
    for _ in range(50):
        values = [draw.uniform(0, 1) * 2.0 ** draw.randint(-80, 80) for _ in range(20)]
        whole = exact_sum(values)
        assert sum(map(Fraction, whole)) == sum(map(Fraction, values))
        assert whole[0] == float(sum(map(Fraction, values)))
        draw.shuffle(values)
        assert exact_sum(values) == whole
        assert exact_sum(exact_sum(values[:7]) + exact_sum(values[7:])) == whole
    assert exact_sum([]) == exact_sum([0.0, 0.0]) == ()


def test_ratios_by_hand() -> None:
    assert [floating().relative_error(t) for t in (1, 2, None)] == [0.5, 0.25, 0.25]
    assert floating().equality() is None
    assert [integers().equality(t) for t in (1, 2, None)] == [0.25, 0.75, 0.75]
    assert integers().relative_error() is None
    assert (floating().off(1), integers().off(1)) == (0.5, 0.75)


def test_signal_to_noise_ratios_by_hand() -> None:
    assert [floating().snr_db(t) for t in (1, 2, None)] == [6.0206, 12.0412, 12.0412]
    assert floating(squared=((), (4e8,))).snr_db() == -80.0
    assert floating(squared=((), (0.25,))).snr_db(1) is None  # no error: no finite ratio
    assert integers().snr_db() is None
    assert floating().to_dict()["snr_db"] == [6.0206, 12.0412]


def test_no_ratio_where_it_means_nothing() -> None:
    assert floating(odd=(1, 0)).relative_error(1) is None
    assert floating(odd=(1, 0)).relative_error(2) == 0.25
    assert floating(odd=(1, 0)).snr_db(1) is None
    silent = floating(norm=(), squared=((), (0.25,)))
    assert (silent.relative_error(1), silent.relative_error(2)) == (0.0, None)
    assert (silent.snr_db(1), silent.snr_db(2)) == (None, None)


def test_parts_merge_to_the_same_whole_in_every_order() -> None:
    draw = random.Random(1)
    parts = [
        floating(
            norm=exact_sum([draw.random() * 1e9, draw.random()]),
            squared=tuple(exact_sum([draw.random(), draw.random() * 1e-9]) for _ in range(2)),
            odd=(draw.randint(0, 2), 0),
        )
        for _ in range(4)
    ]
    wholes = set()
    for a, b, c, d in itertools.permutations(parts):
        wholes |= {a.merge(b).merge(c).merge(d), a.merge(b).merge(c.merge(d))}
    (whole,) = wholes
    assert whole.elements == 32
    assert sum(map(Fraction, whole.norm)) == sum(Fraction(v) for p in parts for v in p.norm)
    assert integers().merge(integers(equal=(1, 1))).equal == (3, 7)


def test_other_outputs_do_not_merge() -> None:
    for other in (floating(name="z"), integers(name="y"), floating(squared=((),), odd=(0,))):
        with pytest.raises(ConfigError, match="merge: expected results of one reference"):
            floating().merge(other)


@pytest.mark.parametrize("made", [floating, integers])
def test_there_and_back(made: Callable[[], OutputError]) -> None:
    assert OutputError.from_dict(json.loads(json.dumps(made().to_dict())), 2) == made()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": 3}, "missing or of another kind"),
        ({"elements": 8.0}, "no whole number"),
        ({"odd": [0, -1]}, "no whole number"),
        ({"odd": [0, 9]}, "more of an output"),
        ({"name": 3}, "more of an output"),
        ({"squared": [[1.0]]}, "not one number for each step"),
        ({"equal": [1, 1]}, "not one number for each step"),
        ({"norm": [-4.0]}, "a sum of squares is none"),
        ({"norm": [float("nan")]}, "a sum of squares is none"),
        ({"norm": ["4"]}, "a sum of squares is none"),
        ({"squared": [[1.0, 2.0], []]}, "a sum of squares is none"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_error_of_an_output(changes: dict[str, Any], message: str) -> None:
    data = json.loads(json.dumps({**floating().to_dict(), **changes}))
    with pytest.raises(FileFormatError, match=message):
        OutputError.from_dict(data, 2)
