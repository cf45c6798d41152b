# SPDX-License-Identifier: Apache-2.0
"""CASC (2024): consistent neurons that settle asleep on what the quantised network computes.

A network trained with a = θ·clip(floor(Q·x/θ + φ)/Q, 0, 1) is converted without loss: T = Q steps
awake, then steps without input and biases in which neurons correct themselves, until every count
is the trained level.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from spikewright.calibration import MinError, ScaleRule
from spikewright.codes import Code, WakeSleep
from spikewright.errors import ConfigError
from spikewright.graph import Graph, Node, ops
from spikewright.methods.adaptive import adaptive_thresholds
from spikewright.methods.base import Prepared, check_counts
from spikewright.methods.synchronous import ScaledConfig
from spikewright.network import Schedule
from spikewright.network import WakeSleep as WakeSleepSchedule
from spikewright.preparation import Preparation, Step, preparation_of, ways_of

__all__ = ["CASC", "settling_bound"]


@dataclass(frozen=True, kw_only=True)
class CASC(ScaledConfig):
    """Settings of wake-sleep conversion; see :class:`ScaledConfig` for the others.

    Activations that were trained quantised bring θ and φ; their Q must be T. All others are
    quantised here, with T levels of a θ chosen by ``scale``: the paper's method for networks that
    were not trained for it (this choice is ours).

    Attributes:
        T: Steps awake, equal to the levels Q that the network was trained with. 8 in the official
            scripts.
        sleep: Steps asleep (8, 24 or 56 in the scripts), or ``"settle"`` (default): as many as can
            be needed. Simulators stop when a step asleep passes without a spike either way, since
            nothing happens afterwards.
        scale: How θ is chosen where training left it open; by least error, ours.
        v_init: Initial potential there, as a share of θ; ½ (ours) turns flooring into rounding.
        adapt: Adaptive thresholds, the paper's first open question, so that fewer steps are
            enough: one θ a channel there, and layer by layer a bias that brings each channel's
            mean back to the original network's, given what arrives from the layers in front as
            they are quantised; see :func:`adaptive_thresholds`.
        samples: Calibration inputs that ``adapt`` looks at.
        prepare: What is done to weights and scales where training left levels open, without
            labels: steps or their names in order, ``"none"`` (default) or ``"auto"``, which
            chooses by the bits of T. Ours; instead of ``adapt``.

    References:
        CASC, 2024: consistent ANN-SNN conversion, official code.
    """

    name: ClassVar[str | None] = "casc"
    anytime: ClassVar[bool] = False

    T: int = 8
    sleep: int | Literal["settle"] = "settle"
    scale: ScaleRule = field(default_factory=MinError)
    v_init: float = 0.5
    adapt: bool = False
    samples: int = 128
    prepare: Preparation = "none"

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        if self.sleep != "settle":
            if isinstance(self.sleep, str):
                raise ConfigError(
                    f"sleep: expected a number of steps or 'settle', got {self.sleep!r}."
                )
            WakeSleep(T=self.T, sleep=self.sleep)
        check_counts(self, "samples")
        object.__setattr__(self, "prepare", preparation_of(self.prepare))
        if self.adapt and self.prepare != "none":
            raise ConfigError(
                "casc: expected adapt or prepare, got both. Leave adapt out: step 'bias' of "
                "prepare corrects means, too."
            )

    def ways(self) -> tuple[tuple[Step, ...], ...]:
        """Return the steps that ``prepare`` names, or those that ``"auto"`` chooses from."""
        return ways_of(self.prepare, self.T.bit_length())

    def schedule(self) -> Schedule:
        """Return the wake-sleep schedule."""
        return WakeSleepSchedule(settles=self.sleep == "settle")

    def neuron(self) -> str:
        """Return the consistent integrate-and-fire neuron."""
        return "consistent-if"

    def check_graph(self, graph: Graph) -> None:
        """Refuse a network that was trained with another number of levels.

        Raises:
            ConfigError: Naming the levels.
        """
        found = sorted({int(n.kwargs["levels"]) for n in graph if "levels" in n.kwargs})
        if len(found) > 1:
            raise ConfigError(
                f"casc: expected one number of levels Q in the whole network, got {found}. "
                "Train all activations with the same Q."
            )
        if found and found[0] != self.T:
            raise ConfigError(
                f"casc: expected T = {found[0]}, the levels Q that the network was trained with, "
                f"got T = {self.T}. Set T={found[0]}."
            )

    def choose_scale(self, graph: Graph, node: Node, prepared: Prepared) -> Tensor:
        """Return the trained θ, or one by the rule."""
        if "levels" in node.kwargs:
            return torch.tensor(float(node.kwargs["cap"]), dtype=graph.dtype)
        config = dataclasses.replace(self, per_channel=True) if self.adapt else self
        return super(CASC, config).choose_scale(graph, node, prepared).to(graph.dtype)

    def choose_scales(
        self, graph: Graph, prepared: Prepared
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return θ of every population and, with ``adapt``, what corrects the means."""
        scales, shifts = super().choose_scales(graph, prepared)
        if self.adapt:
            return scales, adaptive_thresholds(
                graph, prepared, self.samples, self.T, self.v_init, scales
            )
        return scales, shifts

    def initial(self, node: Node) -> float:
        """Return the trained offset φ, or ``v_init``."""
        return float(node.kwargs["offset"]) if "levels" in node.kwargs else self.v_init

    def choose_code(self, graph: Graph) -> Code:
        """Return the code: T steps awake and those asleep."""
        sleep = settling_bound(graph, self.T) if self.sleep == "settle" else int(self.sleep)
        return WakeSleep(T=self.T, sleep=sleep)


def settling_bound(graph: Graph, T: int) -> int:
    """Return after how many steps asleep every neuron is at rest, whatever the input.

    A total moves by one spike a step and lies in [0, T] (signed: [-T, T]), so a population is at
    rest at most T (2T) steps after those in front of it. Populations that read the constant
    input only are at rest when they fall asleep.
    """
    bound: dict[str, int] = {}
    reads_spikes: set[str] = set()
    for node in graph:
        before = max((bound[i] for i in node.inputs), default=0)
        spiking = node.op in ops.SPIKING_OPS
        if spiking or any(i in reads_spikes for i in node.inputs):
            own = 2 * T if node.op == ops.RELAY else T
            fed = any(i in reads_spikes for i in node.inputs)
            reads_spikes.add(node.name)
            before += own if spiking and fed else 0
        bound[node.name] = before
    return max(bound.values(), default=0)
