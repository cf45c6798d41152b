# SPDX-License-Identifier: Apache-2.0
"""Small text files: lists of names, lists of pictures, boxes a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from spikewright.errors import ConfigError, FileFormatError
from spikewright.files import MOST_TEXT, read_text

__all__ = ["ClassNames", "class_names", "lines_of", "text_of"]

ClassNames = Sequence[str] | Path
"""Names in the order of their numbers, or a text file with one a line."""


def text_of(path: Path, expected: str, most: int = MOST_TEXT) -> str:
    """Read a text file that is UTF-8, with or without a byte order mark.

    Args:
        path: The file.
        expected: What it should be, for messages.
        most: Most bytes that it may have.

    Raises:
        FileFormatError: If it is missing, too large, or something else.
    """
    try:
        return read_text(path, expected, most).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path}: expected {expected} in UTF-8, got other bytes ({error}). Save it as UTF-8."
        ) from error


def lines_of(path: Path, expected: str) -> Iterator[tuple[str, list[str]]]:
    """Yield place and words of every line that is not empty.

    Args:
        path: The file.
        expected: What it should be, for messages.

    Yields:
        ``"file:line"`` and the words between white space.

    Raises:
        FileFormatError: As :func:`text_of`.
    """
    for number, line in enumerate(text_of(path, expected).split("\n"), 1):
        if words := line.split():
            yield f"{path}:{number}", words


def class_names(given: ClassNames) -> tuple[str, ...]:
    """Return the names of classes in the order of their numbers.

    Raises:
        FileFormatError: If the file is missing, or holds no name.
        ConfigError: If there is no name, one that is empty, or one that is there twice.
    """
    if isinstance(given, str):  # a sequence of letters, but nobody means that
        raise ConfigError(
            f"classes: expected several names, or the Path of a file, got the text {given!r}. "
            "Write (name, …) or Path(…)."
        )
    where = "classes"
    if isinstance(given, Path):
        where = str(given)
        lines = text_of(given, "class names, one a line").strip().split("\n")
        given = [line.strip() for line in lines]
    if not given or not all(given):
        raise ConfigError(f"{where}: expected a name for every class, got {list(given)}. Add it.")
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ConfigError(f"{where}: expected each name once, got {', '.join(twice)} more often.")
    return tuple(given)
