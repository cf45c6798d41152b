# SPDX-License-Identifier: Apache-2.0
"""How tensors are nested in what a model takes and returns: tuples, lists, dictionaries, names."""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.errors import FileFormatError

__all__ = ["Structure"]

_DEEPEST = 32


@dataclass(frozen=True)
class Structure:
    """A nested template with numbered places for tensors.

    Attributes:
        template: Plain data. ``{"tensor": i}`` is a place; ``{"tuple": […]}``, ``{"list": […]}``,
            ``{"dict": [[key, …], …]}``, ``{"named": [name, [[field, …], …]]}`` hold others;
            ``{"value": …}`` is a constant: None, a number, a text.
        rebuild: Makes the model's own class of the tensors where it is none of these (an output
            class of a library); it is not written to files, where such a class is a dictionary.
    """

    template: Any
    rebuild: Callable[[Sequence[Any]], Any] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def one(cls) -> "Structure":
        """Return the structure of a single tensor."""
        return cls({"tensor": 0})

    @classmethod
    def one_argument(cls) -> "Structure":
        """Return the structure of a call with a single tensor."""
        return cls.of(((_Place(0),), {}))

    @classmethod
    def of(
        cls,
        tree: Any,  # noqa: ANN401 - nested tensors
        rebuild: Callable[[Sequence[Any]], Any] | None = None,
    ) -> "Structure":
        """Describe nested data; tensors (and places) are numbered in the order they are met.

        Raises:
            TypeError: If it holds something else than tensors, constants and containers.
        """
        count = iter(range(10**9))
        return cls(_describe(tree, count, 0), rebuild)

    @property
    def count(self) -> int:
        """Number of tensors."""
        return sum(1 for _ in _places(self.template))

    def build(self, values: Sequence[Any]) -> Any:  # noqa: ANN401 - nested as described
        """Return the nested data with these tensors in its places."""
        return _build(self.template, values) if self.rebuild is None else self.rebuild(values)

    def flatten(self, tree: Any) -> tuple[Tensor, ...] | None:  # noqa: ANN401 - anything
        """Return the tensors of nested data of this structure, None if it is of another one.

        A tuple where a list is expected will do, and the other way round.
        """
        found: dict[int, Tensor] = {}
        if not _match(self.template, tree, found):
            return None
        return tuple(found[i] for i in sorted(found))

    def flatten_any(self, tree: Any) -> tuple[Tensor, ...] | None:  # noqa: ANN401 - anything
        """Return the tensors of what a model has returned, whatever classes hold them."""
        found = self.flatten(tree)
        if found is not None:
            return found
        try:
            leaves = [t for t in pytree.tree_leaves(tree) if isinstance(t, Tensor)]
        except (TypeError, ValueError):
            return None
        return tuple(leaves) if len(leaves) == self.count else None

    def to_json(self) -> Any:  # noqa: ANN401 - JSON value
        """Return it as JSON-able data."""
        return self.template

    @classmethod
    def from_json(cls, data: Any) -> "Structure":  # noqa: ANN401 - JSON value
        """Read what :meth:`to_json` returned.

        Raises:
            FileFormatError: If it is something else.
        """
        _check(data, 0)
        places = list(_places(data))
        if sorted(places) != list(range(len(places))):
            raise _not_ours(f"places {places}")
        return cls(data)


@dataclass(frozen=True)
class _Place:
    index: int


def _describe(tree: Any, count: Iterator[int], depth: int) -> Any:  # noqa: ANN401
    if depth > _DEEPEST:
        raise TypeError("nested too deeply")

    def inner(value: Any) -> Any:  # noqa: ANN401
        return _describe(value, count, depth + 1)

    if isinstance(tree, Tensor | _Place):
        return {"tensor": next(count)}
    if tree is None or isinstance(tree, bool | int | float | str):
        return {"value": tree}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        pairs = [[name, inner(value)] for name, value in zip(tree._fields, tree, strict=True)]
        return {"named": [type(tree).__name__, pairs]}
    if isinstance(tree, tuple | list):
        return {"tuple" if isinstance(tree, tuple) else "list": [inner(v) for v in tree]}
    if isinstance(tree, Mapping):
        if not all(isinstance(key, str | int) for key in tree):
            raise TypeError(f"keys {list(tree)}")
        return {"dict": [[key, inner(value)] for key, value in tree.items()]}
    if is_dataclass(tree) and not isinstance(tree, type):
        return {"dict": [[f.name, inner(getattr(tree, f.name))] for f in fields(tree)]}
    raise TypeError(type(tree).__name__)


def _places(template: Any) -> Iterator[int]:  # noqa: ANN401
    ((kind, content),) = template.items()
    if kind == "tensor":
        yield content
    elif kind != "value":
        for part in _parts(kind, content):
            yield from _places(part)


def _parts(kind: str, content: Any) -> list[Any]:  # noqa: ANN401
    if kind in ("tuple", "list"):
        return list(content)
    return [value for _, value in (content if kind == "dict" else content[1])]


def _build(template: Any, values: Sequence[Any]) -> Any:  # noqa: ANN401
    ((kind, content),) = template.items()
    if kind == "tensor":
        return values[content]
    if kind == "value":
        return content
    parts = [_build(part, values) for part in _parts(kind, content)]
    if kind == "tuple":
        return tuple(parts)
    if kind == "list":
        return parts
    if kind == "dict":
        return dict(zip((key for key, _ in content), parts, strict=True))
    names = [name for name, _ in content[1]]
    return namedtuple(content[0], names, rename=True)(*parts)


def _match(template: Any, tree: Any, found: dict[int, Tensor]) -> bool:  # noqa: ANN401
    ((kind, content),) = template.items()
    if kind == "tensor":
        if isinstance(tree, Tensor):
            found[content] = tree
        return isinstance(tree, Tensor)
    if kind == "value":
        return bool(tree is content or (type(tree) is type(content) and tree == content))
    if kind == "dict":
        keys = [key for key, _ in content]
        if isinstance(tree, Mapping) and set(tree) == set(keys):
            return all(_match(part, tree[key], found) for key, part in content)
        return False
    parts = _parts(kind, content)
    if not isinstance(tree, tuple | list) or len(tree) != len(parts):
        return False
    return all(_match(part, value, found) for part, value in zip(parts, tree, strict=True))


def _check(data: Any, depth: int) -> None:  # noqa: ANN401
    if depth > _DEEPEST or not isinstance(data, dict) or len(data) != 1:
        raise _not_ours(data)
    ((kind, content),) = data.items()
    if kind == "tensor":
        good = type(content) is int and content >= 0
    elif kind == "value":
        good = content is None or isinstance(content, bool | int | float | str)
    elif kind in ("tuple", "list"):
        good = isinstance(content, list)
    elif kind == "dict":
        good = _are_pairs(content)
    elif kind == "named":
        good = isinstance(content, list) and len(content) == 2 and _are_pairs(content[1])
        good = good and all(
            isinstance(name, str) and name.isidentifier() and not name.startswith("_")
            for name in (content[0], *(key for key, _ in content[1]))
        )
    else:
        good = False
    if not good:
        raise _not_ours(data)
    if kind not in ("tensor", "value"):
        for part in _parts(kind, content):
            _check(part, depth + 1)


def _are_pairs(content: Any) -> bool:  # noqa: ANN401
    return isinstance(content, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str | int)
        for pair in content
    )


def _not_ours(what: object) -> FileFormatError:
    return FileFormatError(
        f"graph: expected a structure of inputs or outputs, got {what!r:.80}. Save the file again."
    )
