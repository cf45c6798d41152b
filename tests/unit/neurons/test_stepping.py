# SPDX-License-Identifier: Apache-2.0
"""What every neuron that steps with its input must hold to, and what Poisson input adds to it.

The first part runs over every such neuron there is, so a new one is tested by being there.
"""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from spikewright.errors import ConfigError, UnknownNameError
from spikewright.neurons import Firing, State, Stepping, neurons, stepping

STEPPERS = sorted(n for n in neurons() if issubclass(neurons()[n], Stepping))
WITH_POTENTIAL = [n for n in STEPPERS if "v" in stepping(n).states]
STEPS, SHAPE = 12, (3, 2, 4)
FIRINGS = {
    "one": Firing(),
    "signed": Firing(signed=True),
    "bursts": Firing(gamma=3, threshold=0.75, v_init=0.375),
    "signed bursts": Firing(gamma=4, threshold=0.3, signed=True),
    "per channel": Firing(
        gamma=2,
        threshold=torch.tensor([[0.5], [1.25]]),
        v_init=torch.tensor([[0.25], [0.0]]),
        seed=7,
    ),
}


def currents(shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> Tensor:
    """Currents of both signs, some beyond any burst, some zero, some exactly a threshold."""
    generator = torch.Generator().manual_seed(5)
    train = torch.randn((STEPS, *shape), generator=generator, dtype=dtype)
    train[3] = 0.0
    train[4] = 1.0
    train[5] *= 9.0
    return train


def steps(neuron: type[Stepping], train: Tensor, firing: Firing) -> Iterator[tuple[Tensor, State]]:
    """Yield the spikes of each step and the state after it."""
    state = neuron.begin(train[0], firing)
    for current in train:
        yield neuron.step_(state, current, firing, torch.empty_like(current)), state


def run(neuron: type[Stepping], train: Tensor, firing: Firing) -> Tensor:
    return torch.stack([spikes for spikes, _ in steps(neuron, train, firing)])


def test_unknown_neurons_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"neuron 'if-sofd': not known\. Did you mean 'if-s"):
        stepping("if-sofd")


@pytest.mark.parametrize("name", sorted(set(neurons()) - set(STEPPERS)))
def test_neurons_and_gates_that_do_not_step_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        stepping(name)
    assert str(error.value).startswith(f"neuron {name!r}: expected one that steps with its input")
    assert ", ".join(STEPPERS) in str(error.value)


def test_the_base_has_no_dynamics() -> None:
    firing, current = Firing(), torch.ones(1, 1)
    with pytest.raises(NotImplementedError):
        Stepping.step_(Stepping.begin(current, firing), current, firing, torch.empty(1, 1))


def test_those_of_the_papers_are_there() -> None:
    assert {"if-hard", "if-soft", "burst", "poisson"} <= set(STEPPERS)
    assert {"if-hard", "if-soft", "burst"} <= set(WITH_POTENTIAL)


@pytest.mark.parametrize("name", STEPPERS)
def test_it_is_found_by_its_own_name(name: str) -> None:
    assert stepping(name).name == name


@pytest.mark.parametrize("firing", FIRINGS.values(), ids=FIRINGS)
@pytest.mark.parametrize("name", STEPPERS)
def test_begin_gives_fresh_state(name: str, firing: Firing) -> None:
    neuron, train = stepping(name), currents()
    like, kept = train[0], train[0].clone()
    first = neuron.begin(like, firing)
    assert set(neuron.states) <= set(first)
    tensors = {key: value for key, value in first.items() if isinstance(value, Tensor)}
    for key, initial in neuron.states.items():
        start = firing.v_init if key == "v" else 0.0
        assert first[key].dtype == like.dtype
        assert torch.equal(first[key], torch.full_like(like, initial) + start)
    for current in train:
        neuron.step_(first, current, firing, torch.empty_like(current))
    second = neuron.begin(like, firing)
    own = {like.data_ptr(), *(value.data_ptr() for value in tensors.values())}
    assert all(second[key].data_ptr() not in own for key in tensors)
    assert torch.equal(like, kept)
    assert torch.equal(run(neuron, train, firing), run(neuron, train, firing))


@pytest.mark.parametrize("firing", FIRINGS.values(), ids=FIRINGS)
@pytest.mark.parametrize("name", STEPPERS)
def test_a_batch_equals_its_samples_one_by_one(name: str, firing: Firing) -> None:
    neuron, train = stepping(name), currents()
    alone = [run(neuron, train[:, i : i + 1], firing) for i in range(SHAPE[0])]
    together = run(neuron, train, firing)
    assert torch.equal(together, torch.cat(alone, 1))
    assert bool((together != 0).any())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("firing", FIRINGS.values(), ids=FIRINGS)
@pytest.mark.parametrize("name", STEPPERS)
def test_spikes_are_whole_numbers_up_to_gamma(
    name: str, firing: Firing, dtype: torch.dtype
) -> None:
    spikes = run(stepping(name), currents(dtype=dtype), firing)
    assert spikes.dtype == dtype
    assert torch.equal(spikes, spikes.round())
    assert float(spikes.abs().max()) <= firing.gamma
    if firing.signed:
        assert float(spikes.min()) < 0
    else:
        assert float(spikes.cumsum(0).min()) >= 0  # nobody owes spikes


