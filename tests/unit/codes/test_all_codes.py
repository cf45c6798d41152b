# SPDX-License-Identifier: Apache-2.0
"""What all codes have in common, and what those have whose steps weigh the same."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.codes import Code, Radix, Rate, SignedRadix, Switch, WakeSleep, codes
from spikewright.codes.train_code import TrainCode
from spikewright.codes.uniform import UniformCode
from spikewright.errors import ConfigError, UnknownNameError

UNIFORM = [Rate, Switch, WakeSleep]
ALL = [Radix, SignedRadix, *UNIFORM]
OTHERS = {
    Radix: {"k": 1.5, "extra_step": False},
    SignedRadix: {"rise": (), "fall": ()},
    WakeSleep: {"sleep": 0},
}
"""Settings beside T, with which a train has T steps and no rule has an exception."""


def made(cls: type[TrainCode], T: int) -> Any:
    return cls(T=T, **OTHERS.get(cls, {}))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cls", UNIFORM)
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


@pytest.mark.parametrize("cls", UNIFORM)
def test_every_step_weighs_one(cls: type[UniformCode]) -> None:
    code = made(cls, 3)
    assert (code.T, code.steps, code.k, code.max_value) == (3, 3, 1.0, 3.0)
    assert code.weights == (1.0, 1.0, 1.0)
    assert code.pool_base == 1.0


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32])
def test_other_number_types_are_refused(cls: type[TrainCode], dtype: torch.dtype) -> None:
    code, values = made(cls, 2), torch.ones(2, 3).to(dtype)
    calls = [code.encode, code.decode, code.quantise_]
    calls += [code.count, lambda n: code.prefix(n, 1)] if cls in (Radix, SignedRadix) else []
    for call in calls:
        with pytest.raises(ConfigError, match="expected float32 or float64, got"):
            call(values)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("shape", [(3, 4), ()])
def test_a_train_of_another_length_is_refused(cls: type[TrainCode], shape: tuple[int, ...]) -> None:
    text = f"{cls.name} code: expected a train of 2 steps, got shape"
    with pytest.raises(ConfigError, match=text):
        made(cls, 2).decode(torch.ones(shape))


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("t", [-1, 5])
def test_steps_outside_the_train_are_refused(cls: type[TrainCode], t: int) -> None:
    text = f"{cls.name} code: expected t from 0 to 4 steps, got t="
    with pytest.raises(ConfigError, match=text):
        made(cls, 4).share(t)
    with pytest.raises(ConfigError, match=text):
        made(cls, 4).prefix(torch.ones(1), t)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
@pytest.mark.parametrize("code", [Radix(T=4), *(made(cls, 4) for cls in ALL)])
def test_scalars_and_empty_tensors(code: Code, shape: tuple[int, ...]) -> None:
    target = torch.full(shape, 1.0)
    train = code.encode(target)
    assert train.shape == (4, *shape)
    assert torch.equal(code.decode(train), code.quantise_(target.clone()))
    assert code.count(target).shape == code.prefix(target, 2).shape == shape


@pytest.mark.parametrize("cls", [Rate, Switch])
@given(T=st.integers(1, 70), share=st.fractions(-2, 2, max_denominator=97), signed=st.booleans())
def test_a_train_decodes_to_the_quantised_target_at_every_step(
    cls: type[UniformCode], T: int, share: Fraction, signed: bool
) -> None:
    """Decoded: clip(floor(target), 0, T), signed trunc within ±T; prefixes are what has come."""
    code, target = made(cls, T), torch.tensor([float(share * T)], dtype=torch.float64)
    exact = Fraction(float(target))
    n = math.trunc(max(-T, min(T, exact))) if signed else max(0, min(T, math.floor(exact)))
    train = code.encode(target, signed)
    assert train.dtype == torch.float64
    assert set(train.flatten().tolist()) <= {-1.0, 0.0, 1.0}
    assert code.decode(train).item() == code.quantise_(target.clone(), signed).item() == n
    for t in range(T + 1):
        assert train[:t].sum() == code.prefix(torch.tensor([float(n)]), t).item()


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (Radix, "radx"),
        (SignedRadix, "signed-radx"),
        (Rate, "rat"),
        (Switch, "swich"),
        (WakeSleep, "wake-slep"),
    ],
)
def test_it_is_a_code_found_by_name(cls: type[TrainCode], wrong: str) -> None:
    assert codes()[cls.name] is cls
    assert isinstance(cls(), Code)
    with pytest.raises(UnknownNameError, match=f"Did you mean '{cls.name}'"):
        codes()[wrong]


@pytest.mark.parametrize("cls", ALL)
def test_settings_survive_a_round_trip(cls: type[TrainCode]) -> None:
    code = made(cls, 5)
    plain = code.to_dict()
    assert plain == {"name": cls.name, "version": 1, "T": 5, **OTHERS.get(cls, {})}
    assert codes()[plain["name"]].from_dict(plain) == code
    assert cls.from_dict({"name": cls.name}) == cls()


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kk": 2.0}, "got unknown 'kk'"),
        ({"name": "other"}, "expected settings with name '{}', got 'other'"),
        ({"version": 2}, "expected settings of version 1, got 2"),
        ({"T": 0}, "T (>= 1|from 1 to)"),
    ],
)
def test_foreign_settings_are_refused(
    cls: type[TrainCode], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message.format(cls.name)):
        cls.from_dict({**cls().to_dict(), **change})
