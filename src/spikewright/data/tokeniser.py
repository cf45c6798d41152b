# SPDX-License-Identifier: Apache-2.0
"""From texts to numbers: lower-cased words and a vocabulary that training texts alone decide."""

import dataclasses
import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import torch
from jaxtyping import Int64
from torch import Tensor

from spikewright.errors import ConfigError, FileFormatError
from spikewright.files import parse_json, read_text, write

__all__ = ["PAD", "UNKNOWN", "Tokeniser", "words"]

PAD, UNKNOWN = 0, 1
"""The numbers of what fills up a batch, ``<pad>``, and of every word not known, ``<unk>``."""

_SPECIAL = ("<pad>", "<unk>")
_WORD = re.compile(r"[^\W_]+")
_FORMAT, _VERSION = "spikewright-tokens", 1


def words(text: str) -> list[str]:
    """Cut a text into lower-cased words: runs of letters and digits.

    Example:
        >>> words("Intel's profit: UP 15%, quarter_3!")
        ['intel', 's', 'profit', 'up', '15', 'quarter', '3']
    """
    return _WORD.findall(text.lower())


@dataclasses.dataclass(frozen=True)
class Tokeniser:
    """A vocabulary; the same texts always give the same numbers.

    Args:
        words: Known words; the i-th has the number i + 2, behind ``<pad>`` and ``<unk>``.

    Raises:
        ConfigError: If a word occurs twice, or is none that :func:`words` could find.

    Example:
        >>> tokens = Tokeniser.fit(["to be or not to be"], min_count=2)
        >>> tokens.words, tokens.encode("To have, or to be?")
        (('be', 'to'), (3, 1, 1, 3, 2))
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = Counter(self.words)
        wrong = [w for w in counts if counts[w] > 1 or words(w) != [w]]
        if wrong:
            raise ConfigError(
                f"tokeniser: expected different lower-case words, got {wrong[:8]}. "
                "Build it with Tokeniser.fit()."
            )

    @classmethod
    def fit(cls, texts: Iterable[str], *, min_count: int = 1, max_size: int | None = None) -> Self:
        """Build the vocabulary of some texts: frequent words first, equal ones by the alphabet.

        Args:
            texts: Training texts; no others, or the test would be told about its words.
            min_count: How often a word must occur.
            max_size: Most words to keep, the two special ones not counted; None keeps all.

        Raises:
            ConfigError: If a number is below 1, or no word is left.
        """
        for name, value in (("min_count", min_count), ("max_size", max_size)):
            if value is not None and value < 1:
                raise ConfigError(f"tokeniser.{name}: expected at least 1, got {value}. Raise it.")
        counts = Counter(word for text in texts for word in words(text))
        kept = sorted(
            (w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w)
        )
        if not kept:
            raise ConfigError(
                f"tokeniser: expected words that occur {min_count} times or more, got none. "
                "Give the training texts, or lower min_count."
            )
        return cls(tuple(kept[:max_size]))

    def __len__(self) -> int:
        """Return the number of different tokens, the special ones included."""
        return len(_SPECIAL) + len(self.words)

    def encode(self, text: str, limit: int | None = None) -> tuple[int, ...]:
        """Return the tokens of a text; one ``<unk>`` if it has no word.

        Args:
            text: Any text.
            limit: Most tokens to return; the rest of the text is left out.
        """
        return tuple(self._numbers.get(w, UNKNOWN) for w in words(text)[:limit]) or (UNKNOWN,)

    def batch(
        self, texts: Sequence[str], limit: int | None = None
    ) -> tuple[Int64[Tensor, "batch length"], Int64[Tensor, " batch"]]:
        """Return the tokens of several texts, short ones filled up with ``<pad>``, and lengths.

        Args:
            texts: At least one.
            limit: Most tokens of a text.

        Raises:
            ConfigError: If there is no text, or ``limit`` is below 1.
        """
        if not texts or (limit is not None and limit < 1):
            raise ConfigError(
                f"tokeniser.batch: expected texts and a limit from 1, got {len(texts)} texts and "
                f"limit {limit}."
            )
        rows = [torch.tensor(self.encode(text, limit)) for text in texts]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
        return padded, torch.tensor([len(row) for row in rows])

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON, whole or not at all.

        Raises:
            FileFormatError: If it cannot be written.
        """
        content = {"format": _FORMAT, "version": _VERSION, "words": self.words}
        write(Path(path), json.dumps(content, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            FileFormatError: If the file is missing, damaged, or not one of ours.
        """
        path = Path(path)
        try:
            content: Any = parse_json(read_text(path, "a vocabulary"))
        except FileFormatError:
            raise
        except ValueError as error:  # a broken encoding is one, too
            raise _unreadable(path, str(error)) from error
        facts = content if isinstance(content, dict) else {}
        found = facts.get("words")
        if (facts.get("format"), facts.get("version")) != (_FORMAT, _VERSION):
            raise _unreadable(path, "it says it is something else")
        if not isinstance(found, list) or not all(isinstance(w, str) for w in found):
            raise _unreadable(path, "its words are no list of texts")
        try:
            return cls(tuple(found))
        except ConfigError as error:
            raise _unreadable(path, str(error)) from error

    @functools.cached_property
    def _numbers(self) -> Mapping[str, int]:
        return MappingProxyType({w: i for i, w in enumerate(self.words, len(_SPECIAL))})


def _unreadable(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: expected a vocabulary ({_FORMAT}, version {_VERSION}), got a file that is not "
        f"one ({reason}). Write it with Tokeniser.save()."
    )
