# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks as spiking ones: nothing is lost asleep, padding has no effect, counts."""

import copy
import functools

import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import CalibrationError, ConfigError, ShapeError, UnsupportedModuleError
from spikewright.functions.staircase import quantised
from spikewright.models.text_rnn import TextRNN
from spikewright.recurrent import RecurrentSNN, check_counts, convert_recurrent
from spikewright.recurrent.convert import UnrolledCell
from spikewright.simulators import simulator

LEVELS, CAP, HIDDEN, INPUTS, CLASSES = 8, 1.5, 24, 6, 3
TEXTS, LONGEST = 6, 9


class Staircase(nn.Module):
    """θ·clip(⌊Q·x/θ + φ⌋/Q, 0, 1)."""

    def __init__(self, levels: int = LEVELS, cap: float = CAP, offset: float = 0.0) -> None:
        super().__init__()
        self.levels, self.cap, self.offset = levels, cap, offset

    def forward(self, x: Tensor) -> Tensor:
        return quantised(x, self.cap, self.levels, self.offset)


def network(activation: nn.Module | None = None, **settings: object) -> TextRNN:
    """A network whose states are busy: U is no longer near the identity, currents change sign."""
    model = TextRNN(
        30,
        CLASSES,
        embedding=INPUTS,
        hidden=HIDDEN,
        activation=activation or Staircase(),
        **settings,
    ).double()
    nn.init.normal_(model.cell.recurrent.weight, std=HIDDEN**-0.5)
    nn.init.normal_(model.cell.input.bias, mean=0.3, std=0.3)
    return model.eval()


def texts(count: int = TEXTS, longest: int = LONGEST) -> tuple[Tensor, Tensor]:
    lengths = torch.randint(1, longest + 1, (count,))
    lengths[0] = longest
    return torch.randint(0, 30, (count, longest)), lengths


@functools.cache
def converted(pool: str = "mean") -> tuple[TextRNN, RecurrentSNN]:
    """A network and its spiking one, for all tests that change neither."""
    with torch.random.fork_rng():
        torch.manual_seed(1)  # not the weights of a network that a test builds itself
        model = network(pool=pool)
        return model, convert_recurrent(model, texts())


def levels_after_every_token(model: TextRNN, text: Tensor, top: int = LEVELS) -> list[Tensor]:
    """Levels of the hidden neurons in one text, by the equation, with no code of the model."""
    W, b, U = model.cell.input.weight, model.cell.input.bias, model.cell.recurrent.weight
    found, h = [], torch.zeros(HIDDEN, dtype=torch.float64)
    for token in text:
        current = W @ model.embedding.weight[token] + b + U @ h
        level = torch.floor(current / CAP * top).clamp(0, top)
        h = level / top * CAP
        found.append(level.long())
    return found


# --- misuse


@pytest.mark.parametrize("activation", [nn.Hardtanh(0.0, 4.0), nn.ReLU(), nn.Tanh()])
def test_an_activation_without_levels_is_refused(activation: nn.Module) -> None:
    with pytest.raises(ConfigError, match=f"trained quantised, .* got {type(activation).__name__}"):
        convert_recurrent(network(activation), texts())


def test_calibration_texts_are_needed() -> None:
    with pytest.raises(CalibrationError, match="expected calibration texts, got none"):
        convert_recurrent(network(), [])


def test_the_method_must_fit_the_levels() -> None:
    with pytest.raises(ConfigError, match="expected T = 8"):
        convert_recurrent(network(), texts(), T=4)


def test_lengths_must_fit() -> None:
    _, snn = converted()
    with pytest.raises(ShapeError, match="expected 1 to 2 tokens a text, got 3 to 3"):
        snn.run(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([3]))


def test_networks_of_different_types_are_not_compared() -> None:
    model, snn = converted()
    with pytest.raises(ConfigError, match=r"got torch\.float32 and torch\.float64"):
        check_counts(copy.deepcopy(model).float(), snn, *texts())


# --- nothing is lost


