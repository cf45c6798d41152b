# SPDX-License-Identifier: Apache-2.0
"""The real networks and images that benchmarks and data-marked tests run on.

They lie in the folder that the environment variable SPIKEWRIGHT_DATA names; its README says what
each file is. Only the weights of ``vgg11`` do not: ``train_vgg.py`` makes them when first asked
for. Calibration images always come from training parts, test images never do.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from spikewright.data import ArraySet, ImageSet, Preprocess, from_npz, loader
from spikewright.models import (
    apply_state,
    from_graph_json,
    load_state,
    resnet20,
    resnet56,
    vgg11_half_cifar,
    vit_cifar,
    vit_mnist,
)

DATA_VARIABLE = "SPIKEWRIGHT_DATA"
Images = ImageSet | ArraySet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_NORMALISED = Preprocess(mean=MEAN, std=STD)
RAW = Preprocess(scale=1.0)
MOBILENET = Preprocess(size=224, crop=0.875, scale=1.0, mean=(127.5,), std=(127.5,))
VIT_CIFAR = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
MNIST = Preprocess(mean=(0.1307,), std=(0.3081,), channels="L")
DARKNET = Preprocess(size=224, crop=0.875)
SQUEEZENET = Preprocess(
    size=227, crop=227 / 256, channels="BGR", scale=1.0, mean=(104.0, 117.0, 123.0)
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A trained network with the images to calibrate it and to test it.

    Args:
        name: Of the network.
        model: In eval mode, float32.
        accuracy: Top-1 on all test images in percent, as the data folder's README states it, or for
            weights made here as their training measured it.
        calibration_set: Training images.
        is_sorted: Whether the calibration images are sorted by class.
        test_set: Test images.
        batch_size: Images per batch that suits the network's size.
    """

    name: str
    model: nn.Module
    accuracy: float
    calibration_set: Images
    is_sorted: bool
    test_set: Images
    batch_size: int

    def calibration(self, count: int = 512) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batch ``count`` calibration images: the first, or spread evenly over sorted classes."""
        images = len(self.calibration_set)
        count = min(count, images)
        spread = [i * images // count for i in range(count)] if self.is_sorted else range(count)
        return loader(Subset(self.calibration_set, spread), self.batch_size)

    def test(self, limit: int | None = None) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batch the test images, all or the first ``limit``."""
        return loader(self.test_set, self.batch_size, limit=limit)


def data_root() -> Path:
    """Return the folder of real data.

    Raises:
        SystemExit: If SPIKEWRIGHT_DATA does not name a folder.
    """
    value = os.environ.get(DATA_VARIABLE, "")
    if not value or not Path(value).is_dir():
        raise SystemExit(
            f"{DATA_VARIABLE}: expected the folder of real data, got {value!r}. "
            "Set it to that folder."
        )
    return Path(value)


def names() -> tuple[str, ...]:
    """Return the names of the networks whose weights lie in the folder of real data."""
    return tuple(_CASES)


def case(name: str, root: Path | None = None) -> Case:
    """Load a network and open its images.

    Args:
        name: One of ``names()``; ``vit_cifar``, ``vit_mnist`` or ``darknet_tiny``, which hold more
            than ReLU; or ``vgg11``, which is trained for minutes when first asked for.
        root: The folder of real data; default: the one SPIKEWRIGHT_DATA names.
    """
    return (_CASES | _BEYOND_RELU | _TRAINED_HERE)[name](name, root or data_root())


def top1(model: nn.Module, batches: DataLoader[tuple[Tensor, Tensor]]) -> float:
    """Return the accuracy in percent of what is in ``batches``."""
    right = total = 0
    with torch.inference_mode():
        for images, labels in batches:
            right += int((model(images).argmax(dim=1) == labels).sum())
            total += len(labels)
    return 100 * right / total


def _cifar(
    accuracy: float, preprocess: Preprocess, build: Callable[[Path], nn.Module]
) -> Callable[[str, Path], Case]:
    def load(name: str, root: Path) -> Case:
        calibration = from_npz(root / "cifar10_train_25000.npz", preprocess=preprocess)
        test = from_npz(root / "cifar10_test_500.npz", preprocess=preprocess)
        return Case(name, build(root), accuracy, calibration, False, test, batch_size=100)

    return load


def _imagenet(accuracy: float, preprocess: Preprocess) -> Callable[[str, Path], Case]:
    def load(name: str, root: Path) -> Case:
        calibration = from_npz(root / "imagenet_sample_1000.npz", preprocess=preprocess)
        test = from_npz(root / "imagenet_like_500.npz", preprocess=preprocess)
        model = from_graph_json(root / f"imagenet_{name}.graph.json")
        return Case(name, model, accuracy, calibration, True, test, batch_size=25)

    return load


def _trained(model: nn.Module, path: Path) -> nn.Module:
    apply_state(model, load_state(path), path.name)
    return model.eval()


def _mnist(name: str, root: Path) -> Case:
    calibration, test = (
        from_npz(root / "mnist.npz", part=part, preprocess=MNIST) for part in ("train", "test")
    )
    model = _trained(vit_mnist(), root / "mnist_vit_prenorm_gelu.safetensors")
    return Case(name, model, 97.60, calibration, False, test, batch_size=100)


def _vgg11(name: str, root: Path) -> Case:
    sys.path.insert(0, str(Path(__file__).parent))
    from train_vgg import weights  # only here, because it imports this file

    path = weights(root)
    with safe_open(path, "pt") as file:
        accuracy = float(file.metadata()["top1"])
    return _cifar(accuracy, CIFAR_NORMALISED, lambda _: _trained(vgg11_half_cifar(), path))(
        name, root
    )


_CASES: Mapping[str, Callable[[str, Path], Case]] = MappingProxyType(
    {
        "resnet20": _cifar(
            91.40,
            CIFAR_NORMALISED,
            lambda root: _trained(resnet20(), root / "cifar10_resnet20.safetensors"),
        ),
        "resnet56": _cifar(
            92.40,
            CIFAR_NORMALISED,
            lambda root: _trained(resnet56(), root / "cifar10_resnet56.safetensors"),
        ),
        "resnet8": _cifar(
            88.80, RAW, lambda root: from_graph_json(root / "cifar10_resnet8.graph.json")
        ),
        "mobilenetv2": _imagenet(80.80, MOBILENET),
        "squeezenet": _imagenet(49.60, SQUEEZENET),
    }
)
_BEYOND_RELU: Mapping[str, Callable[[str, Path], Case]] = MappingProxyType(
    {
        "vit_cifar": _cifar(
            71.40,
            VIT_CIFAR,
            lambda root: _trained(vit_cifar(), root / "cifar10_vit_postnorm_relu.safetensors"),
        ),
        "vit_mnist": _mnist,
        "darknet_tiny": _imagenet(58.80, DARKNET),
    }
)
_TRAINED_HERE: Mapping[str, Callable[[str, Path], Case]] = MappingProxyType({"vgg11": _vgg11})
