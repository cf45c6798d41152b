# SPDX-License-Identifier: Apache-2.0
"""How values lie in memories: rows of words, a word a channel, and words as hexadecimal digits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.integers.program import Operation

__all__ = ["Memory", "blocks_of", "by_lanes", "hex_words", "signed_bits"]


@dataclass(frozen=True)
class Memory:
    """Where a value lies: rows of the words of neighbouring channels, place by place.

    A word is a magnitude, under a sign if there can be one. The magnitude of a train is its spikes,
    the first one highest. Read-outs are in two's complement.

    Attributes:
        operation: The value.
        number: Which value it is.
        channels: Its channels.
        places: Elements of each.
        lanes: Words of a row; those of the last block that are no channel are 0.
        magnitude: Bits of a word without its sign.
        signed: Whether words have a sign.
        base: Its first row, where several values share a memory.
    """

    operation: Operation
    number: int
    channels: int
    places: int
    lanes: int
    magnitude: int
    signed: bool
    base: int = 0

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self.magnitude + self.signed

    @property
    def width(self) -> int:
        """Bits of a row."""
        return self.lanes * self.bits

    @property
    def blocks(self) -> int:
        """Rows of a place."""
        return -(-self.channels // self.lanes)

    @property
    def rows(self) -> int:
        """Rows of all places."""
        return self.places * self.blocks

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        read_out = self.operation.kind == "readout"
        return {
            "name": self.operation.name,
            "kind": self.operation.kind,
            "shape": list(self.operation.shape),
            "channels": self.channels,
            "rows": self.rows,
            "lanes": self.lanes,
            "bits": self.bits,
            "sign": "complement" if read_out else "top bit" if self.signed else "none",
        }


def blocks_of(channels: int, lanes: int) -> tuple[int, int]:
    """Return how many blocks channels are computed in, and the lanes that takes, evenly filled.

    Example:
        >>> blocks_of(28, 16), blocks_of(17, 16), blocks_of(10, 16)
        ((2, 14), (2, 9), (1, 10))
    """
    blocks = -(-channels // lanes)
    return blocks, -(-channels // blocks)


def by_lanes(values: Tensor, lanes: int, fill: int = 0) -> Tensor:
    """Return numbers "channel *rest" as "block lane *rest"."""
    blocks = -(-len(values) // lanes)
    full = torch.full((blocks * lanes, *values.shape[1:]), fill, dtype=values.dtype)
    full[: len(values)] = values
    return full.reshape(blocks, lanes, *values.shape[1:])


def hex_words(rows: Sequence[Sequence[int]], bits: int) -> str:
    """Write rows of numbers as hexadecimal words, the first number in the lowest bits."""
    mask = (1 << bits) - 1
    if bits > 62 or not len(rows):
        words = (sum((n & mask) << (i * bits) for i, n in enumerate(row)) for row in rows)
        return "".join(f"{word:x}\n" for word in words)
    numbers = np.asarray(rows, dtype=np.int64) & mask
    split = (numbers[:, :, None] >> np.arange(bits)) & 1  # row number bit, lowest first
    flat = split.reshape(len(numbers), -1).astype(np.uint8)
    packed = np.packbits(flat, axis=1, bitorder="little")[:, ::-1]
    return "".join(f"{row.tobytes().hex().lstrip('0') or '0'}\n" for row in packed)


def signed_bits(low: int, high: int) -> int:
    """Return the bits of a two's complement register for a range."""
    return max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length()) + 1
