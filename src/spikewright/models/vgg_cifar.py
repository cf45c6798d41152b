# SPDX-License-Identifier: Apache-2.0
"""VGG for 32 x 32 images: the plain chain with max pools that most conversion papers report.

K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
ICLR 2015, table 1, columns A (VGG-11) and D (VGG-16). That table is for 224 x 224 pixels. In the
form usual for CIFAR every convolution is followed by a batch norm (and so has no bias), and five
pools leave one pixel of 32 x 32 to the classifier, for which two forms are in use:

- VGG-11 here has one linear layer in place of the last three.
- VGG-16 here has all three, 512 - 4096 - 4096 - classes with ReLU between them, as in the public
  code of QCFS (Bu et al., ICLR 2022), which has a bias beside every batch norm and the dropout
  between, too. Others differ: Rathi et al. (ICLR 2020) and the papers that compare with them have
  average pools and no batch norm, and stop at 2 x 2 pixels.
"""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from spikewright.errors import ConfigError

__all__ = ["CifarVGG", "vgg11_cifar", "vgg11_half_cifar", "vgg16_cifar"]

_COLUMN_A = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # a max pool ends each
_COLUMN_D = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)


class CifarVGG(nn.Module):
    """VGG with batch norm for images of 3 channels and 32 x 32 pixels.

    Args:
        classes: Number of outputs.
        width: Factor on the number of channels of every convolution, rounded to whole channels.
        stages: Channels of the convolutions between two max pools, for every pool; column A of the
            paper by default.
        hidden: Widths of the linear layers, each with a ReLU, before the last one.

    Raises:
        ConfigError: If ``width`` is not finite, or below 1/64, where one channel is left at first.
    """

    def __init__(
        self,
        classes: int = 10,
        width: float = 1.0,
        stages: Sequence[Sequence[int]] = _COLUMN_A,
        hidden: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if not 1 / 64 <= width < math.inf:
            raise ConfigError(
                f"CifarVGG.width: expected at least 1/64 and finite, got {width}. "
                "Give the factor on the number of channels, 1.0 for the paper's."
            )
        layers: list[nn.Module] = []
        channels = 3
        for stage in stages:
            for wanted in stage:
                before, channels = channels, round(width * wanted)
                layers += [
                    nn.Conv2d(before, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        widths = [channels, *hidden]
        between: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            between += [nn.Linear(before, after), nn.ReLU()]
        last = nn.Linear(widths[-1], classes)
        self.classifier = nn.Sequential(*between, last) if between else last

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


def vgg16_cifar(classes: int = 10) -> CifarVGG:
    """Build VGG-16 with three linear layers and random weights.

    Example:
        >>> sum(p.numel() for p in vgg16_cifar().parameters())
        33642442
    """
    return CifarVGG(classes, stages=_COLUMN_D, hidden=(4096, 4096))
