# SPDX-License-Identifier: Apache-2.0
"""Laws of the few-spikes code and its neuron, against fractions."""

from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikewright.codes import FewSpikes
from spikewright.codes.few_spikes import trains_of
from spikewright.errors import ConfigError
from spikewright.neurons.few_spikes import FewSpikesNeuron
from spikewright.simulators.delay_line import hold_, replay_

NUMBERS = st.integers(-40, 40)


@st.composite
def few_spikes(draw: st.DrawFn, most: int = 7) -> FewSpikes:
    T = draw(st.integers(1, most))
    parts = [tuple(draw(st.lists(NUMBERS, min_size=T, max_size=T))) for _ in range(2)]
    weights = tuple(draw(st.lists(st.integers(-3000, 3000), min_size=T, max_size=T)))
    try:
        return FewSpikes(thresholds=parts[0], resets=parts[1], steps_weigh=weights)
    except ConfigError:
        assume(False)
        raise


def sent(target: Fraction, code: FewSpikes) -> list[int]:
    """Return the train of a target, in exact arithmetic."""
    v, train = target, []
    for threshold, reset in zip(code.thresholds, code.resets, strict=True):
        train.append(int(v >= Fraction(threshold)))
        v -= Fraction(reset) * train[-1]
    return train


def dense() -> torch.Tensor:
    return torch.arange(-1600, 1601, dtype=torch.float32) / 8


@given(code=few_spikes(), targets=st.lists(st.fractions(-400, 400, max_denominator=64), min_size=1))
def test_trains_are_those_of_the_equations(code: FewSpikes, targets: list[Fraction]) -> None:
    """s[t] = [v ≥ θ_t], v ← v - h_t·s[t]; the value is Σ d_t·s[t], prefixes what has come."""
    x = torch.tensor([float(t) for t in targets], dtype=torch.float64)
    wanted = torch.tensor([sent(Fraction(float(v)), code) for v in x]).T.double()
    train = code.encode(x)
    assert torch.equal(train, wanted)
    n = code.quantise_(x.clone())
    assert torch.equal(n, code.decode(train))
    assert torch.equal(n, (wanted * torch.tensor(code.weights)[:, None]).sum(0))
    assert torch.equal(code.count(n).double(), wanted.sum(0))
    for t in range(code.steps + 1):
        assert torch.equal(
            code.prefix(n, t), (wanted[:t].T * torch.tensor(code.weights[:t])).sum(1)
        )
    assert float(n.abs().max()) <= code.max_value


@given(code=few_spikes(), threshold=st.sampled_from([1.0, 0.25, 8.0]))
def test_the_neuron_and_a_delay_line_send_the_train(code: FewSpikes, threshold: float) -> None:
    x = dense()
    v, register, wanted = x * threshold, None, code.encode(x)
    for t in range(1, code.steps + 1):
        out = FewSpikesNeuron.fire_(v, threshold, code, t, False, torch.empty_like(v))
        assert torch.equal(out, wanted[t - 1])
        register = hold_(register, out, code, t)
    assert register is not None
    for t in range(1, code.steps + 1):
        out = replay_(register, code, t, False, torch.empty_like(register))
        assert torch.equal(out, wanted[t - 1])


@given(code=few_spikes())
def test_all_trains_are_known_and_each_once(code: FewSpikes) -> None:
    """What any target fires is in the list, and the list holds nothing else."""
    known = {tuple(t) for t in trains_of(code.thresholds, code.resets).T.tolist()}
    ends = torch.arange(-800.0, 800.0)  # edges are whole numbers
    found = {tuple(t) for t in code.encode(ends).T.tolist()}
    assert found == known
    levels = code.levels(1 << 10)
    assert levels is not None
    assert len(levels) == len(known)


@given(code=few_spikes())
def test_settings_survive_a_round_trip(code: FewSpikes) -> None:
    assert FewSpikes.from_dict(code.to_dict()) == code


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "wrong",
    [
        {"steps_weigh": (0.0,)},
        {"steps_weigh": (1.0, 2.0)},
        {"thresholds": (0.5,)},
        {"resets": (float("inf"),)},
        {"resets": (float("nan"),)},
        {"thresholds": ("a",)},
        {"thresholds": ()},
        {"thresholds": 3},
        {"thresholds": (1.0,) * 17, "resets": (1.0,) * 17, "steps_weigh": (1.0,) * 17},
        {"thresholds": (2, 1), "resets": (2, 1), "steps_weigh": (1, 1)},
    ],
)
def test_what_is_no_code_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="few-spikes code: expected"):
        FewSpikes(**wrong)  # type: ignore[arg-type]


def test_signed_trains_and_other_codes_are_refused() -> None:
    with pytest.raises(ConfigError, match="spikes have no sign"):
        FewSpikes().quantise_(torch.zeros(1), signed=True)
    with pytest.raises(ConfigError, match="few-spikes neuron: expected"):
        FewSpikesNeuron.fire_(torch.zeros(1), 1.0, FewSpikes(), 1, True, torch.zeros(1))
