# SPDX-License-Identifier: Apache-2.0
"""Models that read tokens: whole numbers as inputs, embeddings, masks, positions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import capture, ops
from spikewright.graph.batch import Merged
from tests.unit.graph.spellings import check_rewritten

Fn = Callable[["Tokens", Tensor, Tensor], Tensor]


class Tokens(nn.Module):
    """An embedding of 11 words, positions, two layers, and what a function makes of it."""

    def __init__(self, fn: Fn) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(11, 8), nn.Embedding(16, 8)
        self.first, self.fn = nn.Linear(8, 8), fn
        self.register_buffer("numbers", torch.arange(16)[None])

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.words(ids) + self.places(self.numbers[:, : ids.shape[1]])
        return self.fn(self, self.first(x).relu(), mask)


def given(kind: torch.dtype = torch.int64) -> tuple[Tensor, Tensor]:
    ids = torch.randint(0, 11, (4, 5))
    return ids, (torch.arange(5) < torch.tensor([[5], [3], [1], [4]])).to(kind)


MASKED: dict[str, Fn] = {
    "multiplied": lambda s, x, m: x * m.unsqueeze(2),
    "mean over what is there": lambda s, x, m: (x * m[:, :, None]).sum(1) / m.sum(1)[:, None],
    "added to scores": lambda s, x, m: (
        (x @ x.mT + (1.0 - m[:, None, :].float()) * -1e9).softmax(2) @ x
    ),
    "filled in": lambda s, x, m: (x @ x.mT).masked_fill(m[:, None, :] == 0, -1e9).softmax(2) @ x,
    "chosen": lambda s, x, m: torch.where(m[:, :, None] > 0, x, 0.0),
    "with the batch among heads": lambda s, x, m: (
        torch.bmm(x.repeat_interleave(2, 0), x.repeat_interleave(2, 0).mT)
        .masked_fill(~m.bool().repeat_interleave(2, 0)[:, None, :], -1e9)
        .softmax(2)
    ),
    "the last token that is there": lambda s, x, m: x[
        torch.arange(x.shape[0]), m.long().sum(1) - 1
    ],
}


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.bool])
@pytest.mark.parametrize("name", MASKED)
def test_a_mask_may_be_used_in_many_ways(name: str, kind: torch.dtype) -> None:
    graph = check_rewritten(Tokens(MASKED[name]), *given(kind))
    assert [n.op for n in graph].count("aten.embedding.default") == 1  # positions are a constant
    for node in graph:
        if "embedding" in node.op:
            assert node.shape == (None, 5, 8)
        if name == "with the batch among heads" and "softmax" in node.op:
            assert node.shape == (Merged(1, 2), 5, 5)


def test_places_counted_from_a_mask_stay_whole_numbers() -> None:
    """As RoBERTa counts them: padding has a place of its own."""
    graph = check_rewritten(
        Tokens(lambda s, x, m: x + s.places(m.long().cumsum(1) * m.long() + 1)), *given()
    )
    assert [n.op for n in graph].count("aten.embedding.default") == 2


INDICES: dict[str, Fn] = {
    "as masks are made": lambda s, x, m: m[
        torch.arange(m.shape[0])[:, None, None, None], torch.arange(5)[None, None, None, :]
    ],
    "the batch behind": lambda s, x, m: x[torch.arange(x.shape[0]), torch.tensor([[4], [0], [2]])],
    "two places": lambda s, x, m: x[
        torch.arange(x.shape[0])[:, None], torch.tensor([3, 0]), torch.tensor([-1, 2])
    ],
    "one place": lambda s, x, m: x[torch.arange(x.shape[0]), torch.tensor(1)],
}


@pytest.mark.parametrize("name", INDICES)
def test_an_index_by_the_samples_own_number_moves_elements(name: str) -> None:
    graph = check_rewritten(Tokens(INDICES[name]), *given())
    assert not any(n.op == "aten.index.Tensor" for n in graph)
    assert not any(n.op == "aten.arange.start_step" for n in graph)


@pytest.mark.parametrize("value", [0, 1, 10])
def test_the_values_of_the_example_do_not_matter(value: int) -> None:
    """A batch of padding alone, say, tells as well where the batch is."""
    ids, mask = torch.full((3, 5), value), torch.ones(3, 5, dtype=torch.int64)
    for fn in MASKED.values():
        graph = capture(Tokens(fn).eval(), (ids, mask))
        expected = capture(Tokens(fn).eval(), given())
        assert [n.shape for n in graph] == [n.shape for n in expected]


def test_a_conversion_from_whole_numbers_is_kept() -> None:
    graph = check_rewritten(Tokens(lambda s, x, m: x * (m / 2).float()[:, :, None]), *given())
    assert "aten.div.Tensor" in [n.op for n in graph] or ops.SCALE in [n.op for n in graph]


@pytest.mark.parametrize(
    "fn",
    [
        lambda s, x, m: x * m.sum(0)[:, None],
        lambda s, x, m: x * (m == m[:1]).unsqueeze(2),
        lambda s, x, m: torch.where(m.bool().any(0)[:, None], x, 0.0),
        lambda s, x, m: x[m[:, 0]],
        lambda s, x, m: x * m.flip(0).unsqueeze(2),
        lambda s, x, m: x - s.words(m).mean(0),
    ],
)
def test_samples_that_are_mixed_by_whole_numbers_are_refused(fn: Fn) -> None:
    with pytest.raises(UnsupportedModuleError, match=r"test_tokens\.py:\d+"):
        capture(Tokens(fn).eval(), given())


def test_complex_inputs_are_refused() -> None:
    with pytest.raises(UnsupportedModuleError, match="expected inputs of real numbers"):
        capture(nn.Identity(), torch.zeros(2, 3, dtype=torch.complex64))
