# SPDX-License-Identifier: Apache-2.0
"""What a run does with a network, beside moving its weights: read batches, judge, measure."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright.training import engine, processes
from spikewright.training.config import TrainConfig
from spikewright.training.images import Source
from spikewright.training.network import TrainableNetwork

__all__ = ["Objective", "Verdict"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What there is to say of a batch.

    Attributes:
        loss: To be minimised, summed over the inputs.
        good: The objective's figure as a share of 1, summed over the inputs.
    """

    loss: Tensor
    good: float


class Objective:
    """What a network is trained for; a subclass is one file.

    A run stays the same whatever is learned: it may stop anywhere and goes on bit for bit, if
    everything random in here is drawn from torch's global random numbers.
    """

    name: ClassVar[str]
    figure: ClassVar[str]
    """What is shown and compared in percent, the larger the better."""

    def source(self, dataset: Dataset[Any], where: str) -> Source:
        """Open a data set; ``where`` is what it is, for messages."""
        raise NotImplementedError

    def check(self, network: TrainableNetwork) -> None:
        """Refuse, before anything is done, a network that this cannot be learned with."""

    def start(self, network: TrainableNetwork) -> None:
        """Put a network into the mode that it is trained in."""
        network.train()

    def draw(self, items: Source, chosen: Tensor, config: TrainConfig) -> tuple[Tensor, Any]:
        """Return inputs and targets to train on, changed at random as the settings say."""
        return items.batch(chosen, config.augment)

    def judge(self, network: nn.Module, x: Tensor, targets: Any, config: TrainConfig) -> Verdict:  # noqa: ANN401
        """Run a batch and compare what comes out with what should.

        Args:
            network: In whatever mode it is.
            x: Inputs, "batch *feature", on the network's device and of its type.
            targets: What the source gave with them, where it made it.
            config: Settings of the run.
        """
        raise NotImplementedError

    def measure(self, network: TrainableNetwork, items: Source, config: TrainConfig) -> float:
        """Return the figure in percent, in float32 over inputs that are not augmented.

        The network is left in evaluation mode. Several processes share the inputs, and all get the
        same result.
        """
        network.eval()
        config = dataclasses.replace(config, precision="float32")
        device = next(network.parameters()).device
        good = torch.zeros(1, dtype=torch.float64)
        with torch.no_grad():
            for chosen in torch.split(torch.arange(len(items)), config.batch_size):
                part = processes.share(chosen)
                if len(part):
                    x, targets = items.batch(part, "none")
                    x = x.to(device, engine.dtype(network))
                    good += self.judge(network, x, targets, config).good
        return 100.0 * float(processes.total(good)) / len(items)

    def to_dict(self) -> dict[str, Any]:
        """Return name and settings as JSON-able data; runs go on only with the same ones."""
        return {"name": self.name}