@pytest.mark.parametrize("firing", FIRINGS.values(), ids=FIRINGS)
@pytest.mark.parametrize("name", STEPPERS)
def test_the_output_may_take_the_memory_of_the_current(name: str, firing: Firing) -> None:
    neuron, train = stepping(name), currents()
    kept = train.clone()
    apart = run(neuron, train, firing)
    assert torch.equal(train, kept)  # with memory of its own, the current is not touched
    state = neuron.begin(train[0], firing)
    for current, expected in zip(train, apart, strict=True):
        assert neuron.step_(state, current, firing, current) is current
        assert torch.equal(current, expected)


@pytest.mark.parametrize("name", STEPPERS)
def test_the_output_is_written_where_it_is_asked(name: str) -> None:
    neuron, firing, current = stepping(name), Firing(), torch.full(SHAPE, 5.0)
    out = torch.full(SHAPE, torch.nan)
    assert neuron.step_(neuron.begin(current, firing), current, firing, out) is out
    assert torch.equal(out, torch.ones(SHAPE))


@pytest.mark.parametrize("firing", FIRINGS.values(), ids=FIRINGS)
@pytest.mark.parametrize("name", WITH_POTENTIAL)
def test_silent_neurons_keep_their_potential(name: str, firing: Firing) -> None:
    neuron, train = stepping(name), currents()
    v = neuron.begin(train[0], firing)["v"].clone()
    silent = 0
    for current, (spikes, state) in zip(train, steps(neuron, train, firing), strict=True):
        quiet = spikes == 0
        assert torch.equal(state["v"][quiet], (v + current)[quiet])
        v, silent = state["v"].clone(), silent + int(quiet.sum())
    assert silent > 0


@pytest.mark.parametrize("name", WITH_POTENTIAL)
@pytest.mark.parametrize("threshold", [1.0, 0.75, torch.tensor(3.0)])
def test_a_tie_fires_and_the_number_below_it_does_not(name: str, threshold: float | Tensor) -> None:
    tie = torch.full((1, 1), float(threshold))
    below = torch.nextafter(tie, torch.zeros(1, 1))
    for signed in (False, True):
        firing = Firing(threshold=threshold, signed=signed)
        assert run(stepping(name), tie[None], firing).item() == 1
        assert run(stepping(name), below[None], firing).item() == 0
        assert run(stepping(name), -tie[None], firing).item() == (-1 if signed else 0)
        # A consistent neuron floors: whatever lies below zero is a negative spike's to mend.
        floors = signed and name == "consistent-if"
        assert run(stepping(name), -below[None], firing).item() == (-1 if floors else 0)


@pytest.mark.parametrize("name", STEPPERS)
def test_an_empty_batch_passes(name: str) -> None:
    assert run(stepping(name), torch.zeros(2, 0, 3), Firing()).shape == (2, 0, 3)


def poisson(train: Tensor, **settings: object) -> Tensor:
    return run(stepping("poisson"), train, Firing(**settings))  # type: ignore[arg-type]


PROBABILITIES = torch.tensor([[0.0, 0.03, 0.25, 0.5, 0.8, 0.99, 1.0, 1.7]])


@pytest.mark.parametrize("threshold", [1.0, 0.3])
def test_the_mean_of_poisson_spikes_is_the_current(threshold: float) -> None:
    """Within five standard deviations sqrt(p(1 - p)/T) of p = min(I/θ, 1)."""
    T, p = 10_000, PROBABILITIES.clamp(max=1.0)
    train = (PROBABILITIES * threshold).expand(T, *PROBABILITIES.shape)
    spikes = poisson(train, threshold=threshold)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    sigma = (p * (1 - p) / T).sqrt()
    assert bool(((spikes.mean(0) - p).abs() <= 5 * sigma).all())


def test_negative_currents_are_silent_or_send_negative_spikes() -> None:
    train = -PROBABILITIES.expand(50, *PROBABILITIES.shape)
    assert not bool(poisson(train).any())
    assert torch.equal(poisson(train, signed=True), -poisson(-train, signed=True))
    assert torch.equal(poisson(-train, signed=True), poisson(-train))


def test_poisson_draws_are_independent_between_neurons_and_steps() -> None:
    """Correlations of T fair coins have standard deviation 1/sqrt(T)."""
    T = 10_000
    coins = poisson(torch.full((T, 1, 4), 0.5))[:, 0] * 2 - 1
    bound = 5 / math.sqrt(T)
    between = coins.T @ coins / T - torch.diag((coins**2).mean(0))
    assert float(between.abs().max()) < bound
    assert float((coins[1:] * coins[:-1]).mean(0).abs().max()) < bound


def test_every_run_draws_the_same_whatever_was_drawn_elsewhere() -> None:
    train = torch.full((40, 2, 30), 0.5)
    before = torch.get_rng_state()
    first = poisson(train)
    assert torch.equal(torch.get_rng_state(), before)  # no one else's numbers are used up
    torch.manual_seed(999)
    assert torch.equal(poisson(train), first)


def test_another_seed_draws_others() -> None:
    train = torch.full((40, 1, 30), 0.5)
    differ = (poisson(train, seed=0) != poisson(train, seed=1)).float().mean()
    assert 0.4 < float(differ) < 0.6  # 1200 coins: half of them, give or take 0.015


def test_what_a_sample_draws_does_not_depend_on_its_batch() -> None:
    train = torch.full((40, 5, 30), 0.5)
    spikes = poisson(train)
    assert torch.equal(spikes[:, 3:4], poisson(train[:, :1]))
    assert torch.equal(spikes, spikes[:, :1].expand_as(spikes))  # all samples share the draws
