# SPDX-License-Identifier: Apache-2.0
"""The recurrent network: its equation, what padding must not do, that it learns over 40 tokens."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.errors import ConfigError, ShapeError
from spikewright.functions.staircase import quantised
from spikewright.models.text_rnn import CAP, RecurrentCell, TextRNN


class Staircase(nn.Module):
    """Clip-floor with 4 levels up to 2, as any user might write it."""

    def forward(self, x: Tensor) -> Tensor:
        return quantised(x, 2.0, 4, 0.0)


def small(**settings: object) -> TextRNN:
    return TextRNN(20, 3, embedding=5, hidden=7, **settings).eval()


def random_texts() -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([9, 1, 4, 9, 6])
    return torch.randint(0, 20, (5, 9)), lengths


# --- misuse


@pytest.mark.parametrize("name", ["vocabulary", "classes", "embedding", "hidden"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"TextRNN.{name}: expected at least 1, got 0"):
        TextRNN(**{"vocabulary": 5, name: 0})


@pytest.mark.usefixtures("unchecked")
def test_another_pool_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 'mean' or 'last', got 'max'"):
        TextRNN(5, pool="max")


@pytest.mark.parametrize(("lengths", "got"), [([0, 3], "0 to 3"), ([2, 4], "2 to 4")])
def test_lengths_must_fit(lengths: list[int], got: str) -> None:
    with pytest.raises(ShapeError, match=f"expected 1 to 3 tokens a text, got {got}"):
        small()(torch.zeros(2, 3, dtype=torch.int64), torch.tensor(lengths))


def test_a_batch_without_texts_is_refused() -> None:
    with pytest.raises(ShapeError, match="got no text"):
        small()(torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))


# --- the equation


@pytest.mark.parametrize("activation", [None, Staircase()])
@pytest.mark.parametrize("pool", ["mean", "last"])
def test_it_is_the_recurrence_of_the_docstring(activation: nn.Module | None, pool: str) -> None:
    """Text by text and token by token in float64, with nothing of the model's own code."""
    model = small(activation=activation, pool=pool).double()
    nn.init.normal_(model.cell.input.bias)
    tokens, lengths = random_texts()
    W, b, U = model.cell.input.weight, model.cell.input.bias, model.cell.recurrent.weight
    for text, length, scores in zip(tokens, lengths, model(tokens, lengths), strict=True):
        h, states = torch.zeros(7, dtype=torch.float64), []
        for token in text[:length]:
            current = W @ model.embedding.weight[token] + b + U @ h
            h = quantised(current, 2.0, 4, 0.0) if activation else current.clamp(0.0, CAP)
            states.append(h)
        read = torch.stack(states).mean(0) if pool == "mean" else states[-1]
        torch.testing.assert_close(scores, model.head.weight @ read + model.head.bias)


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_padding_changes_nothing(pool: str) -> None:
    """Neither what lies behind a text, nor how much of it, nor longer texts beside it."""
    model = small(pool=pool).double()
    tokens, lengths = random_texts()
    wanted = model(tokens, lengths)
    other = torch.randint(0, 20, (5, 14))
    inside = torch.arange(9) < lengths.unsqueeze(1)
    other[:, :9] = torch.where(inside, tokens, other[:, :9])
    assert torch.equal(model(other, lengths), wanted)
    for i, length in enumerate(lengths):
        alone = model(tokens[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(alone[0], wanted[i])


def test_texts_that_have_ended_keep_their_state() -> None:
    tokens, lengths = random_texts()
    states = list(small().states(tokens, lengths))
    assert len(states) == 9
    for t, (active, h) in enumerate(states):
        assert active.squeeze(1).tolist() == (lengths > t).tolist()
        if t:
            ended = ~active.squeeze(1)
            assert torch.equal(h[ended], states[t - 1][1][ended])
            assert not torch.equal(h[~ended], states[t - 1][1][~ended])


# --- the start of training


def test_a_state_is_kept_at_the_start() -> None:
    cell = RecurrentCell(3, 4, nn.Hardtanh(0.0, CAP), keep=0.5)
    h = torch.rand(2, 4)
    assert torch.equal(cell(torch.zeros(2, 3), h), 0.5 * h)
    assert cell.recurrent.bias is None
    wide = RecurrentCell(400, 300, nn.Hardtanh(0.0, CAP), spread=0.1)
    assert float(wide.input.weight.detach().std()) == pytest.approx(0.1 / 400**0.5, rel=0.02)


def test_it_learns_what_only_the_first_of_forty_tokens_tells() -> None:
    """With a small random U, the usual start, the loss stays at chance, log 2."""

    def loss_after_training(identity: bool) -> float:
        torch.manual_seed(0)
        model = TextRNN(12, 2, embedding=8, hidden=16, pool="last", keep=1.0, spread=0.1)
        if not identity:
            nn.init.normal_(model.cell.recurrent.weight, std=0.1)
        optimiser, losses = torch.optim.Adam(model.parameters(), 5e-3), list[float]()
        lengths = torch.full((32,), 40)
        for _ in range(120):
            tokens = torch.randint(2, 12, (32, 40))
            tokens[:, 0] = torch.randint(0, 2, (32,))
            optimiser.zero_grad()
            loss = F.cross_entropy(model(tokens, lengths), tokens[:, 0])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
        return sum(losses[-20:]) / 20

    assert loss_after_training(identity=True) < 0.1
    assert loss_after_training(identity=False) > 0.6
