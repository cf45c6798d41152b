# SPDX-License-Identifier: Apache-2.0
"""Laws of the few-spikes code and its neuron, against fractions."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st

from spikewright.codes import FewSpikes
from spikewright.codes.few_spikes import trains_of
from spikewright.errors import ConfigError
from spikewright.neurons.few_spikes import FewSpikesNeuron
from spikewright.simulators.delay_line import hold_, replay_

Step = tuple[int, int, int]


def made(steps: list[Step]) -> FewSpikes:
    """Return the code of these thresholds, resets and weights; it must be one.

    It is made in tests, since Hypothesis forbids random numbers in strategies.
    """
    thresholds, resets, weights = (tuple(map(float, part)) for part in zip(*steps, strict=True))
    try:
        return FewSpikes(thresholds=thresholds, resets=resets, steps_weigh=weights)
    except ConfigError:
        reject()


NUMBERS = st.integers(-40, 40)
RECIPES = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(-3000, 3000)), min_size=1, max_size=6)


def sent(target: Fraction, code: FewSpikes) -> list[int]:
    """Return the train of a target, in exact arithmetic."""
    v, train = target, []
    for threshold, reset in zip(code.thresholds, code.resets, strict=True):
        train.append(int(v >= Fraction(threshold)))
        v -= Fraction(reset) * train[-1]
    return train


def dense() -> torch.Tensor:
    return torch.arange(-1600, 1601, dtype=torch.float32) / 8


@given(steps=RECIPES, targets=st.lists(st.fractions(-400, 400, max_denominator=64), min_size=1))
def test_trains_are_those_of_the_equations(steps: list[Step], targets: list[Fraction]) -> None:
    """s[t] = [v ≥ θ_t], v ← v - h_t·s[t]; the value is Σ d_t·s[t], prefixes what has come."""
    code = made(steps)
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


@given(steps=RECIPES, threshold=st.sampled_from([1.0, 0.25, 8.0]))
def test_the_neuron_and_a_delay_line_send_the_train(steps: list[Step], threshold: float) -> None:
    code = made(steps)
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


@given(steps=RECIPES)
def test_all_trains_are_known_and_each_once(steps: list[Step]) -> None:
    """What any target fires is in the list, and the list holds nothing else."""
    code = made(steps)
    known = {tuple(t) for t in trains_of(code.thresholds, code.resets).T.tolist()}
    ends = torch.arange(-800.0, 800.0)  # edges are whole numbers
    found = {tuple(t) for t in code.encode(ends).T.tolist()}
    assert found == known
    levels = code.levels(1 << 10)
    assert levels is not None
    assert len(levels) == len(known)


@given(steps=RECIPES)
def test_settings_survive_a_round_trip(steps: list[Step]) -> None:
    code = made(steps)
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
