# SPDX-License-Identifier: Apache-2.0
"""The steps that a random model is made of: one function an operator family, found by its class.

A step gets the draft and a value, writes a line if its operator fits the value's axes, and returns
what it made, or None where it does not fit.
"""

from collections.abc import Callable

import torch

from tests.property.random_graphs import (
    Axes,
    Batch,
    Draft,
    Value,
    code,
    codes,
    elements,
    merged,
    split,
)

Step = Callable[[Draft, Value], Value | None]
STEPS: dict[str, list[Step]] = {}
SHARES = {"layout": 9, "weighted": 4, "mixing": 3, "pool": 2, "add": 3, "constant": 2}
"""How often a step of each class is taken among "any"; activations have their own turn."""


def step(kind: str, times: int = 1) -> Callable[[Step], Step]:
    """Enter a function as a step of a class, as likely as ``times`` others."""

    def enter(fn: Step) -> Step:
        STEPS.setdefault(kind, []).extend([fn] * times)
        return fn

    return enter


def take(draft: Draft, kind: str, count: int) -> None:
    """Take steps of a class on the latest value, now and then on an earlier one."""
    rng = draft.rng
    for _ in range(count):
        for _ in range(20):
            of = rng.choices(list(SHARES), list(SHARES.values()))[0] if kind == "any" else kind
            chosen = rng.choice(STEPS[of])
            value = rng.choice(draft.values) if rng.random() < 0.15 else draft.values[-1]
            made = chosen(draft, value)
            if made is not None:
                draft.steps.append(f"{of}:{chosen.__name__}")
                break


# -- layout ---------------------------------------------------------------------------------------


@step("layout", 4)
def permute(d: Draft, v: Value) -> Value | None:
    n = len(v.axes)
    if n < 2:
        return None
    if d.rng.random() < 0.5:
        order = d.rng.sample(range(n), n)
        return d.put(f"{v.name}.permute({', '.join(map(str, order))})", [v.axes[i] for i in order])
    i, j = d.rng.sample(range(n), 2)
    if d.rng.random() < 0.5:
        axes = list(v.axes)
        axes[i], axes[j] = axes[j], axes[i]
        name = d.rng.choice(["transpose", "swapaxes"])
        return d.put(f"{v.name}.{name}({i}, {j - n})", axes)
    axes = list(v.axes)
    axes.insert(j, axes.pop(i))
    return d.put(f"{v.name}.movedim({i}, {j})", axes)


@step("layout", 5)
def reshape(d: Draft, v: Value) -> Value | None:
    """Merge and split axes, the batch's included, in one reshape."""
    axes: Axes = v.axes
    for _ in range(d.rng.randint(1, 4)):
        at = d.rng.randrange(len(axes))
        if d.rng.random() < 0.55 and len(axes) > 2 and at + 1 < len(axes):
            axes = merged(axes, at)
        elif len(axes) < 5:
            axes = split(axes, at, d.rng)
    if axes == v.axes or len(axes) < 2 or all(isinstance(a, Batch) or a == 1 for a in axes):
        return None
    sizes = [code(a) for a in axes]
    if d.rng.random() < 0.3:
        sizes[d.rng.randrange(len(sizes))] = "-1"
    how = d.rng.choice(["reshape", "contiguous().view"])
    return d.put(f"{v.name}.{how}({', '.join(sizes)})", axes)


@step("layout")
def flatten(d: Draft, v: Value) -> Value | None:
    if len(v.axes) < 3:
        return None
    at = d.rng.randrange(len(v.axes) - 1)
    return d.put(f"{v.name}.flatten({at}, {at + 1})", merged(v.axes, at))


@step("layout")
def unflatten(d: Draft, v: Value) -> Value | None:
    at = d.rng.choice(v.plain) if v.plain else None
    if at is None or len(v.axes) > 4 or v.int(at) < 4:
        return None
    axes = split(v.axes, at, d.rng)
    return d.put(f"{v.name}.unflatten({at}, ({axes[at]}, {axes[at + 1]}))", axes)


