"""Rate coding with neurons that rest, and with the room that they need."""

from dataclasses import dataclass, field

from torch import Tensor

from spikewright import Percentile
from spikewright.calibration import ScaleRule
from spikewright.errors import ConfigError
from spikewright.graph import Graph, Node
from spikewright.methods import Prepared
from spikewright.methods.synchronous import ScaledConfig


@dataclass(frozen=True, kw_only=True)
class Resting(ScaledConfig):
    """Settings of the method.

    Attributes:
        room: λ is the scale rule's times this, at least 1. A neuron that rests
            sends at most every other step, so its values need room = 2.
    """

    name = "resting"
    anytime = True  # the network does not depend on T

    scale: ScaleRule = field(default_factory=lambda: Percentile(99.9))
    room: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.room >= 1.0:
            raise ConfigError(
                f"room: expected a factor of at least 1, got {self.room}."
            )

    def neuron(self) -> str:
        return "resting-if"

    def choose_scale(self, graph: Graph, node: Node, prepared: Prepared) -> Tensor:
        return super().choose_scale(graph, node, prepared) * self.room
