# SPDX-License-Identifier: Apache-2.0
"""Block reconstruction: a block's weights and scales are tuned to what the original one sends."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node
from spikewright.graph.program import run_node
from spikewright.network.site import Site
from spikewright.preparation.base import BlockStep
from spikewright.preparation.trains import sent, unit_of
from spikewright.preparation.views import BlockView, set_layer

__all__ = ["Reconstruct"]

_HELD_OUT = 8
"""One input of so many judges whether a block has become better."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(BlockStep):
    """Tune a block's weights, biases and scales with Adam, front to back.

    A block lies between two places where one value passes, a residual block with its shortcut
    say. The loss is the mean squared difference between what the quantised block sends, given the
    trains that really arrive, and the values of the original one; gradients pass rounding as if it
    were not there. Every second value that enters the block or a layer in it is the unquantised
    one while tuning (``drop``), so that weights do not fit the noise of few inputs. Every eighth
    input is held out; a block stays as it was where it is no better on those.

    Attributes:
        steps: Steps of Adam for each block.
        batch: Inputs a step.
        rate: Step size, as a share of the mean absolute weight of each layer; falls to 0.
        scale_rate: Step size of the logarithm of each scale.
        drop: Probability that a value is not quantised.
        layers: Layers in a block at least.
        seed: Where the order of inputs starts.

    References:
        Y. Li et al., BRECQ, ICLR 2021 (blocks); X. Wei et al., QDrop, ICLR 2022 (drop); S. K.
        Esser et al., LSQ, ICLR 2020 (gradient of a scale).
    """

    name: ClassVar[str | None] = "reconstruct"

    steps: int = 150
    batch: int = 16
    rate: float = 5e-3
    scale_rate: float = 5e-3
    drop: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every setting."""
        for name in ("steps", "batch", "layers"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigError(
                    f"reconstruct: expected {name} of 1 or more, got {getattr(self, name)!r}."
                )
        if not (self.rate >= 0.0 and self.scale_rate >= 0.0 and 0.0 <= self.drop < 1.0):
            raise ConfigError(
                "reconstruct: expected rates of 0 or more and drop in [0, 1), got rate="
                f"{self.rate}, scale_rate={self.scale_rate}, drop={self.drop}. Correct them."
            )

    @property
    def passes(self) -> float:
        """Runs of one input: forward and twice as much backward, once through all blocks."""
        return 3.0 * self.steps * self.batch

    def at_block(self, view: BlockView) -> None:
        """Tune one block."""
        block = _Block(view, self.drop)
        if not block.layers or block.samples < 2:
            return
        rng = torch.Generator().manual_seed(self.seed)
        groups = block.groups(self.rate, self.scale_rate)
        optimizer = torch.optim.Adam(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda t: 0.5 * (1.0 + math.cos(math.pi * t / self.steps))
        )
        judged = torch.arange(0, block.samples, min(_HELD_OUT, block.samples))
        tuned = torch.tensor([i for i in range(block.samples) if i % _HELD_OUT])
        before = block.error(judged)
        with torch.enable_grad():
            for _ in range(self.steps):
                at = tuned[torch.randint(len(tuned), (self.batch,), generator=rng)]
                loss = block.loss(at, rng)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        better = block.error(judged) < before
        view.walk.draft.note(str(self.name), "blocks changed" if better else "blocks kept")
        if better:
            block.store()


class _Block:
    """A block with tensors that can be tuned."""

    def __init__(self, view: BlockView, drop: float) -> None:
        self.view, self.drop = view, drop
        draft, walk = view.walk.draft, view.walk
        names = {n.name for n in view.nodes}
        self.graph: Graph = draft.graph.copy()
        self.layers = [n for n in view.nodes if ops.kind(n) == "weighted" and n.op != ops.AFFINE]
        for node in self.layers:
            weight = self.graph.params[node.args[1].name]
            channels = int(node.shape[ops.weighted(node).channel_axis])  # type: ignore[union-attr,index,arg-type]
            set_layer(self.graph, node.name, torch.zeros_like(weight), weight.new_zeros(channels))
        self.nodes = [self.graph[n.name] for n in view.nodes]
        self.start = dict(self.graph.params)
        self.tuned = {
            p: self.graph.params[p].clone().requires_grad_()
            for n in self.nodes
            if n.name in {x.name for x in self.layers}
            for p in n.params
        }
        self.graph.params.update(self.tuned)
        self.sites = {n: s for n, s in draft.sites.items() if n in names and s.neuron}
        self.grown = {
            n: torch.zeros_like(s.scale).requires_grad_()
            for n, s in self.sites.items()
            if "levels" not in draft.graph[n].kwargs
        }
        held = walk.held()
        self.given = walk.names
        self.known = [torch.cat(values) for values in zip(*(k for k, _ in held), strict=True)]
        self.own = [torch.cat(values) for values in zip(*(o for _, o in held), strict=True)]
        self.samples = len(self.known[0])
        wanted = walk.program(draft.original, view.outputs, walk.activate)
        with torch.no_grad():
            parts = [wanted(*known) for known, _ in held]
        self.wanted = [torch.cat(values) for values in zip(*parts, strict=True)]
        self.power = [
            float(w.var()) if w.numel() > 1 and float(w.var()) else 1.0 for w in self.wanted
        ]

    def groups(self, rate: float, scale_rate: float) -> list[dict[str, Any]]:
        """Return what is tuned, each tensor with its own step size."""
        found: list[dict[str, Any]] = []
        for node in (self.graph[n.name] for n in self.layers):
            size = float(self.tuned[node.args[1].name].detach().abs().mean())
            found += [{"params": [self.tuned[p]], "lr": rate * size} for p in node.params]
        if scale_rate and self.grown:
            found.append({"params": list(self.grown.values()), "lr": scale_rate})
        return found

    def loss(self, at: Tensor, rng: torch.Generator | None) -> Tensor:
        """Return the error on some inputs, with values dropped if there is a generator."""
        env: dict[str, Any] = {}
        for name, known, own in zip(self.given, self.known, self.own, strict=True):
            env[name] = self._mixed(own[at], known[at], rng)
        for node in self.nodes:
            if node.name in env:
                continue
            if ops.kind(node) == "site":
                env[node.name] = self._site(node, env[node.inputs[0]], rng)
            else:
                env[node.name] = run_node(self.graph, node, env)
        errors = [
            (env[name] - wanted[at]).square().mean() / power
            for name, wanted, power in zip(self.view.outputs, self.wanted, self.power, strict=True)
        ]
        return torch.stack(errors).sum()

    def error(self, at: Tensor) -> float:
        """Return the error on some inputs."""
        with torch.no_grad():
            parts = torch.split(at, 32)
            return sum(float(self.loss(part, None)) * len(part) for part in parts)

    def _mixed(self, sends: Tensor, value: Tensor, rng: torch.Generator | None) -> Tensor:
        if rng is None or not self.drop or not sends.is_floating_point():
            return sends
        drawn = torch.empty(sends.shape, dtype=torch.uint8).random_(256, generator=rng)
        return torch.where(drawn >= round(256 * self.drop), sends, value)

    def _site(self, node: Node, y: Tensor, rng: torch.Generator | None) -> Tensor:
        site = self.sites.get(node.name)
        if site is None:
            return y
        unit = self._unit(site, y.ndim)
        top = float(site.code.max_value)
        value = site.function(y)
        v = (value / unit).clamp(-top if site.signed else 0.0, top)
        with torch.no_grad():
            n = sent(site, y, unit) / unit
        sends = unit * (v + (n - v).detach())
        return sends if node.name in self.view.outputs else self._mixed(sends, value, rng)

    def _unit(self, site: Site, ndim: int) -> Tensor:
        unit = unit_of(site, ndim)
        grown = self.grown.get(site.name)
        return unit if grown is None else unit * site.broadcast(grown.exp(), ndim)

    def store(self) -> None:
        """Give the draft the tuned weights and scales; no scale exceeds what is let through."""
        draft = self.view.walk.draft
        for node in (self.graph[n.name] for n in self.layers):
            spec = ops.weighted(node)
            weight, bias = (node.args[i].name for i in (1, spec.bias))  # type: ignore[union-attr]
            change = [(self.tuned[p] - self.start[p]).detach() for p in (weight, bias)]
            set_layer(draft.graph, node.name, change[0], change[1])
        for name, grown in self.grown.items():
            site, cap = self.sites[name], draft.graph[name].kwargs.get("cap")
            scale = site.scale * grown.detach().exp()
            scale = scale if cap is None else scale.clamp(max=float(cap))
            draft.sites[name] = dataclasses.replace(site, scale=scale)
