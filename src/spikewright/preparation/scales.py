# SPDX-License-Identifier: Apache-2.0
"""Scale refinement: a population's λ is judged by what layers behind it make of its trains."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.activation import activate
from spikewright.graph.ir import Graph
from spikewright.preparation.base import Step
from spikewright.preparation.trains import sent
from spikewright.preparation.views import SiteView

__all__ = ["Scales"]

_WORTH = 0.98
"""What must be left of the error at most; less of a fall is chance."""


@dataclass(frozen=True, kw_only=True)
class Scales(Step):
    """Multiply each population's scales by the factor that the layers behind it like best.

    A rule chooses λ by the error of the values themselves. What counts is the error of the sums
    that the layers behind make of them, where errors of one sign add up and others cancel, less
    its mean, which their biases can take away. Each factor is tried on the trains that really
    arrive; one is taken only if it reduces this error on either half of the inputs, by 2 % or more.

    Populations that read-outs read without a layer between are judged by these.

    Attributes:
        factors: What λ is multiplied by, each above 0; 1 is always tried.
        samples: Calibration inputs that are looked at, at most.
    """

    name: ClassVar[str | None] = "scales"

    factors: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)
    samples: int = 128

    def __post_init__(self) -> None:
        """Check the factors."""
        object.__setattr__(self, "factors", tuple(map(float, self.factors)))
        if not self.factors or not all(f > 0.0 for f in self.factors) or self.samples < 2:
            raise ConfigError(
                f"scales: expected factors above 0 and 2 samples or more, got {self.factors} and "
                f"{self.samples}. Leave them out for the defaults."
            )

    def at_site(self, view: SiteView) -> None:
        """Refine the scales of one population."""
        readers = _readers(view)
        if not readers or "levels" in view.node.kwargs:
            return
        scales = self._tries(view)
        errors = self._errors(view, readers, scales)  # "try half"
        best = int(errors.sum(1).argmin())
        better = bool((errors[best] < _WORTH * errors[0]).all())
        view.walk.draft.note(str(self.name), "changed" if better else "kept")
        if better:
            view.change(scales[best])

    def _tries(self, view: SiteView) -> list[Tensor]:
        """Return the scales to try, those there are first."""
        cap = view.node.kwargs.get("cap")
        tries = [view.site.scale * factor for factor in (1.0, *self.factors)]
        return tries if cap is None else [t.clamp(max=float(cap)) for t in tries]

    def _errors(self, view: SiteView, readers: tuple[str, ...], scales: list[Tensor]) -> Tensor:
        walk, node, site = view.walk, view.node, view.site
        given = (*walk.names, node.name)
        known = walk.program(walk.draft.original, readers, walk.activate, given)
        own = walk.program(walk.draft.graph, readers, walk.send, given)
        sums = _Sums(len(scales), len(readers))
        seen = 0
        for index, ((before,), (drive,)) in enumerate(walk.pairs(node.inputs[0])):
            if seen >= self.samples:
                break
            seen += len(drive)
            held_known, held_own = walk.held()[index]
            with torch.no_grad():
                wanted = known(*held_known, activate(node, before))
                for at, scale in enumerate(scales):
                    unit = site.broadcast(scale, drive.ndim) / site.code.max_value
                    found = own(*held_own, sent(site, drive, unit))
                    sums.add(at, found, wanted, walk.draft.graph, readers)
        return sums.errors()


def _readers(view: SiteView) -> tuple[str, ...]:
    """Return the layers and read-outs that read a population and nothing not known yet."""
    walk, graph, name = view.walk, view.walk.draft.graph, view.node.name
    users, found, todo, seen = graph.users(), list[str](), [name], set[str]()
    while todo:
        for user in users[todo.pop()]:
            if user.name in seen:
                continue
            seen.add(user.name)
            layer = ops.kind(user) == "weighted" and user.op != ops.AFFINE
            if layer or user.op == ops.READOUT:
                if not _unknown(view, user.name if layer else user.inputs[0]):
                    found.append(user.name)
            elif ops.kind(user) != "site":
                todo.append(user.name)
    return tuple(sorted(found, key=walk.place))


def _unknown(view: SiteView, name: str) -> bool:
    """Tell whether a value depends on neurons whose weights in front may still change."""
    walk, graph = view.walk, view.walk.draft.graph
    here, todo, seen = walk.place(view.node.name), [name], set[str]()
    while todo:
        at = todo.pop()
        if at in seen or at in walk.names or at == view.node.name:
            continue
        seen.add(at)
        if ops.kind(graph[at]) == "site" and walk.place(at) > here:
            return True
        todo.extend(graph[at].inputs)
    return False


class _Sums:
    """Squared errors of every channel less their means, by try and half of the inputs."""

    def __init__(self, tries: int, readers: int) -> None:
        self._sums: list[list[list[Tensor]]] = [[[] for _ in range(readers)] for _ in range(tries)]

    def add(
        self,
        at: int,
        found: tuple[Tensor, ...],
        wanted: tuple[Tensor, ...],
        graph: Graph,
        readers: tuple[str, ...],
    ) -> None:
        """Add a batch under a try: "half moment channel", moments of order 0 to 2."""
        for reader, one, other, sums in zip(readers, found, wanted, self._sums[at], strict=True):
            spec = ops.weighted(graph[reader])
            axis = spec.channel_axis if spec is not None else min(1, one.ndim - 1)
            gap = one - other
            halves = []
            for half in range(2):
                rows = gap[half::2].movedim(axis, 0).flatten(1).double()
                size = other[half::2].movedim(axis, 0).flatten(1).double()
                count = torch.full_like(rows[:, :1].sum(1), rows.shape[1])
                first = rows.sum(1) * (spec is not None)  # nothing behind a read-out takes it away
                halves.append(
                    torch.stack([count, first, rows.square().sum(1), size.square().sum(1)])
                )
            sums.append(torch.stack(halves))

    def errors(self) -> Tensor:
        """Return the error relative to the values, summed over layers, "try half"."""
        found = []
        for by_reader in self._sums:
            total = torch.zeros(2, dtype=torch.float64)
            for sums in by_reader:
                count, first, second, size = torch.stack(sums).sum(0).unbind(1)
                spread = second - first.square() / count.clamp_min(1.0)
                total += spread.sum(1) / size.sum(1).clamp_min(1e-30)
            found.append(total)
        return torch.stack(found)
