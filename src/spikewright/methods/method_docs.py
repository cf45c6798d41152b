# SPDX-License-Identifier: Apache-2.0
"""The page on the methods, made from their docstrings, so that page and code say the same."""

import dataclasses
import inspect
import re
import textwrap

from spikewright.methods import methods
from spikewright.methods.base import MethodConfig

__all__ = ["default_text", "methods_page", "option_texts"]


def methods_page() -> str:
    """Return every method of this package as Markdown: what it is, its options, its source."""
    table = methods()
    own = [n for n in table if table[n].__module__.startswith("spikewright.")]
    return "\n\n".join(_section(name, table[name]) for name in own)


def option_texts(cls: type) -> dict[str, str]:
    """Return what the ``Attributes`` sections of a class and its bases say of each attribute.

    Example:
        >>> class Settings:
        ...     '''Settings.
        ...
        ...     Attributes:
        ...         T: Time steps,
        ...             at least 1.
        ...     '''
        >>> option_texts(Settings)
        {'T': 'Time steps, at least 1.'}
    """
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):  # what a class says itself counts more than its bases
        section = _sections(base).get("Attributes", "")
        entries = re.split(r"\n(?=\w+: )", section)
        for name, colon, line in (entry.partition(": ") for entry in entries):
            if colon:
                texts[name] = " ".join(line.replace("``", "").split())
    return texts


def default_text(field: "dataclasses.Field[object]") -> object:
    """Return a setting's default as a plain value, or as it would be written in Python."""
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    if field.default is dataclasses.MISSING:
        return "required"
    plain = isinstance(field.default, str | int | float | bool | None)
    return field.default if plain else repr(field.default)


def _sections(cls: type) -> dict[str, str]:
    """Return the parts of a docstring by their headings, the text in front under ``""``."""
    parts = re.split(r"\n(?=(?:Attributes|References|Example):\n)", _doc(cls))
    found = {"": parts[0].strip()}
    for part in parts[1:]:
        head, _, body = part.partition(":\n")
        found[head] = textwrap.dedent(body).strip()
    return found


def _doc(owner: object) -> str:
    return inspect.cleandoc(getattr(owner, "__doc__", None) or "")


def _section(name: str, cls: type[MethodConfig]) -> str:
    sections, texts = _sections(cls), option_texts(cls)
    _, _, rest = sections[""].partition("\n\n")
    module = _doc(inspect.getmodule(cls))
    rows = "\n".join(
        f"| `{f.name}` | `{default_text(f)}` | {texts.get(f.name, '').replace('|', '/')} |"
        for f in dataclasses.fields(cls)
    )
    blocks = [f"## `{name}`", module]
    blocks += [rest] if rest else []
    if "References" in sections:
        blocks.append("*Source:* " + " ".join(sections["References"].split()))
    blocks.append(f"| option | default | meaning |\n| --- | --- | --- |\n{rows}")
    return "\n\n".join(blocks).replace("``", "`").replace(":class:", "")