@step("layout")
def shuffle_through_the_batch(d: Draft, v: Value) -> Value | None:
    """Split channels as ShuffleNetV2's authors do: every second one, through the batch."""
    if v.batch != 0 or len(v.axes) < 2 or v.axes[0] != Batch() or 1 not in v.plain or v.int(1) % 2:
        return None
    c, rest = v.int(1), v.axes[2:]
    low = d.put(f"{v.name}.reshape(b * {c // 2}, 2, -1).permute(1, 0, 2)", [2, Batch(1, c // 2),
        elements(rest)])  # fmt: skip
    which = d.rng.randrange(2)
    shape = codes((c // 2, *rest))
    half = d.put(f"{low.name}.reshape(2, -1, {shape})[{which}]", (Batch(), c // 2, *rest))
    if d.rng.random() < 0.5:
        other = d.put(f"{low.name}.reshape(2, -1, {shape})[{1 - which}]", (Batch(), c // 2, *rest))
        return d.put(f"torch.cat([{half.name}, {other.name}], 1)", v.axes)
    return half


@step("layout")
def window_partition(d: Draft, v: Value) -> Value | None:
    """Windows into the batch, as Swin does, channels last."""
    if v.batch != 0 or len(v.axes) != 4 or v.int(1) % 2 or v.int(2) % 2:
        return None
    h, w, c = (v.int(i) for i in (1, 2, 3))
    batch = v.axes[0]
    assert isinstance(batch, Batch)
    made = Batch(batch.outer, batch.inner * (h // 2) * (w // 2))
    return d.put(
        f"{v.name}.reshape({codes((batch, h // 2, 2, w // 2, 2, c))})"
        f".permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, {c})",
        (made, 4, c),
    )


@step("layout")
def unbind(d: Draft, v: Value) -> Value | None:
    """Take an axis apart; stack its parts along another, in another order."""
    at = any_axis(d, v, most=4)
    if at is None or len(v.axes) < 3:
        return None
    rest = v.axes[:at] + v.axes[at + 1 :]
    to = d.rng.randint(0, len(rest))
    how = d.rng.choice(["[::-1]", "[1:]", ""]) if v.int(at) > 1 else ""
    count = v.int(at) - (how == "[1:]")
    return d.put(f"torch.stack({v.name}.unbind({at}){how}, {to})", (*rest[:to], count, *rest[to:]))


@step("layout")
def select(d: Draft, v: Value) -> Value | None:
    at = any_axis(d, v)
    if at is None or len(v.axes) < 3:
        return None
    index, rest = d.rng.randrange(-v.int(at), v.int(at)), v.axes[:at] + v.axes[at + 1 :]
    if d.rng.random() < 0.5:
        return d.put(f"{v.name}.select({at}, {index})", rest)
    return d.put(f"{v.name}[{':, ' * at}{index}]", rest)


@step("layout", 2)
def reorder(d: Draft, v: Value) -> Value | None:
    """Flip, roll, choose."""
    at = any_axis(d, v, least=2)
    if at is None:
        return None
    n = v.int(at)
    way = d.rng.choice(["flip", "roll", "index_select", "list", "slice", "narrow"])
    if way == "flip":
        return d.put(f"{v.name}.flip({at})", v.axes)
    if way == "roll":
        return d.put(f"{v.name}.roll({d.rng.randint(1, n - 1)}, {at})", v.axes)
    if way in ("index_select", "list"):
        index = [d.rng.randrange(n) for _ in range(d.rng.randint(1, n))]
        axes = (*v.axes[:at], len(index), *v.axes[at + 1 :])
        if way == "list":
            return d.put(f"{v.name}[{':, ' * at}{index}]", axes)
        return d.put(
            f"{v.name}.index_select({at}, {d.tensor(torch.tensor(index), trained=False)})", axes
        )
    first = d.rng.randrange(n - 1)
    if way == "narrow":
        count = d.rng.randint(1, n - first)
        axes = (*v.axes[:at], count, *v.axes[at + 1 :])
        return d.put(f"{v.name}.narrow({at}, {first}, {count})", axes)
    every = d.rng.choice([1, 2])
    axes = (*v.axes[:at], len(range(first, n, every)), *v.axes[at + 1 :])
    return d.put(f"{v.name}[{':, ' * at}{first}::{every}]", axes)


def any_axis(d: Draft, v: Value, least: int = 1, most: int = 99) -> int | None:
    """Draw an axis without the batch."""
    fitting = [i for i in v.plain if least <= v.int(i) <= most]
    return d.rng.choice(fitting) if fitting else None
