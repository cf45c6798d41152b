# SPDX-License-Identifier: Apache-2.0
"""Networks to measure time on, where weights do not matter."""

import torch
from torch import nn

from spikewright.models.resolve import resolve

__all__ = ["untrained"]


def untrained(name: str) -> nn.Module:
    """Return a network with random weights and plausible batch-norm statistics."""
    torch.manual_seed(0)
    model = resolve(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()
