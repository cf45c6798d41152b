# SPDX-License-Identifier: Apache-2.0
"""Where the numbers of a report come from, as pairs of name and text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spikewright.report.read import Measured

__all__ = ["Record", "record_of"]

_MANY = 8  # values of one name from which on they are folded away


@dataclass(frozen=True)
class Record:
    """What a file says of where it comes from.

    Attributes:
        name: The file's.
        pairs: Name and text.
        folded: Names of long tables, with their pairs.
    """

    name: str
    pairs: tuple[tuple[str, str], ...]
    folded: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def record_of(measured: Measured) -> tuple[Record, ...]:
    """Return the provenance of every file."""
    found = []
    for name, facts in measured.provenance.items():
        pairs = list[tuple[str, str]]()
        folded = list[tuple[str, tuple[tuple[str, str], ...]]]()
        for key, value in facts.items():
            own = tuple(_pairs(key, value))
            if len(own) > _MANY and key != "config":
                folded.append((_words(key), own))
            else:
                pairs += own
        found.append(Record(name, tuple(pairs), tuple(folded)))
    return tuple(found)


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the leaves of a value; parts of a name are set off by a colon."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _pairs(f"{name}: {key}", part)
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        for i, part in enumerate(value, 1):
            yield from _pairs(f"{name} {i}", part)
    else:
        yield _words(name), _text(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return ", ".join(map(_text, value))
        case _:
            return str(value)
