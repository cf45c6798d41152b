# SPDX-License-Identifier: Apache-2.0
"""Makes docstrings Markdown before the reference shows them.

Griffe knows doctests under "Examples:" alone; roles such as ``:class:`` mean nothing in Markdown;
and the stars of shapes, "batch *neuron", would begin emphasis.
"""

import re
from typing import Any

from griffe import Extension, Object

__all__ = ["Readable"]

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=`)")
_SHAPE = re.compile(r'"([\w .]*\*\w[\w .]*)"')


def _line(line: str) -> str:
    if line.lstrip().startswith((">>>", "...")):
        return line
    line = "Examples:" if line == "Example:" else line
    return _SHAPE.sub(r"`\1`", _ROLE.sub("", line)) if "``" not in line else _ROLE.sub("", line)


class Readable(Extension):
    """Changes the docstring of every object before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:  # noqa: ANN401 - Griffe's own types
        """Rewrite a docstring line by line."""
        if obj.docstring is not None:
            obj.docstring.value = "\n".join(map(_line, obj.docstring.value.split("\n")))
