# SPDX-License-Identifier: Apache-2.0
"""What all codes have in common whose steps weigh the same."""

from typing import Any

import pytest
import torch

from spikewright.codes import Code, Rate, Switch, WakeSleep, codes
from spikewright.codes.uniform import UniformCode
from spikewright.errors import ConfigError, UnknownNameError

CODES = [Rate, Switch, WakeSleep]


def made(cls: type[UniformCode], T: int) -> Any:
    """Return the code, without steps asleep where it could have some."""
    return cls(T=T, **({"sleep": 0} if cls is WakeSleep else {}))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cls", CODES)
@pytest.mark.parametrize("T", [0, -3, True, 2.0, 1 << 24])
def test_steps_must_be_a_positive_whole_number_that_float32_counts(
    cls: type[UniformCode], T: int
) -> None:
    with pytest.raises(
        ConfigError,
        match=f"{cls.name} code: expected a whole number of time steps T from 1 to 16777215, "
        f"got T={T}",
    ):
        made(cls, T)


@pytest.mark.parametrize("cls", CODES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32])
def test_other_number_types_are_refused(cls: type[UniformCode], dtype: torch.dtype) -> None:
    code, values = made(cls, 2), torch.ones(2, 3).to(dtype)
    for call in (code.encode, code.decode, code.quantise_):
        with pytest.raises(ConfigError, match="expected float32 or float64, got"):
            call(values)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cls", CODES)
@pytest.mark.parametrize("shape", [(3, 4), ()])
def test_a_train_of_another_length_is_refused(
    cls: type[UniformCode], shape: tuple[int, ...]
) -> None:
    text = f"{cls.name} code: expected a train of 2 steps, got shape"
    with pytest.raises(ConfigError, match=text):
        made(cls, 2).decode(torch.ones(shape))


@pytest.mark.parametrize("cls", CODES)
@pytest.mark.parametrize("t", [-1, 5])
def test_steps_outside_the_train_are_refused(cls: type[UniformCode], t: int) -> None:
    text = f"{cls.name} code: expected t from 0 to 4 steps, got t="
    with pytest.raises(ConfigError, match=text):
        made(cls, 4).share(t)
    with pytest.raises(ConfigError, match=text):
        made(cls, 4).prefix(torch.ones(1), t)


@pytest.mark.parametrize(
    ("cls", "wrong"), [(Rate, "rat"), (Switch, "swich"), (WakeSleep, "wake-slep")]
)
def test_it_is_a_code_found_by_name(cls: type[UniformCode], wrong: str) -> None:
    assert codes()[cls.name] is cls
    assert isinstance(cls(), Code)
    with pytest.raises(UnknownNameError, match=f"Did you mean '{cls.name}'"):
        codes()[wrong]


@pytest.mark.parametrize("cls", CODES)
def test_every_step_weighs_one(cls: type[UniformCode]) -> None:
    code = made(cls, 3)
    assert (code.T, code.steps, code.k, code.max_value) == (3, 3, 1.0, 3.0)
    assert code.weights == (1.0, 1.0, 1.0)
    assert code.pool_base == 1.0


@pytest.mark.parametrize("cls", CODES)
def test_settings_survive_a_round_trip(cls: type[UniformCode]) -> None:
    code = made(cls, 5)
    plain = code.to_dict()
    sleep = {"sleep": 0} if cls is WakeSleep else {}
    assert plain == {"name": cls.name, "version": 1, "T": 5, **sleep}
    assert codes()[plain["name"]].from_dict(plain) == code
    assert cls.from_dict({"name": cls.name}) == cls()


@pytest.mark.parametrize("cls", CODES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 2.0}, "got unknown 'k'"),
        ({"name": "radix"}, "expected settings with name '{}', got 'radix'"),
        ({"version": 2}, "expected settings of version 1, got 2"),
        ({"T": 0}, "T from 1 to"),
    ],
)
def test_foreign_settings_are_refused(
    cls: type[UniformCode], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message.format(cls.name)):
        cls.from_dict({**cls().to_dict(), **change})
