# SPDX-License-Identifier: Apache-2.0
"""Words, vocabulary, batches, and the file that a vocabulary is kept in."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from spikewright.data import Tokeniser
from spikewright.data.tokeniser import PAD, UNKNOWN, words
from spikewright.errors import ConfigError, FileFormatError

TEXTS = ("the cat, the dog", "The owl; a CAT", "zebra 42")


@pytest.fixture
def tokens() -> Tokeniser:
    return Tokeniser.fit(TEXTS)


# --- misuse


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_count": 0}, "tokeniser.min_count: expected at least 1, got 0."),
        ({"max_size": 0}, "tokeniser.max_size: expected at least 1, got 0."),
        ({"min_count": 4}, "expected words that occur 4 times or more, got none."),
    ],
)
def test_a_vocabulary_without_words_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Tokeniser.fit(TEXTS, **settings)


@pytest.mark.parametrize("wrong", [("a", "a"), ("Cat",), ("two words",), ("<pad>",), ("",)])
def test_words_that_no_text_could_hold_are_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="expected different lower-case words"):
        Tokeniser(wrong)


def test_a_batch_needs_texts_and_room(tokens: Tokeniser) -> None:
    with pytest.raises(ConfigError, match="got 0 texts"):
        tokens.batch([])
    with pytest.raises(ConfigError, match="limit 0"):
        tokens.batch(["a"], limit=0)


def test_it_is_frozen(tokens: Tokeniser) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        tokens.words = ()


# --- words and vocabulary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("x-ray 3.5%", ["x", "ray", "3", "5"]),
        ("Élan é", ["élan", "é"]),
        ("snake_case", ["snake", "case"]),
        ("... --", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_frequent_words_come_first_and_equal_ones_by_the_alphabet(tokens: Tokeniser) -> None:
    assert tokens.words == ("the", "cat", "42", "a", "dog", "owl", "zebra")
    assert len(tokens) == 9
    assert Tokeniser.fit(reversed(TEXTS)) == tokens


def test_rare_words_and_those_beyond_the_size_are_left_out() -> None:
    assert Tokeniser.fit(TEXTS, min_count=2).words == ("the", "cat")
    assert Tokeniser.fit(TEXTS, max_size=3).words == ("the", "cat", "42")


def test_tokens_are_the_places_of_words_behind_the_two_special_ones(tokens: Tokeniser) -> None:
    assert (PAD, UNKNOWN) == (0, 1)
    assert tokens.encode("THE cat saw a zebra") == (2, 3, UNKNOWN, 5, 8)
    assert tokens.encode("THE cat saw a zebra", limit=2) == (2, 3)


def test_a_text_without_words_is_one_unknown_word(tokens: Tokeniser) -> None:
    assert tokens.encode("?!") == (UNKNOWN,)
    assert tokens.encode("") == (UNKNOWN,)


def test_a_batch_is_filled_up_behind(tokens: Tokeniser) -> None:
    found, lengths = tokens.batch(["the", "a cat the dog", ""])
    assert found.tolist() == [[2, 0, 0, 0], [5, 3, 2, 6], [1, 0, 0, 0]]
    assert lengths.tolist() == [1, 4, 1]
    assert tokens.batch(["a cat the dog"], limit=3)[0].tolist() == [[5, 3, 2]]


# --- files


def test_a_vocabulary_comes_back_from_its_file(tokens: Tokeniser, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    for known in (tokens, Tokeniser(("élan", "日本"))):
        known.save(path)
        assert Tokeniser.load(path) == known
    assert [p.name for p in tmp_path.iterdir()] == ["tokens.json"]


def test_it_is_not_written_where_there_is_no_folder(tokens: Tokeniser, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="could not be written"):
        tokens.save(tmp_path / "none" / "tokens.json")


GOOD = {"format": "spikewright-tokens", "version": 1, "words": ["a", "b"]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        json.dumps({**GOOD, "version": 2}).encode(),
        json.dumps({**GOOD, "format": "other"}).encode(),
        json.dumps({**GOOD, "words": "ab"}).encode(),
        json.dumps({**GOOD, "words": ["a", 1]}).encode(),
        json.dumps({**GOOD, "words": ["a", "a"]}).encode(),
        json.dumps({"words": ["a"]}).encode(),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"t\.json: expected a vocabulary"):
        Tokeniser.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"none\.json: expected a vocabulary"):
        Tokeniser.load(tmp_path / "none.json")
