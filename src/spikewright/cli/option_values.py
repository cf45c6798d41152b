# SPDX-License-Identifier: Apache-2.0
"""From the text of an option to its value, strictly: 2.5 is no whole number, and nothing is cut.

Values come from the command line (``--lengths 4,6,8``) and from TOML (``lengths = [4, 6, 8]``);
both arrive as tokens of text.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

__all__ = ["Inflation", "Number", "Numbers", "Size", "Whole", "Wholes"]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, got {text!r}.") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a number, got {text!r}.")
    return value


def _inflation(text: str) -> float | str:
    try:
        return text if text == "search" else _number(text)
    except ValueError:
        raise ValueError(f"expected a number in (1, 2] or 'search', got {text!r}.") from None


def _one(read: Callable[[str], Any]) -> Callable[[Any, Sequence[Token]], Any]:
    def convert(_: Any, tokens: Sequence[Token]) -> Any:  # noqa: ANN401 - cyclopts' protocol
        if len(tokens) != 1:
            raise ValueError(f"expected one value, got {', '.join(t.value for t in tokens)}.")
        return read(tokens[0].value)

    return convert


def _several(read: Callable[[str], Any]) -> Callable[[Any, Sequence[Token]], Any]:
    def convert(_: Any, tokens: Sequence[Token]) -> Any:  # noqa: ANN401 - cyclopts' protocol
        return tuple(read(part.strip()) for t in tokens for part in t.value.split(","))

    return convert


def _size(_: Any, tokens: Sequence[Token]) -> int | tuple[int, int]:  # noqa: ANN401 - protocol
    sides = _several(_whole)(_, tokens)
    if len(sides) not in (1, 2):
        raise ValueError(f"expected one number or HEIGHT,WIDTH, got {len(sides)} numbers.")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


Whole = Annotated[int | None, Parameter(converter=_one(_whole), metavar="N")]
Number = Annotated[float | None, Parameter(converter=_one(_number), metavar="X")]
Inflation = Annotated[
    float | str | None, Parameter(converter=_one(_inflation), metavar="X|search", n_tokens=1)
]
Wholes = Annotated[
    tuple[int, ...] | None, Parameter(converter=_several(_whole), metavar="N,N,...", n_tokens=1)
]
Numbers = Annotated[
    tuple[float, ...] | None,
    Parameter(
        converter=_several(_number), metavar="X,X,...", n_tokens=1, allow_leading_hyphen=True
    ),
]
Size = Annotated[
    int | tuple[int, int] | None, Parameter(converter=_size, metavar="N|H,W", n_tokens=1)
]