@pytest.mark.parametrize("levels", [1, 4, 8, 32])
@pytest.mark.parametrize("pool", ["mean", "last"])
def test_every_count_is_the_level_of_the_quantised_network(levels: int, pool: str) -> None:
    model, (tokens, lengths) = network(Staircase(levels), pool=pool), texts()
    snn = convert_recurrent(model, (tokens[:4], lengths[:4]))
    check = check_counts(model, snn, tokens, lengths)
    assert check.agrees
    assert (check.counts, check.texts) == (int(lengths.sum()) * HIDDEN, TEXTS)
    torch.testing.assert_close(check.run.logits, model(tokens, lengths))


def test_the_counts_are_those_of_the_equation() -> None:
    (model, snn), (tokens, lengths) = converted(), texts()
    seen: dict[tuple[int, int], Tensor] = {}

    def watch(t: int, active: Tensor, totals: Tensor) -> None:
        seen.update({(int(i), t): row for i, row in zip(active, totals, strict=True)})

    snn.measure(tokens, lengths, watch=watch)
    assert len(seen) == int(lengths.sum())
    for i, length in enumerate(lengths):
        for t, level in enumerate(levels_after_every_token(model, tokens[i, :length])):
            assert torch.equal(seen[i, t], level)


def test_without_sleep_counts_are_off() -> None:
    """What sleep is for; and that the check can fail."""
    model, (tokens, lengths) = converted()[0], texts()
    awake = check_counts(model, convert_recurrent(model, texts(), sleep=0), tokens, lengths)
    assert not awake.agrees
    assert awake.differ > 0
    rate = check_counts(model, convert_recurrent(model, texts(), "qcfs"), tokens, lengths)
    assert rate.differ > 0


@pytest.mark.parametrize("offset", [0.25, 0.5])
def test_a_trained_offset_is_kept(offset: float) -> None:
    model, (tokens, lengths) = network(Staircase(offset=offset)), texts()
    assert check_counts(model, convert_recurrent(model, texts()), tokens, lengths).agrees


def test_another_activation_than_the_trained_one_is_noticed() -> None:
    other = network()
    assert check_counts(other, converted()[1], *texts()).differ > 0  # of other weights


def test_the_repeated_states_are_what_they_were() -> None:
    cell = UnrolledCell(network().cell, CAP, LEVELS)
    h = torch.randint(0, LEVELS + 1, (5, HIDDEN)) * (CAP / LEVELS)
    x = torch.randn(5, INPUTS, dtype=torch.float64)
    assert torch.equal(cell.repeat(h), h)
    torch.testing.assert_close(cell(torch.cat([x, h], dim=1)), cell.cell(x, h.double()))


# --- runs


