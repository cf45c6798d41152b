# SPDX-License-Identifier: Apache-2.0
"""A small MobileNetV2 for 32 x 32 images: depthwise layers, ReLU6 and linear bottlenecks, cheaply.

M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, section 3.
The blocks are the paper's; the table of stages is ours, chosen so that a processor trains it:
0.28 million parameters and 10.5 million multiply-adds an image.
"""

from torch import Tensor, nn

__all__ = ["CifarMobileNetV2", "mobilenetv2_cifar"]

_STAGES = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 40, 3, 2), (4, 96, 3, 2))
"""The paper's t, c, n, s: expansion, channels, blocks, stride of the first."""

_STEM, _HEAD = 16, 512


class CifarMobileNetV2(nn.Module):
    """MobileNetV2 for images of 3 channels and about 32 x 32 pixels.

    Args:
        classes: Number of outputs.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, _STEM, 3)]
        channels = _STEM
        for expansion, wanted, blocks, stride in _STAGES:
            for block in range(blocks):
                before, channels = channels, wanted
                layers.append(
                    _InvertedResidual(before, channels, expansion, 1 if block else stride)
                )
        layers.append(_convolution(channels, _HEAD, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(_HEAD, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images "batch 3 height width" to scores "batch class"."""
        scores: Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return scores


class _InvertedResidual(nn.Module):
    """Expand by 1 x 1, filter each channel by 3 x 3, project by 1 x 1 without activation.

    A shortcut goes around where the shape stays; nothing is rectified after the sum.
    """

    def __init__(self, in_channels: int, channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        expand = () if expansion == 1 else (_convolution(in_channels, inner, 1),)
        self.layers = nn.Sequential(
            *expand,
            _convolution(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.keeps = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.keeps else y


def _convolution(
    in_channels: int, channels: int, size: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution with batch norm and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels, channels, size, stride, padding=size // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    )


def mobilenetv2_cifar(classes: int = 10) -> CifarMobileNetV2:
    """Build the small MobileNetV2 with random weights.

    Example:
        >>> sum(p.numel() for p in mobilenetv2_cifar().parameters())
        284826
    """
    return CifarMobileNetV2(classes)
