# SPDX-License-Identifier: Apache-2.0
"""What a step needs around the network: layout, precision, random numbers, optimizer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from spikewright.training.config import Precision, TrainConfig
from spikewright.training.network import TrainableNetwork

__all__ = ["dtype", "lay_out", "optimizer", "run", "seeded"]


def run(network: nn.Module, x: Tensor, precision: Precision = "float32") -> Any:  # noqa: ANN401
    """Run a network and return what it returns, numbers in float32 or float64.

    Images go in channels last, because convolutions are faster so.

    Args:
        network: In whatever mode it is.
        x: Inputs, "batch *feature".
        precision: ``"bfloat16"`` multiplies in bfloat16.
    """
    memory = torch.channels_last if x.ndim == 4 else torch.contiguous_format
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        output = network(x.contiguous(memory_format=memory))
    return tree_map_only(Tensor, lambda t: t if t.dtype == torch.float64 else t.float(), output)


def optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Make the optimizer of a run, over everything that asks for gradients."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters,
        config.lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
    )


def lay_out(network: TrainableNetwork, *, channels_last: bool) -> None:
    """Lay out the weights of convolutions in memory, channels last if the inputs are images."""
    last = channels_last and len(network.input_shape) == 4
    memory = torch.channels_last if last else torch.contiguous_format
    network.to(memory_format=memory)  # type: ignore[call-overload]


def dtype(network: nn.Module) -> torch.dtype:
    """Return the type of a network's weights."""
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw random numbers from a seed, and go on with the old ones afterwards."""
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng(devices=[device], device_type=device.type):
            torch.manual_seed(seed)
            yield
