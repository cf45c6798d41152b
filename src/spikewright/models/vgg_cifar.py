# SPDX-License-Identifier: Apache-2.0
"""VGG-11 for 32 x 32 images: the plain chain with max pools that most conversion papers report.

K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
ICLR 2015, table 1, column A. That table is for 224 x 224 pixels; in the form usual for CIFAR-10
every convolution is followed by a batch norm (and so has no bias), and one linear layer stands in
for the last three, because five pools leave one pixel of 32 x 32.
"""

import math

from torch import Tensor, nn

from spikewright.errors import ConfigError

__all__ = ["CifarVGG", "vgg11_cifar", "vgg11_half_cifar"]

_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # a max pool ends each


class CifarVGG(nn.Module):
    """VGG-11 with batch norm for images of 3 channels and 32 x 32 pixels.

    Args:
        classes: Number of outputs.
        width: Factor on the number of channels of every convolution, rounded to whole channels.

    Raises:
        ConfigError: If ``width`` is not finite, or below 1/64, where one channel is left at first.
    """

    def __init__(self, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        if not 1 / 64 <= width < math.inf:
            raise ConfigError(
                f"CifarVGG.width: expected at least 1/64 and finite, got {width}. "
                "Give the factor on the number of channels, 1.0 for the paper's."
            )
        layers: list[nn.Module] = []
        channels = 3
        for stage in _STAGES:
            for wanted in stage:
                before, channels = channels, round(width * wanted)
                layers += [
                    nn.Conv2d(before, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images "batch 3 32 32" to scores "batch class"."""
        scores: Tensor = self.classifier(self.features(x).flatten(1))
        return scores


def vgg11_cifar(classes: int = 10) -> CifarVGG:
    """Build VGG-11 with random weights.

    Example:
        >>> sum(p.numel() for p in vgg11_cifar().parameters())
        9228362
    """
    return CifarVGG(classes)


def vgg11_half_cifar(classes: int = 10) -> CifarVGG:
    """Build VGG-11 with half the channels everywhere and random weights.

    Example:
        >>> sum(p.numel() for p in vgg11_half_cifar().parameters())
        2310186
    """
    return CifarVGG(classes, width=0.5)
