# SPDX-License-Identifier: Apache-2.0
"""T of their own for populations, within the cost of one T for all."""

from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.methods.mixed_lengths import best_lengths
from spikewright.methods.pricing import pooled_populations
from spikewright.methods.spikeconverter import SpikeConverter
from tests.unit.methods.test_pricing import DATA, Net


def converted(**settings: Any) -> sw.SpikingNetwork:
    return sw.convert(Net().eval(), calibration=DATA, **settings)


def lengths(snn: sw.SpikingNetwork) -> list[int]:
    return [snn.sites[n.name].code.T for n in snn.spiking_nodes()]


def spikes(snn: sw.SpikingNetwork) -> float:
    return sw.evaluate(snn, [DATA]).lengths[-1].spikes_per_neuron


def cost(snn: sw.SpikingNetwork, budget: str) -> float:
    if budget == "spikes":
        return spikes(snn)
    if budget == "steps":
        return sum(lengths(snn)) / len(lengths(snn))
    return snn.timing().latency_ticks


@pytest.mark.parametrize("code", ["radix", "signed-radix"])
@pytest.mark.parametrize("budget", ["steps", "spikes", "ticks"])
def test_the_budget_is_kept_and_simulators_agree(budget: str, code: str) -> None:
    uniform, mixed = converted(T=4, code=code), converted(T=4, code=code, mixed=budget)
    slack = 1.03 if budget == "spikes" else 1.0  # statistics against what was sent
    assert cost(mixed, budget) <= slack * cost(uniform, budget)
    assert len(set(lengths(mixed))) > 1 or budget != "steps"
    assert sw.verify(mixed, DATA[:8]).agrees
    assert sw.verify(mixed.to_integer(), DATA[:8]).spikes_differ == 0


def test_outputs_are_closer_for_as_many_steps() -> None:
    wanted = Net()(DATA).detach()
    uniform, mixed = converted(T=3), converted(T=3, mixed="steps")
    assert (mixed(DATA) - wanted).norm() < (uniform(DATA) - wanted).norm()


def test_populations_under_one_maximum_have_one_length() -> None:
    snn = converted(T=3, mixed="steps")
    for group in pooled_populations(snn.graph):
        assert len({snn.sites[name].code for name in group}) == 1


def test_mixed_networks_are_prepared_and_survive_a_file(tmp_path: Any) -> None:
    snn = converted(T=3, mixed="steps", prepare="bias")
    snn.save(tmp_path / "net.safetensors")
    assert torch.equal(sw.load(tmp_path / "net.safetensors")(DATA), snn(DATA))


def test_converted_again_at_another_length_the_budget_is_that_lengths() -> None:
    snn = converted(T=3, mixed="steps")
    two = sw.evaluate(snn, [DATA], code_lengths=[3, 5]).lengths
    assert two[1].T > two[0].T


def test_the_best_choice_of_two_groups_is_found() -> None:
    """All 9 choices tried: within a cost of 6 the least error is that of 4 and 2 steps."""
    one, two = frozenset({"a"}), frozenset({"b"})
    errors = {one: {2: 10.0, 3: 5.0, 4: 1.0}, two: {2: 2.0, 3: 1.0, 4: 0.5}}
    costs = {g: {t: float(t) for t in of} for g, of in errors.items()}
    found = best_lengths(errors, costs, lambda c: float(sum(c.values())), 6.0)
    every = [(a, b) for a in errors[one] for b in errors[two] if a + b <= 6]
    assert (found[one], found[two]) == min(
        every, key=lambda c: errors[one][c[0]] + errors[two][c[1]]
    )


def test_lengths_that_a_code_cannot_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 16"):
        SpikeConverter(T=14, code="signed-radix", mixed="steps")
    with pytest.raises(ConfigError, match="mixed: expected 'none' or"):
        SpikeConverter(T=4, mixed="mean")  # type: ignore[arg-type]
