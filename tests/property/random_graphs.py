# SPDX-License-Identifier: Apache-2.0
"""Random models: operators of the support table composed freely, the batch moved like any axis.

A model is drawn as Python source, one line an operator, so that what fails can be read and pasted.
Of every value the axes are known, one of which holds the batch between other elements, as reshapes
and permutations leave it. The steps are in ``random_steps.py``.
"""

import linecache
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Axis", "Batch", "Draft", "RandomModel", "Value", "draw", "merged", "split"]

LARGEST = 384
"""Elements of one sample of a value, at most."""


@dataclass(frozen=True)
class Batch:
    """An axis that holds ``outer`` elements, the batch, and ``inner`` elements, in this order."""

    outer: int = 1
    inner: int = 1


Axis = int | Batch
Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Value:
    """A line of the model: its name, and the axes of what it computes."""

    name: str
    axes: Axes

    @property
    def batch(self) -> int:
        """Which axis holds the batch."""
        return next(i for i, a in enumerate(self.axes) if isinstance(a, Batch))

    @property
    def plain(self) -> list[int]:
        """The axes that do not hold it."""
        return [i for i, a in enumerate(self.axes) if isinstance(a, int)]

    def int(self, axis: int) -> int:
        """Return the size of an axis without the batch."""
        size = self.axes[axis]
        assert isinstance(size, int)
        return size


def elements(axes: Axes) -> int:
    """Return the elements of one sample."""
    return math.prod(a if isinstance(a, int) else a.outer * a.inner for a in axes)


def code(axis: Axis) -> str:
    """Write a size as source."""
    if isinstance(axis, int):
        return str(axis)
    return " * ".join([*([str(axis.outer)] if axis.outer > 1 else []), "b"]) + (
        f" * {axis.inner}" if axis.inner > 1 else ""
    )


def codes(axes: Axes) -> str:
    """Write a shape as source."""
    return ", ".join(code(a) for a in axes)


def merged(axes: Axes, at: int) -> Axes:
    """Merge an axis with the next one."""
    left, right = axes[at], axes[at + 1]
    if isinstance(left, Batch):
        assert isinstance(right, int)
        both: Axis = Batch(left.outer, left.inner * right)
    elif isinstance(right, Batch):
        both = Batch(left * right.outer, right.inner)
    else:
        both = left * right
    return (*axes[:at], both, *axes[at + 2 :])


