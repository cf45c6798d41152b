# SPDX-License-Identifier: Apache-2.0
"""Small vision transformers in the two usual orders of layer norm, with trained weights about.

A. Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021. Parameter names are those of the
public weights, so that these load as they are: `PostNormViT` is PyTorch's own encoder behind a
convolution over patches, `PreNormViT` is the form of P. Wang's vit-pytorch of 2020.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["PostNormViT", "PreNormViT", "ViTConfig", "vit_cifar", "vit_mnist"]


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """Sizes of a vision transformer.

    Attributes:
        size: Pixels of a square image's side.
        patch: Pixels of a patch's side.
        width: Features of a token.
        hidden: Features between the two layers of a block's perceptron.
        heads: Heads of attention.
        depth: Blocks.
        classes: Number of outputs.
    """

    size: int
    patch: int
    width: int
    hidden: int
    heads: int
    depth: int
    classes: int = 10

    @property
    def tokens(self) -> int:
        """Tokens of an image: its patches and the class token."""
        return (self.size // self.patch) ** 2 + 1


class _Patches(nn.Module):
    """A convolution over patches: "batch 3 height width" to "batch token feature"."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class PostNormViT(nn.Module):
    """Class token, learned positions, PyTorch's encoder as it is by default: post-norm, ReLU."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.width
        self.patch_embed = _Patches(config.patch, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, config.tokens, width))
        layer = nn.TransformerEncoderLayer(width, config.heads, config.hidden, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.mlp_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map images "batch 3 height width" to scores "batch class"."""
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        scores: Tensor = self.mlp_head(self.transformer(x)[:, 0])
        return scores


class _Around(nn.Module):
    """A shortcut around what ``fn`` makes of the value."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.fn(x)
        return y


class _Normed(nn.Module):
    """Layer norm in front of ``fn``."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fn(self.norm(x))
        return y


class _Attention(nn.Module):
    """Attention whose scores are divided by the root of the token's width, not of a head's."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, width**-0.5
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.to_qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = (torch.einsum("bhid,bhjd->bhij", q, k) * self.scale).softmax(dim=-1)
        y = torch.einsum("bhij,bhjd->bhid", weights, v)
        out: Tensor = self.to_out(y.transpose(1, 2).reshape(batch, tokens, width))
        return out


class _Perceptron(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x)
        return y


class _Blocks(nn.Module):
    def __init__(self, width: int, hidden: int, heads: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    _Around(_Normed(width, _Attention(width, heads))),
                    _Around(_Normed(width, _Perceptron(width, hidden))),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for pair in self.layers:
            for part in pair:  # type: ignore[attr-defined] # a ModuleList of two
                x = part(x)
        return x


class PreNormViT(nn.Module):
    """Class token, learned positions, blocks with layer norm in front, GELU, two layers behind."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.patch = config.patch
        self.patch_to_embedding = nn.Linear(config.patch**2, width)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_embedding = nn.Parameter(0.02 * torch.randn(1, config.tokens, width))
        self.transformer = _Blocks(width, hidden, config.heads, config.depth)
        self.mlp_head = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, config.classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images "batch 1 height width" to scores "batch class"."""
        batch, _, height, width = x.shape
        p = self.patch
        x = x.reshape(batch, height // p, p, width // p, p).transpose(2, 3)
        x = self.patch_to_embedding(x.reshape(batch, -1, p * p))
        x = torch.cat([self.cls_token.expand(batch, -1, -1), x], dim=1) + self.pos_embedding
        scores: Tensor = self.mlp_head(self.transformer(x)[:, 0])
        return scores


def vit_cifar() -> PostNormViT:
    """Return the network of 64 tokens and 6 blocks for CIFAR-10, with random weights."""
    return PostNormViT(ViTConfig(size=32, patch=4, width=128, hidden=256, heads=8, depth=6))


def vit_mnist() -> PreNormViT:
    """Return the network of 16 tokens and 6 blocks for MNIST, with random weights."""
    return PreNormViT(ViTConfig(size=28, patch=7, width=64, hidden=128, heads=8, depth=6))
