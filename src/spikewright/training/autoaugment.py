# SPDX-License-Identifier: Apache-2.0
"""AutoAugment's CIFAR-10 policy on whole batches: images with the same operation go together.

torchvision's own transform takes image by image, which costs more than a training step.
"""

import importlib
import math
from types import ModuleType

import torch
from torch import Tensor

from spikewright._vision import torchvision
from spikewright.errors import ConfigError

__all__ = ["apply", "magnitude", "policy"]

_LEVELS = 10
# Two operations a policy: name, probability, level of its strength. E. D. Cubuk et al.,
# AutoAugment: learning augmentation strategies from data, CVPR 2019, table 7; as in torchvision.
POLICIES: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("Invert", 0.1, 0), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 0), ("Equalize", 0.9, 0)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 0), ("Equalize", 0.5, 0)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 0), ("AutoContrast", 0.4, 0)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 0)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 0), ("Equalize", 0.6, 0)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 0)),
    (("AutoContrast", 0.8, 0), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 0)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 0), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 0), ("Invert", 0.1, 0)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 0)),
)
SIGNED = frozenset(
    (
        "ShearX",
        "ShearY",
        "TranslateX",
        "TranslateY",
        "Rotate",
        "Brightness",
        "Color",
        "Contrast",
        "Sharpness",
    )
)


def policy(images: Tensor) -> Tensor:
    """Apply a random policy to every image.

    Args:
        images: "batch channel height width", uint8, 1 or 3 channels.

    Returns:
        The same shape and type.

    Raises:
        ConfigError: If torchvision is not installed, or there are other than 1 or 3 channels.
    """
    count, channels, height, width = images.shape
    if channels not in (1, 3):
        raise ConfigError(
            f"training.augment: expected images of 1 or 3 channels for AutoAugment, got {channels}."
        )
    images = images.clone(memory_format=torch.contiguous_format)
    chosen = torch.randint(len(POLICIES), (count,)).tolist()
    luck, sign = torch.rand(count, 2).tolist(), (torch.rand(count, 2) <= 0.5).tolist()
    for stage in range(2):
        groups: dict[tuple[str, float], list[int]] = {}
        for i in range(count):
            name, probability, level = POLICIES[chosen[i]][stage]
            if luck[i][stage] <= probability:
                strength = magnitude(name, level, height, width)
                turned = sign[i][stage] and name in SIGNED
                groups.setdefault((name, -strength if turned else strength), []).append(i)
        for (name, strength), members in groups.items():
            some = torch.tensor(members)
            images[some] = apply(images[some], name, strength)
    return images


def magnitude(name: str, level: int, height: int, width: int) -> float:
    """Return the strength of an operation at a level 0..9: degrees, pixels, factors or bits."""
    part = level / (_LEVELS - 1)
    if name in ("ShearX", "ShearY"):
        return 0.3 * part
    if name in ("TranslateX", "TranslateY"):
        return 150.0 / 331.0 * (width if name.endswith("X") else height) * part
    if name == "Rotate":
        return 30.0 * part
    if name in ("Brightness", "Color", "Contrast", "Sharpness"):
        return 0.9 * part
    if name == "Posterize":
        return float(round(8 - 4 * part))
    return 1.0 - part if name == "Solarize" else 0.0


def apply(images: Tensor, name: str, strength: float) -> Tensor:
    """Apply one operation of one strength to all images.

    Args:
        images: "batch channel height width", uint8.
        name: Of the operation, as torchvision names it.
        strength: See :func:`magnitude`; negative to the other side.
    """
    f = _functional()
    if name in ("ShearX", "ShearY"):
        angle = math.degrees(math.atan(strength))
        shear = [angle, 0.0] if name == "ShearX" else [0.0, angle]
        return _tensor(f.affine(images, 0.0, [0, 0], 1.0, shear, center=[0, 0]))
    if name in ("TranslateX", "TranslateY"):
        move = [int(strength), 0] if name == "TranslateX" else [0, int(strength)]
        return _tensor(f.affine(images, 0.0, move, 1.0, [0.0, 0.0]))
    if name == "Rotate":
        return _tensor(f.rotate(images, strength))
    if name == "Posterize":
        return _tensor(f.posterize(images, int(strength)))
    if name == "Solarize":
        return _tensor(f.solarize(images, 255.0 * strength))
    change = {
        "Brightness": f.adjust_brightness,
        "Color": f.adjust_saturation,
        "Contrast": f.adjust_contrast,
        "Sharpness": f.adjust_sharpness,
    }
    if name in change:
        return _tensor(change[name](images, 1.0 + strength))
    plain = {"AutoContrast": f.autocontrast, "Equalize": f.equalize, "Invert": f.invert}
    return _tensor(plain[name](images))


def _tensor(value: Tensor) -> Tensor:
    return value


def _functional() -> ModuleType:
    torchvision()
    return importlib.import_module("torchvision.transforms.v2.functional")