def split(axes: Axes, at: int, rng: random.Random) -> Axes:
    """Split an axis at a boundary between its elements, or between them and the batch."""
    axis = axes[at]
    if isinstance(axis, int):
        part = rng.choice(divisors(axis))
        return (*axes[:at], part, axis // part, *axes[at + 1 :])
    if rng.random() < 0.5:
        part = rng.choice(divisors(axis.outer))
        two: Axes = (part, Batch(axis.outer // part, axis.inner))
    else:
        part = rng.choice(divisors(axis.inner))
        two = (Batch(axis.outer, axis.inner // part), part)
    return (*axes[:at], *two, *axes[at + 1 :])


def divisors(n: int) -> list[int]:
    """Return the divisors of a number, itself included, 1 only where there is no other."""
    return [d for d in range(2, n + 1) if n % d == 0] or [1]


@dataclass
class Draft:
    """A model on its way: lines, tensors, values that may be read.

    Attributes:
        rng: Where everything is drawn from.
        batchless: Whether a batch of one would be squeezed away.
        steps: Names of the steps taken.
        active: Names of the values behind an activation.
        unread: Names of the values that nothing reads.
    """

    rng: random.Random
    lines: list[str] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    batchless: bool = False
    steps: list[str] = field(default_factory=list)
    active: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.rng.getrandbits(32))

    def put(self, expression: str, axes: Sequence[Axis]) -> Value:
        """Write a line that makes a value."""
        value = Value(f"v{len(self.values)}", tuple(axes))
        read = set(re.findall(r"v\d+", expression))
        self.unread = [v for v in self.unread if v not in read] + [value.name]
        if read & self.active:
            self.active.add(value.name)
        self.lines.append(f"{value.name} = {expression}")
        self.values.append(value)
        return value

    def tensor(self, value: Tensor, *, trained: bool = True) -> str:
        """Keep a tensor with the model; return how it is read."""
        name = f"p{len(self.tensors)}"
        self.tensors[name] = nn.Parameter(value) if trained else value
        return f"self.{name}"

    def normal(self, *shape: int, fan_in: int = 1) -> Tensor:
        """Draw normal numbers, smaller where many are added up."""
        return torch.randn(shape, generator=self.generator) / math.sqrt(fan_in)

    def gains(self, n: int) -> Tensor:
        """Draw unequal positive factors in any order: what channels are worth differs widely."""
        if self.rng.random() < 0.3:
            return torch.ones(n)
        wide = self.rng.choice([0.3, 0.7, 1.0])
        return torch.logspace(-wide, wide, n)[torch.randperm(n, generator=self.generator)]

    def like(self, value: Value, but: int | None = None) -> list[Value]:
        """Return other values of the same axes, except the one at ``but``."""
        axes = [a for i, a in enumerate(value.axes) if i != but]
        same = [w for w in self.values if w != value and len(w.axes) == len(value.axes)]
        return [w for w in same if [a for i, a in enumerate(w.axes) if i != but] == axes]


class RandomModel(nn.Module):
    """What was drawn, as a model; ``print(model)`` shows its source."""

    forward: Any

    def __init__(self, draft: Draft, seed: int, inputs: list[Axes], returned: str) -> None:
        super().__init__()
        for name, tensor in draft.tensors.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)
        self.inputs, self.batchless, self.seed = inputs, draft.batchless, seed
        self.steps = tuple(draft.steps)
        names = [f"x{i}" for i in range(len(inputs))]
        body = [f"b = {names[0]}.shape[0]", *draft.lines, f"return {returned}"]
        self.source = f"def forward(self, {', '.join(names)}):\n" + "".join(
            f"    {line}\n" for line in body
        )
        file = f"random_graph_{seed}.py"
        linecache.cache[file] = len(self.source), None, self.source.splitlines(True), file
        self.forward = self._compiled(self.source, file)
        values = ", ".join(v.name for v in draft.values)
        self._all = self._compiled(self.source.replace(body[-1], f"return [{values}]"), file)

    def _compiled(self, source: str, file: str) -> Any:
        space = {"torch": torch, "F": nn.functional}
        exec(compile(source, file, "exec"), space)
        return space["forward"].__get__(self)

    def reach(self, *inputs: Tensor) -> float:
        """Return the largest of all values, which results may be small differences of."""
        with torch.no_grad():
            return max(float(v.abs().max()) for v in self._all(*inputs))

    def data(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """Draw inputs."""
        generator = torch.Generator().manual_seed(seed)
        sizes = [[a if isinstance(a, int) else batch for a in axes] for axes in self.inputs]
        return tuple(torch.randn(size, generator=generator) for size in sizes)

    def extra_repr(self) -> str:
        """Show the source."""
        shapes = [f"{n}: {tuple(t.shape)}" for n, t in self.named_parameters()]
        return f"seed {self.seed}\n{self.source}{', '.join(shapes)}"


def draw(seed: int, most: int = 4) -> RandomModel:
    """Draw a model.

    Args:
        seed: Every seed is a model of its own.
        most: Layers with activation, at most, each with up to eight other operators around it.
    """
    from tests.property import random_layers, random_parts, random_steps  # noqa: F401 - their steps

    rng = random.Random(seed)
    draft = Draft(rng)
    shapes: list[Axes] = [(6,), (8,), (4, 6), (5, 4), (3, 4), (2, 4, 6), (4, 4, 4), (3, 4, 6)]
    shape = rng.choice(shapes)
    inputs: list[Axes] = [(Batch(), *shape)] * (2 if rng.random() < 0.15 else 1)
    for i, axes in enumerate(inputs):
        draft.put(f"x{i}", axes)
    for _ in range(rng.randint(1, most)):
        random_steps.take(draft, "weighted", rng.randint(0, 2))
        random_steps.take(draft, "any", rng.randint(0, 3))
        random_steps.take(draft, "activation", 1)
        random_steps.take(draft, "any", rng.randint(0, 3))
    if rng.random() < 0.7:
        random_steps.take(draft, "weighted", 1)
    return RandomModel(draft, seed, inputs, _returned(draft))


def _returned(draft: Draft) -> str:
    """Choose what is returned, in which nest: something behind an activation at least."""
    rng = draft.rng
    last = next(v.name for v in reversed(draft.values) if v.name in draft.active)
    if rng.random() < 0.5:
        return last
    names = [last, *(n for n in draft.unread if n != last and n[1:] != "0")][:3]
    if len(names) == 1:
        names.append(rng.choice([v.name for v in draft.values[:-1] if v.name != last]))
    a, b, c = (names * 2)[:3]
    if len(names) == 2:
        return rng.choice([f"({a}, {b})", f"[{b}, ({a},)]", f"{{'low': {b}, 'high': {a}}}"])
    return rng.choice(
        [f"({a}, {b}, {c})", f"[{b}, ({a}, {c})]", f"{{'low': {b}, 'high': [{a}, {c}]}}"]
    )
