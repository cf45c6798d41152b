# SPDX-License-Identifier: Apache-2.0
"""Activations by what they compute: continuous functions made of a few straight lines.

``where(y > 0, y, 0)``, ``y * (y > 0)``, ``(y + |y|) / 2``, ``y[y < 0] = 0`` all are ReLU; ``|y|``,
LeakyReLU, Hardsigmoid and clips to any range are sums of clipped rectifiers. With kinks k₁ … kₙ and
slopes s₀ … sₙ between them

    f(y) = f(k₁) - s₀·relu(k₁ - y) + Σ sᵢ·clip(y - kᵢ, 0, kᵢ₊₁ - kᵢ) + sₙ·relu(y - kₙ)

which is exact; lines of slope 0 need no neurons.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.activation import activation_range, behind_moves, between_layers
from spikewright.graph.build import Rewrite, Rule, shape_of
from spikewright.graph.chains import chains, evaluate
from spikewright.graph.ir import Graph, Node
from spikewright.graph.products import PRODUCTS

__all__ = ["RULES", "Lines", "find_piecewise", "lines_of"]

_At = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points to the values and slopes of a function there."""

MAX_KINKS = 8
"""Functions of more lines are left alone: each line takes a population of neurons."""

_FAR = 1e6  # the outer lines are those found here
_CLOSE = 1e-7
_SAME = 1e-9
_EXACT = 1e-12
_SNAP = 2.5e-7  # a slope this near to a whole number is that number, spoilt by float32 constants
_MOST_TRIES = 600


