# SPDX-License-Identifier: Apache-2.0
"""Small networks to train, each with something that trips naive copies."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.models import resnet20


class Residual(nn.Module):
    """Batch norms, a shortcut, a functional and a module ReLU, a max pool, a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6, momentum=0.3)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act(self.bn1(self.conv1(x))))
        x = F.relu(x + self.bn2(self.conv2(x)))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


class Bottleneck(nn.Module):
    """Depthwise convolution and a linear bottleneck with a shortcut, as in MobileNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.expand = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.project = nn.Sequential(nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.last = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.project(self.depthwise(self.expand(x)))
        scores: Tensor = self.head(self.last(x).mean((2, 3)))
        return scores


class Tied(nn.Module):
    """One layer used twice under two names, and a learned factor and shift."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = self.first
        self.factor = nn.Parameter(torch.tensor([0.5, 1.0, 1.5, 2.0]))
        self.divisor = nn.Parameter(torch.tensor(2.0))
        self.shift = nn.Parameter(torch.tensor([0.1, 0.2, 0.3, 0.4]))
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x) * self.factor + self.shift)
        x = torch.relu((self.shift - self.again(x)) / self.divisor)
        scores: Tensor = self.out(x)
        return scores


def spread_out(model: nn.Module) -> nn.Module:
    """Give batch norms statistics and gains unlike their defaults; fixed seed."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            size = module.num_features
            module.running_mean.copy_(0.3 * torch.randn(size, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(size, generator=generator))
            with torch.no_grad():
                module.weight.copy_(0.5 + torch.rand(size, generator=generator))
                module.bias.copy_(0.3 * torch.randn(size, generator=generator))
    return model


def built(name: str) -> tuple[nn.Module, Tensor]:
    """Return a network in evaluation mode and a batch for it."""
    torch.manual_seed(3)
    if name == "tied":
        return Tied().eval(), torch.randn(7, 4)
    if name == "resnet20":
        return spread_out(resnet20()).eval(), torch.randn(3, 3, 16, 16)
    kind = Residual if name == "residual" else Bottleneck
    return spread_out(kind()).eval(), torch.randn(5, 2, 8, 8)


NAMES = ("residual", "bottleneck", "tied", "resnet20")
