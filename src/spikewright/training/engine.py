# SPDX-License-Identifier: Apache-2.0
"""What a step needs around the network: layout, precision, random numbers, optimizer, accuracy."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spikewright.errors import ShapeError
from spikewright.training import processes
from spikewright.training.config import Precision, TrainConfig
from spikewright.training.images import Source
from spikewright.training.network import TrainableNetwork

__all__ = ["accuracy", "check_classes", "dtype", "lay_out", "optimizer", "scores", "seeded"]


def scores(network: nn.Module, x: Tensor, precision: Precision = "float32") -> Tensor:
    """Run a classifier and return its scores, "batch class", in float32 or float64.

    Images go in channels last, because convolutions are faster so.

    Args:
        network: In whatever mode it is.
        x: Inputs, "batch *feature".
        precision: ``"bfloat16"`` multiplies in bfloat16.

    Raises:
        ShapeError: If the output is something else than scores.
    """
    memory = torch.channels_last if x.ndim == 4 else torch.contiguous_format
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        output = network(x.contiguous(memory_format=memory))
    found: Tensor = output[0] if isinstance(output, tuple) else output
    if found.ndim != 2 or len(found) != len(x):
        raise ShapeError(
            f"model: expected scores (batch, class), got shape {tuple(found.shape)}. "
            "Train a classifier."
        )
    return found if found.dtype == torch.float64 else found.float()


def check_classes(found: Tensor, y: Tensor) -> None:
    """Refuse classes that the model has no score for.

    Raises:
        ShapeError: Naming both ranges.
    """
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < found.shape[1]:
        raise ShapeError(
            f"dataset: expected classes 0 to {found.shape[1] - 1}, as many as the model has "
            f"scores, got {int(y.min())} to {int(y.max())}. Give the model as many outputs."
        )


def accuracy(network: TrainableNetwork, items: Source, batch_size: int) -> float:
    """Return the top-1 in percent; the network is left in evaluation mode.

    Several processes share the images, and all get the same result.
    """
    network.eval()
    device = next(network.parameters()).device
    right = torch.zeros(1, dtype=torch.float64)
    with torch.no_grad():
        for chosen in torch.split(torch.arange(len(items)), batch_size):
            part = processes.share(chosen)
            if len(part):
                x, y = items.batch(part, "none")
                found = scores(network, x.to(device, dtype(network)))
                right += int((found.argmax(1).cpu() == y).sum())
    return 100.0 * float(processes.total(right)) / len(items)


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
