# SPDX-License-Identifier: Apache-2.0
"""Reading files of strangers within bounds, and writing files whole or not at all."""

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spikewright.errors import FileFormatError

__all__ = ["MOST_TEXT", "parse_json", "read_bytes", "read_text", "replacing", "write"]

MOST_TEXT = 1 << 28
"""Most bytes of a file that is read as text: 256 MiB."""

_DEEPEST = 64
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_bytes(path: Path, expected: str, most: int) -> bytes:
    """Read a whole file, if it is one: a pipe or a device would never end.

    Args:
        path: The file.
        expected: What it should be, for the message, e.g. ``"a graph file"``.
        most: Most bytes that it may have.

    Raises:
        FileFormatError: If it is missing, no ordinary file, larger, or cannot be read.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileFormatError(
                    f"{path}: expected {expected}, got a pipe or device. Give an ordinary file."
                )
            content = file.read(most + 1)
    except FileNotFoundError as error:
        raise FileFormatError(
            f"{path}: expected {expected}, got no file. Check the path."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(f"{path}: could not be read ({reason}). Check the path.") from error
    if len(content) > most:
        raise FileFormatError(
            f"{path}: expected {expected} of at most {most:,} bytes, got more. Check the path."
        )
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever writes into a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: Path, expected: str, most: int = MOST_TEXT) -> str:
    """Read a whole text file in UTF-8; see :func:`read_bytes`.

    Raises:
        FileFormatError: As :func:`read_bytes`.
        UnicodeDecodeError: If it is no UTF-8.
    """
    return read_bytes(path, expected, most).decode("utf-8")


def parse_json(text: str, *, finite: bool = False) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Parse JSON that somebody else may have written.

    Args:
        text: The text.
        finite: Refuse ``NaN`` and ``Infinity``, which Python writes although they are no JSON.

    Raises:
        ValueError: If it is no JSON, names something twice in one object, is nested more than 64
            levels deep, or holds a character that no text can be written with.

    Example:
        >>> parse_json('{"a": [1, 2]}')
        {'a': [1, 2]}
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ValueError: 'a' is there twice
    """
    options: dict[str, Any] = {"parse_constant": _no_number} if finite else {}
    try:
        data = json.loads(text, object_pairs_hook=_once, **options)
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep") from None
    level: list[Any] = [data]
    for _ in range(_DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            break
    else:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    if "\\ud" in text.lower() and _LONE_SURROGATE.search(json.dumps(data, ensure_ascii=False)):
        raise ValueError("it holds half of a character")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice!r} is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file to write to, which then takes the place of another at once.

    It gets the permissions that any new file gets (the process's umask), whatever the writer does.

    Args:
        path: The file; if there is an old one it stays until the block has ended without an error.

    Yields:
        A path in the same folder. What is there when an error ends the block is removed.

    Raises:
        FileFormatError: If the folder cannot be written to, or writing fails with an OSError.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.close(handle)
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise FileFormatError(
            f"{path}: could not be written ({error.strerror or error}). Nothing was left behind."
        ) from error
    finally:
        with suppress(OSError):  # it was not made, or has become the file
            temporary.unlink()


def write(path: Path, content: bytes | str) -> None:
    """Write a file; the old one, if any, is replaced only when the new one is whole.

    Args:
        path: The file.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        FileFormatError: If it cannot be written; nothing is left behind.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
