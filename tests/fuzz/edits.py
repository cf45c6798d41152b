# SPDX-License-Identifier: Apache-2.0
"""Edits that keep a file readable and make it wrong: what a careful attacker or a bad tool does."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

JSON = dict[str, Any] | list[Any]


def edit_json(data: Any, draw: random.Random, words: Sequence[str]) -> str:
    """Change one place of parsed JSON, in place; return what was done.

    Args:
        data: A dictionary or list, changed.
        draw: Where choices come from.
        words: Texts that mean something in such a file.
    """
    places = list(_places(data))
    holder, key = draw.choice(places)
    old = holder[key]
    match draw.randrange(8):
        case 0:
            del holder[key]
            return f"removed {key!r}"
        case 1:
            holder[key] = _near(old, draw, words)
        case 2:
            other, there = draw.choice(places)
            holder[key], other[there] = other[there], holder[key]
            if other[there] is holder or holder[key] is other:  # a value within itself
                holder[key] = None
            return f"swapped {key!r} and {there!r}"
        case 3:
            other, there = draw.choice(places)
            holder[key] = json.loads(json.dumps(other[there]))
        case 4 if isinstance(holder, list):
            holder.insert(draw.randrange(len(holder) + 1), json.loads(json.dumps(old)))
            return f"doubled {key!r}"
        case 5 if isinstance(holder, dict):
            holder[draw.choice(words)] = _extreme(draw, words)
            return "added a key"
        case 6 if isinstance(old, list):
            draw.shuffle(old)
            return f"shuffled {key!r}"
        case _:
            holder[key] = _extreme(draw, words)
    return f"{key!r}: {str(old)[:40]!r} became {str(holder[key])[:40]!r}"


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every holder and key of nested data."""
    todo = [data]
    while todo:
        holder = todo.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], dict | list):
                todo.append(holder[key])


def _near(old: Any, draw: random.Random, words: Sequence[str]) -> Any:
    """Return another value of the same kind."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | float):
        return draw.choice([old + 1, old - 1, -old, old * 2, old * 1000, old / 2, 0, float(old)])
    return draw.choice(words) if isinstance(old, str) else _extreme(draw, words)


def _extreme(draw: random.Random, words: Sequence[str]) -> Any:
    numbers = [0, -1, 1, 2, 3, 65, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, 10**30]
    floats = [0.0, -0.0, 0.5, -1.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")]
    others: list[Any] = [None, True, False, "", "x", "\ud800", "\x00", [], {}, [[]], [0] * 70]
    deep: Any = []
    for _ in range(draw.choice([3, 70, 500])):
        deep = [deep]
    leaf = {draw.choice(["ref", "param", "dtype", "float"]): draw.choice(words)}
    dtype = {"dtype": draw.choice(["float16", "complex64", "float64", "int64", "bool", "qint8"])}
    return draw.choice([*numbers, *floats, *others, deep, leaf, dtype, draw.choice(words)])


def edit_tensors(tensors: dict[str, Tensor], draw: random.Random) -> str:
    """Change, remove or rename one tensor, in place; return what was done."""
    name = draw.choice(sorted(tensors))
    tensor = tensors[name]
    edits: list[Callable[[Tensor], Tensor]] = [
        lambda t: t[: len(t) // 2].clone() if t.ndim else t.reshape(1),
        lambda t: t.reshape(-1),
        lambda t: t.unsqueeze(0),
        lambda t: t.T.contiguous() if t.ndim == 2 else t.flatten(),
        lambda t: t.new_empty((0, *t.shape[1:])) if t.ndim else t.new_empty(0),
        lambda t: torch.cat([t, t]) if t.ndim else t.repeat(3),
        lambda t: _with(t, float("nan"), draw),
        lambda t: _with(t, float("inf"), draw),
        lambda t: _with(t, -1e30, draw),
        lambda t: -t if t.dtype != torch.bool else ~t,
        torch.zeros_like,
        *(
            lambda t, kind=kind: t.to(kind)
            for kind in (
                torch.float16,
                torch.bfloat16,
                torch.float64,
                torch.int8,
                torch.int64,
                torch.bool,
                torch.complex64,
                torch.float8_e4m3fn,
            )
        ),
    ]
    choice = draw.randrange(len(edits) + 2)
    if choice == len(edits):
        del tensors[name]
        return f"removed {name}"
    if choice > len(edits):
        tensors[name + "x"] = tensors.pop(name)
        return f"renamed {name}"
    if tensor.is_complex() or tensor.dtype in (torch.float8_e4m3fn, torch.float16, torch.bfloat16):
        return "nothing"
    tensors[name] = edits[choice](tensor)
    return f"{name}: edit {choice}, {tuple(tensors[name].shape)} {tensors[name].dtype}"


def _with(tensor: Tensor, value: float, draw: random.Random) -> Tensor:
    """Return a copy with one element replaced."""
    if not tensor.is_floating_point() or not tensor.numel():
        return tensor
    copy = tensor.clone().reshape(-1)
    copy[draw.randrange(copy.numel())] = value
    return copy.reshape(tensor.shape)


def edit_bytes(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Cut a file, flip bits in it, or write over a part of it."""
    changed = bytearray(content)
    match draw.randrange(4):
        case 0:
            return bytes(changed[: draw.randrange(len(changed) + 1)]), "cut"
        case 1:
            for _ in range(draw.choice([1, 3, 30])):
                changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            return bytes(changed), "bits flipped"
        case 2:
            start = draw.randrange(len(changed))
            size = draw.choice([1, 2, 4, 8])
            changed[start : start + size] = draw.choice([b"\xff", b"\x00", b"\x7f"]) * size
            return bytes(changed), "bytes set"
        case _:
            a, b = sorted(draw.randrange(len(changed) + 1) for _ in range(2))
            at = draw.randrange(len(changed) + 1)
            part = bytes(changed[a : min(b, a + 64)])
            return bytes(changed[:at]) + part + bytes(changed[at:]), "a part doubled"
