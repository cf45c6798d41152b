# SPDX-License-Identifier: Apache-2.0
"""One step of a synchronous network in integers, as the same list of operations.

Its trains have one symbol, the step at hand, so totals are what one step gives; what is different
is what populations do, which keep a potential from step to step.
"""

from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.ir import Node
from spikewright.integers import ranges
from spikewright.integers.errors import NoForm
from spikewright.integers.lowering import Lowering
from spikewright.integers.program import IntegerProgram, Operation
from spikewright.network import Site, SpikingNetwork
from spikewright.network.schedules import Synchronous

__all__ = ["lower_step"]

_NEURONS = ("if-soft", "if-hard", "burst", "consistent-if")


def lower_step(network: SpikingNetwork) -> IntegerProgram:
    """Write one step of a synchronous or wake-sleep network in integers as operations.

    Args:
        network: What ``to_integer()`` returned.

    Returns:
        A program of one step. Its ``fire`` operations say which ``neuron`` they step, with Γ as
        ``gamma``, and between which numbers its potential lies in ``ticks`` steps.

    Raises:
        ConfigError: If the network has another schedule or is not in integers.
        UnsupportedModuleError: If it holds what a program cannot say; all is listed.
    """
    return _Step(network).run()


class _Step(Lowering):
    """Says of every operator what it becomes in a step."""

    def weights(self) -> tuple[int, int]:
        if not isinstance(self.network.schedule, Synchronous):
            raise ConfigError(
                "integer step: expected a synchronous or wake-sleep network, got "
                f"{self.network.schedule.name}."
            )
        if not self.network.integer:
            raise ConfigError(
                "integer step: expected a network in integers, got one in floating point. "
                "Round it first: snn.to_integer(), or convert --integer."
            )
        return 1, 1

    def span(self, site: Site) -> ranges.Range:
        both = site.signed or site.neuron == "consistent-if"
        return (-site.gamma if both else 0, site.gamma)

    def _pool(self, node: Node) -> None:
        if self.network.gate != "lateral-inhibition":
            raise NoForm(f"by the gate {self.network.gate}; convert with pool=lateral-inhibition")
        super()._pool(node)

    def _site(self, node: Node) -> None:
        if node.op == ops.INPUT_SITE:
            raise NoForm('; convert with input="analog"')
        super()._site(node)

    def fire(
        self, node: Node, site: Site, x: Operation, threshold: Tensor, pre_bias: Tensor
    ) -> None:
        """Append a population; its potential moves by what enters and by what spikes pay."""
        if site.neuron not in _NEURONS or not site.function.by_firing:
            raise NoForm(f"of {site.neuron} neurons with the function {site.function.name}")
        each = max(-x.low, x.high) + int(threshold.max()) * site.gamma
        most = int(pre_bias.abs().max()) + each * self.network.steps
        settings = {
            "signed": site.signed,
            "neuron": site.neuron,
            "gamma": site.gamma,
            "potential": (-most, most),
            "register": (-most, most),
        }
        self.emit(
            node, "fire", (x,), self.span(site),
            settings=settings, threshold=threshold, pre_bias=pre_bias,
        )  # fmt: skip
