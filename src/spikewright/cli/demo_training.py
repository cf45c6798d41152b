# SPDX-License-Identifier: Apache-2.0
"""Trains the demo's small network in seconds, the same way in every run."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright.models import digits_cnn
from spikewright.progress import track

__all__ = ["Trained", "as_tensors", "train"]

SEED = 1
BATCH = 64
PEAK_RATE = 0.01


@dataclass(frozen=True)
class Trained:
    """A trained network and what it took.

    Attributes:
        model: The network, in evaluation mode.
        epochs: Passes over the training data.
        seconds: Wall time.
    """

    model: nn.Module
    epochs: int
    seconds: float


def as_tensors(items: Dataset[tuple[Tensor, int]], place: torch.device) -> tuple[Tensor, Tensor]:
    """Return all inputs "sample *feature" and all classes "sample" of a small set, on a device."""
    pairs = [items[i] for i in range(len(items))]  # type: ignore[arg-type]  # map-style
    x, y = torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])
    return x.to(place), y.to(place)


def train(x: Tensor, y: Tensor, epochs: int, *, progress: bool) -> Trained:
    """Train the digits network with Adam and a one-cycle learning rate.

    Args:
        x: Inputs, "sample 1 8 8".
        y: Digits, "sample".
        epochs: Passes over the data.
        progress: Whether to show a progress bar.

    Returns:
        The network. The same data and epochs give the same weights on the same machine; the
        caller's random numbers are left alone.
    """
    start = time.perf_counter()
    steps = [(epoch, i) for epoch in range(epochs) for i in range(0, len(x), BATCH)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = digits_cnn().to(x.device)
        optimiser = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=PEAK_RATE, total_steps=len(steps)
        )
        order = torch.empty(0, dtype=torch.long)
        for _, first in track(steps, "training", show=progress):
            if first == 0:
                order = torch.randperm(len(x))
            chosen = order[first : first + BATCH]
            loss = F.cross_entropy(model(_moved(x[chosen])), y[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return Trained(model.eval(), epochs, time.perf_counter() - start)


def _moved(x: Tensor) -> Tensor:
    """Move a batch of scans by up to a pixel, so that a small data set goes further."""
    down, right = (int(i) for i in torch.randint(0, 3, (2,)))
    return F.pad(x, (1, 1, 1, 1))[..., down : down + x.shape[-2], right : right + x.shape[-1]]
