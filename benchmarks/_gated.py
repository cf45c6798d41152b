# SPDX-License-Identifier: Apache-2.0
"""Text classifiers with `nn.LSTM` and `nn.GRU`, as users write them, trained on AG News.

5,600 articles, words that occur twice, 64 words at most, some minutes each on one core. Weights go
to a folder and are taken from there when nothing that decides them has changed.
"""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from _data import data_root
from agnews import BATCH, CACHE, LIMIT, MIN_COUNT, SEED, Articles, fit, stored_facts
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from spikewright.data import Tokeniser, load_ag_news
from spikewright.files import write
from spikewright.models import apply_state, load_state

__all__ = ["RECIPES", "Gated", "Recipe", "articles", "trained"]


HIDDEN = 128


class Gated(nn.Module):
    """An embedding, a recurrent layer on packed texts, a linear head on its last states."""

    def __init__(self, vocabulary: int, recipe: "Recipe") -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.recurrent: nn.RNNBase = getattr(nn, recipe.kind)(
            64,
            HIDDEN,
            recipe.layers,
            batch_first=True,
            dropout=0.3 if recipe.layers > 1 else 0.0,
            bidirectional=recipe.both,
        )
        self.head = nn.Linear(HIDDEN * (2 if recipe.both else 1), 4)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Return scores "batch classes"."""
        x = pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        _, states = self.recurrent(x)
        last = states[0] if isinstance(states, tuple) else states
        ends = [last[-2], last[-1]] if self.recurrent.bidirectional else [last[-1]]
        scores: Tensor = self.head(torch.cat(ends, dim=1))
        return scores


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained.

    Args:
        kind: ``"LSTM"`` or ``"GRU"``.
        layers: On top of each other.
        both: Whether texts are read from both ends.
        epochs: Passes over the articles.
        peak_rate: Highest learning rate of the one cycle.
        unknown: Share of words that training replaces by <unk>.
    """

    kind: str
    layers: int = 1
    both: bool = False
    epochs: int = 8
    peak_rate: float = 5e-3
    unknown: float = 0.3


RECIPES = {
    "lstm": Recipe("LSTM"),
    "gru": Recipe("GRU"),
    "bilstm": Recipe("LSTM", layers=2, both=True),
}


def articles() -> tuple[int, Articles, Articles]:
    """Return the size of the vocabulary, training and test articles."""
    train, test = (load_ag_news(data_root(), part) for part in ("train", "test"))
    tokens = Tokeniser.fit(train.texts, min_count=MIN_COUNT)
    return len(tokens), Articles.of(train, tokens), Articles.of(test, tokens)


def trained(name: str, vocabulary: int, train: Articles, folder: Path = CACHE) -> Gated:
    """Return a network, from its file or trained; the file appears whole or not at all."""
    recipe = RECIPES[name]
    torch.manual_seed(SEED)
    model = Gated(vocabulary, recipe)
    path = folder / f"agnews-{name}.safetensors"
    settings = f"{BATCH} {LIMIT} {MIN_COUNT} {SEED} {vocabulary}"
    facts = {"recipe": repr(recipe), "settings": settings}
    if path.is_file() and stored_facts(path) == facts:
        apply_state(model, load_state(path), path.name)
        return model.eval()
    fit(
        model,
        train,
        name=name,
        epochs=recipe.epochs,
        peak_rate=recipe.peak_rate,
        unknown=recipe.unknown,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write(path, safetensors.torch.save(model.state_dict(), metadata=facts))
    return model.eval()