@dataclass(frozen=True)
class Lines:
    """A continuous function of straight lines.

    Attributes:
        kinks: Where its slope changes, in ascending order.
        slopes: Slope of every line, one more than kinks.
        value: f at the first kink; at 0 if there is none.
    """

    kinks: tuple[float, ...]
    slopes: tuple[float, ...]
    value: float

    @property
    def is_relu(self) -> bool:
        """Whether it is ReLU or a clip to [0, θ]."""
        starts = bool(self.kinks) and self.kinks[0] == self.value == 0
        return starts and self.slopes in ((0.0, 1.0), (0.0, 1.0, 0.0))

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the function."""
        if not self.kinks:
            return self.value + self.slopes[0] * x
        k = self.kinks
        y = self.value - self.slopes[0] * (k[0] - x).relu()
        for (low, high), slope in zip(pairwise(k), self.slopes[1:], strict=False):
            y = y + slope * (x - low).clamp(0, high - low)
        return y + self.slopes[-1] * (x - k[-1]).relu()


def find_piecewise(graph: Graph) -> None:
    """Write activations made of straight lines as ReLUs and clips, in place.

    Looked at are chains with an operator that the later passes do not know. Where one part of a
    chain is read from outside, the chain ends there if it can. ReLU and clips are written plainly
    wherever they stand; anything else only between weighted layers, since in front of the first
    one and behind the last it can stay analog.

    Args:
        graph: A captured and simplified graph in which products with constants are layers.
    """
    done: set[str] = set()
    for alone in (True, False):
        order = {n: i for i, n in enumerate(graph.nodes)}
        for name in reversed(tuple(graph.nodes)):
            if name in done or name in graph.whole:
                continue
            replaced = _replace(graph, name, order, alone=alone)
            if replaced:
                done |= replaced
                order = {n: i for i, n in enumerate(graph.nodes)}


def _replace(graph: Graph, name: str, order: dict[str, int], *, alone: bool) -> set[str]:
    """Replace the longest chain that ends in a node; return what was replaced."""
    found = tuple(chains(graph, name, order, lambda n: _is_foreign(graph, n)))
    if not found:
        return set()
    users = graph.users()
    inside = between_layers(graph, name)
    for source, chain in reversed(found):
        names = {n.name for n in chain}
        private = all(
            u.name in names for n in chain if n.name != name for u in users[n.name]
        ) and not any(o in names for o in graph.outputs if o != name)
        lines = lines_of(graph, source, chain) if private or not alone else None
        if lines is None or not any(lines.slopes):
            continue
        if not (inside or lines.is_relu) or _among_functions(graph, source, name, users):
            continue
        w = Rewrite(graph, graph[name], {})
        w.finish(_written(w, graph[source], lines))
        return names
    return set()


def _among_functions(
    graph: Graph, source: str, end: str, users: Mapping[str, Sequence[Node]]
) -> bool:
    """Tell whether a chain lies between operators that stay analog, as the ε of a norm does.

    A product of two values reads spikes, so that it is none of these.
    """

    def stays(node: Node) -> bool:
        return ops.kind(node) == "analog" and node.op not in PRODUCTS

    readers = behind_moves(users, end)
    return stays(graph[source]) and bool(readers) and all(map(stays, readers))


def _is_foreign(graph: Graph, node: Node) -> bool:
    """Tell whether a node is neither linear nor an activation as the later passes know them."""
    if ops.kind(node) != "analog" or node.shape is None:
        return False
    bounds = activation_range(graph, node)
    if bounds is None:
        return True
    low, high = bounds
    return not (low == 0 < high or -low == high < float("inf"))


def lines_of(graph: Graph, source: str, chain: Sequence[Node]) -> Lines | None:
    """Return the straight lines that a chain of elementwise operators computes, else None."""

    def at(points: Tensor) -> tuple[Tensor, Tensor]:
        x = points.clone().requires_grad_()
        with torch.enable_grad():
            y = evaluate(graph, source, chain, x, 0.0).to(torch.float64)
            y = y if y.shape == x.shape else y.expand_as(x)
            if not y.requires_grad:
                return y, torch.zeros_like(x)
            (slope,) = torch.autograd.grad(y.sum(), x)
        return y.detach(), slope

    points = _points()
    try:
        values, slopes = at(points)
    except (RuntimeError, TypeError, IndexError):
        return None  # an operator that cannot be evaluated on numbers alone
    if not bool(values.isfinite().all() and slopes.isfinite().all()):
        return None
    if torch.unique((slopes * 1e6).round()).numel() > MAX_KINKS + 1:
        return None
    search = _Search(at, points, values)
    kinks = search.between(-_FAR * 1.1, _FAR * 1.1)
    if kinks is None:
        return None
    found = _as_lines(at, kinks)
    error = (found(points) - values).abs()
    return found if bool((error <= _CLOSE * (1.0 + values.abs())).all()) else None


def _points() -> Tensor:
    """Return where a function is looked at: densely around 0, and far out."""
    far = torch.logspace(-6, 6, 601, dtype=torch.float64)
    near = torch.linspace(-12.0, 12.0, 2003, dtype=torch.float64)
    return torch.cat([-far, far, near]).sort().values


class _Search:
    """Looks for kinks by where the lines at both ends of an interval meet."""

    def __init__(self, at: _At, points: Tensor, values: Tensor) -> None:
        self._at, self._points, self._values = at, points, values
        self._tries = 0

    def _line(self, x: float) -> tuple[float, float]:
        value, slope = self._at(torch.tensor([x], dtype=torch.float64))
        return float(slope), float(value - slope * x)

    def between(self, low: float, high: float) -> list[float] | None:
        """Return the kinks inside an interval, None if there are too many or they are jumps."""
        self._tries += 1
        if self._tries > _MOST_TRIES or high - low < 1e-9 * max(abs(low), abs(high), 1e-3):
            return None
        (a, p), (b, q) = self._line(low), self._line(high)
        scale = max(abs(a), abs(b), 1.0)
        if abs(a - b) <= _SAME * scale:
            if abs(p - q) <= _CLOSE * max(1.0, abs(p)) and self._follows(low, high, a, p):
                return []
        else:
            kink = (q - p) / (a - b)
            met = low < kink < high
            if met and self._follows(low, kink, a, p) and self._follows(kink, high, b, q):
                return [kink]
        middle = low + 0.4871 * (high - low)
        left = self.between(low, middle)
        right = None if left is None else self.between(middle, high)
        if left is None or right is None or len(left) + len(right) > MAX_KINKS:
            return None
        return left + right

    def _follows(self, low: float, high: float, slope: float, shift: float) -> bool:
        """Tell whether the function is this line, wherever it is known and close to both ends."""
        known = (self._points > low) & (self._points < high)
        if not _on_line(self._points[known], self._values[known], slope, shift):
            return False
        near = torch.logspace(-9, -0.31, 28, dtype=torch.float64)
        share = torch.cat([near, 1.0 - near])
        x = low + share * (high - low)
        return _on_line(x, self._at(x)[0], slope, shift)


def _on_line(x: Tensor, value: Tensor, slope: float, shift: float) -> bool:
    return bool(((value - slope * x - shift).abs() <= _CLOSE * (1.0 + value.abs())).all())


def _as_lines(at: _At, kinks: Sequence[float]) -> Lines:
    """Return the lines between kinks that are known about; values say exactly where they meet.

    Slopes are gradients, but for operators whose gradient holds constants of single precision.
    """
    around = max(1.0, kinks[-1] - kinks[0]) if kinks else 1.0
    first, last = (kinks[0], kinks[-1]) if kinks else (0.0, 0.0)
    spans = list(pairwise([first - around, *kinks, last + around]))
    x = torch.tensor(
        [[a + q * (b - a) for q in (0.25, 0.75)] for a, b in spans], dtype=torch.float64
    )
    y, gradients = (t.reshape_as(x) for t in at(x.flatten()))
    found = (y[:, 1] - y[:, 0]) / (x[:, 1] - x[:, 0])
    slopes = torch.where((gradients[:, 0] - found).abs() <= _EXACT, gradients[:, 0], found)
    exact = [round(s) if abs(s - round(s)) < _SNAP else s for s in slopes.tolist()]
    shifts = [v - s * p for v, s, p in zip(y[:, 0].tolist(), exact, x[:, 0].tolist(), strict=True)]
    met = [
        (d - c) / (s - t) for (s, t), (c, d) in zip(pairwise(exact), pairwise(shifts), strict=True)
    ]
    met = [0.0 if abs(k) < _SAME else k for k in met]
    value, _ = at(torch.tensor([met[0] if met else 0.0], dtype=torch.float64))
    return Lines(tuple(met), tuple(float(s) for s in exact), float(value))


def _written(w: Rewrite, x: Node, lines: Lines) -> Node:
    """Write a function of straight lines as clips of its argument, scaled and added up."""
    k, s = lines.kinks, lines.slopes
    if not k:
        return w.shift(w.scale(x, s[0]), lines.value)
    if len(k) == 2 and s[0] == s[2] == 0 and k[0] == -k[1]:  # one signed population
        y = w.scale(w.clip(x, k[0], k[1]), s[1])
        return w.shift(y, lines.value - s[1] * k[0])
    parts = []
    if s[0] != 0:
        parts.append(w.scale(_ramp(w, w.scale(x, -1.0), -k[0], None), -s[0]))
    for (low, high), slope in zip(pairwise(k), s[1:], strict=False):
        if slope != 0:
            parts.append(w.scale(_ramp(w, x, low, high - low), slope))
    if s[-1] != 0:
        parts.append(w.scale(_ramp(w, x, k[-1], None), s[-1]))
    total = parts[0]
    for part in parts[1:]:
        total = w.add(total, part)
    return w.shift(total, lines.value)


def _ramp(w: Rewrite, x: Node, start: float, height: float | None) -> Node:
    return w.clip(w.shift(x, -start), 0.0, height)


def _prelu(w: Rewrite) -> bool:
    """PReLU: relu(x) - slope·relu(-x), with a slope for every channel."""
    x, slope = w.value(w.node.args[0]), w.constant(w.node.args[1])
    if x is None or slope is None:
        return False
    own = slope.reshape(-1, *[1] * (len(shape_of(x)) - 2)) if slope.numel() > 1 else slope
    return _leaky(w, x, own)


def _rrelu(w: Rewrite) -> bool:
    """RReLU behind training: LeakyReLU with the mean of its slopes."""
    x = w.value(w.node.args[0])
    low, high = float(w.arg(1, "lower", 1 / 8)), float(w.arg(2, "upper", 1 / 3))
    if x is None or w.arg(3, "training", False):
        return False
    return _leaky(w, x, torch.tensor(0.5 * (low + high), dtype=torch.float64))


def _leaky(w: Rewrite, x: Node, slope: Tensor) -> bool:
    up = w.clip(x, 0.0, None)
    down = w.scale(w.clip(w.scale(x, -1.0), 0.0, None), -slope)
    return w.finish(w.add(up, down))


def _clip_by_tensors(w: Rewrite) -> bool:
    """Clamp with a bound of its own for every channel."""
    x = w.value(w.node.args[0])
    low, high = (w.constant(w.arg(i, name)) for i, name in ((1, "min"), (2, "max")))
    if x is None or (low is not None and high is not None and bool((low > high).any())):
        return False
    return _between(w, x, low, high)


def _bounded(w: Rewrite) -> bool:
    """Maximum, minimum with a bound of its own for every channel."""
    left, right = w.node.args[:2]
    x, bound = w.value(left), w.constant(right)
    if x is None:
        x, bound = w.value(right), w.constant(left)
    if x is None or bound is None:
        return False
    return _between(w, x, *((None, bound) if "min" in w.node.op else (bound, None)))


def _between(w: Rewrite, x: Node, low: Tensor | None, high: Tensor | None) -> bool:
    """Low + relu(x - low) - relu(x - high); with no lower bound high - relu(high - x)."""
    x = w.expand(x, w.shape)
    if low is None and high is None:
        return w.finish(x)
    if low is None and high is not None:
        return w.finish(w.shift(w.scale(_over(w, w.scale(x, -1.0), -high), -1.0), high))
    if low is None:
        return False
    y = _over(w, x, low)
    if high is not None:
        y = w.add(y, w.scale(_over(w, x, high), -1.0))
    return w.finish(w.shift(y, low))


def _over(w: Rewrite, x: Node, bound: Tensor) -> Node:
    return w.clip(w.shift(x, -bound), 0.0, None)


RULES: Mapping[str, Rule] = {
    "aten.prelu.default": _prelu,
    "aten.rrelu.default": _rrelu,
    "aten.clamp.Tensor": _clip_by_tensors,
    "aten.clamp_min.Tensor": _clip_by_tensors,
    "aten.maximum.default": _bounded,
    "aten.minimum.default": _bounded,
}