def test_the_model_is_not_changed() -> None:
    model = network().train()
    before = copy.deepcopy(model.state_dict())
    snn = convert_recurrent(model, texts())
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    tokens, lengths = texts()
    wanted = snn.run(tokens, lengths)
    nn.init.zeros_(model.embedding.weight)
    nn.init.zeros_(model.cell.recurrent.weight)
    assert torch.equal(snn.run(tokens, lengths), wanted)


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_padding_and_neighbours_change_nothing(pool: str) -> None:
    (_, snn), (tokens, lengths) = converted(pool), texts()
    run = snn.measure(tokens, lengths)
    padded = torch.cat([tokens, torch.randint(0, 30, (TEXTS, 5))], dim=1)
    assert torch.equal(snn.run(padded, lengths), run.logits)
    for i, length in enumerate(lengths):
        alone = snn.measure(tokens[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(alone.logits[0], run.logits[i])
        for name in ("spikes", "additions", "ticks", "tokens"):
            assert getattr(alone, name)[0] == getattr(run, name)[i], name


def test_only_texts_with_a_token_are_stepped() -> None:
    tokens, lengths = texts()
    stepped: list[tuple[int, list[int]]] = []
    _, snn = converted()
    snn.measure(tokens, lengths, watch=lambda t, active, _: stepped.append((t, active.tolist())))
    assert stepped == [
        (t, (lengths > t).nonzero().squeeze(1).tolist()) for t in range(int(lengths.max()))
    ]


def test_both_simulators_do_the_same() -> None:
    tokens, lengths = texts()
    _, snn = converted()
    fast = snn.measure(tokens, lengths)
    slow = snn.measure(tokens, lengths, simulator_name="reference")
    torch.testing.assert_close(fast.logits, slow.logits)
    for name in ("spikes", "additions", "ticks", "tokens"):
        assert torch.equal(getattr(fast, name), getattr(slow, name)), name
    assert fast.at_rest == slow.at_rest
    with pytest.raises(ConfigError, match="wake-sleep schedule, got 'collapsed'"):
        snn.measure(tokens, lengths, simulator_name="collapsed")


# --- costs


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_spikes_and_additions_follow_from_the_levels(pool: str) -> None:
    """Without negative spikes, as plain neurons are, a neuron at level n has sent n spikes.

    A repeated spike causes one addition a hidden neuron; a new one, one in the sum that keeps the
    state and, where the head reads it, one a class.
    """
    model, (tokens, lengths) = converted(pool)[0], texts()
    snn = convert_recurrent(model, texts(), "qcfs")
    totals = torch.zeros(TEXTS, LONGEST, dtype=torch.int64)

    def watch(t: int, active: Tensor, counts: Tensor) -> None:
        totals[active, t] = counts.sum(1)

    run = snn.measure(tokens, lengths, watch=watch)
    for i, length in enumerate(lengths.tolist()):
        new = totals[i, :length]
        repeated, read = int(new[:-1].sum()), int(new.sum() if pool == "mean" else new[-1])
        assert run.spikes[i] == repeated + int(new.sum())
        assert run.additions[i] == HIDDEN * repeated + int(new.sum()) + CLASSES * read
        assert run.ticks[i] == LEVELS * length
    assert run.at_rest == (*[0] * LEVELS, int(lengths.sum()))
    assert run.ticks_per_token == LEVELS
    assert run.spikes_per_token == pytest.approx(int(run.spikes.sum()) / int(lengths.sum()))
    assert run.additions_per_token == pytest.approx(int(run.additions.sum()) / int(lengths.sum()))


def test_multiply_adds_follow_from_the_sizes() -> None:
    run = converted()[1].measure(*texts())
    assert run.ann_macs == INPUTS * HIDDEN + HIDDEN * HIDDEN
    assert run.analog_macs == INPUTS * HIDDEN + HIDDEN  # the constant states, one a neuron


def test_corrections_asleep_are_counted() -> None:
    """On first tokens, which read no states, the networks do the same until they fall asleep."""
    (model, snn), (tokens, _) = converted(), texts(40)
    one = torch.ones(40, dtype=torch.int64)
    awake = convert_recurrent(model, texts(), sleep=0).measure(tokens, one)
    rested = snn.measure(tokens, one)
    assert torch.equal(awake.ticks, LEVELS * one)
    assert torch.equal(rested.spikes, awake.spikes)  # the current is constant: nothing to correct
    tokens, lengths = texts()
    run = snn.measure(tokens, lengths)
    extra = run.ticks - LEVELS * lengths
    assert (extra >= 0).all()
    assert extra.sum() > 0
    late = [(t - LEVELS) * count for t, count in enumerate(run.at_rest) if t > LEVELS]
    assert extra.sum() == sum(late)
    assert sum(run.at_rest) == int(lengths.sum())


def test_ticks_end_with_the_last_spike() -> None:
    """Told tick by tick from the reference simulator, for the second token of one text."""
    (model, snn), (tokens, _) = converted(), texts(1)
    before = levels_after_every_token(model, tokens[0, :1])[0] * (CAP / LEVELS)
    joined = torch.cat([model.embedding.weight[tokens[0, 1]], before]).unsqueeze(0).detach()
    fired = torch.zeros(snn.network.code.steps + 1)

    def count(_: str, first: int, sent: Tensor) -> None:
        fired[first] += sent.abs().sum()

    list(simulator(snn.network, "reference").over_time(joined, count))
    last = max(LEVELS, int(fired.nonzero().max()))
    two = snn.measure(tokens[:, :2], torch.tensor([2])).ticks
    one = snn.measure(tokens[:, :1], torch.tensor([1])).ticks
    assert int(two - one) == last


def test_an_activation_that_export_cannot_take_is_refused() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else quantised(x, CAP, LEVELS, 0.0)

    with pytest.raises(UnsupportedModuleError, match="control flow that depends on data"):
        convert_recurrent(network(Branch()), texts())
