# SPDX-License-Identifier: Apache-2.0
"""Trains the quantised networks that the CASC benchmarks convert, from full-precision weights.

Run ``python benchmarks/train_casc.py [NAME …]`` with SPIKEWRIGHT_DATA set. Only training images are
trained on; no test image decides on anything. An interrupted run goes on where it stopped, and a
finished one is read from ``benchmarks/.cache/casc``.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from _data import CIFAR_NORMALISED, Case, case, data_root

from spikewright.data import from_npz
from spikewright.training import TrainConfig, TrainingResult, train

CACHE = Path(__file__).parent / ".cache" / "casc"


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    Args:
        network: Name of the full-precision case it starts from.
        activation: What takes the place of its activations.
        levels: Q of quantised activations; T of spiking ones.
        epochs: Passes over the 25,000 training images.
        lr: Highest learning rate.
    """

    network: str
    activation: str
    levels: int
    epochs: int
    lr: float = 0.01


RECIPES = {
    "resnet20-q4": Recipe("resnet20", "casc", 4, 4),
    "resnet20-q8": Recipe("resnet20", "casc", 8, 4),
    "resnet20-q16": Recipe("resnet20", "casc", 16, 3),
    "vgg11-q8": Recipe("vgg11", "casc", 8, 2),
    "resnet20-stbp4": Recipe("resnet20", "stbp", 4, 2, lr=0.05),
}


def config(recipe: Recipe) -> TrainConfig:
    """Return the settings: short fine-tuning, multiplications in bfloat16."""
    return TrainConfig(
        epochs=recipe.epochs,
        batch_size=125,
        lr=recipe.lr,
        weight_decay=1e-4,
        warmup=0.3,
        augment="crop-flip",
        precision="bfloat16",
    )


def trained(name: str, progress: bool = True) -> tuple[Case, TrainingResult]:
    """Return a recipe's case and its trained network, training it if that is not done."""
    recipe = RECIPES[name]
    found = case(recipe.network)
    images = from_npz(data_root() / "cifar10_train_25000.npz", preprocess=CIFAR_NORMALISED)
    result = train(
        found.model,
        images,
        activation=recipe.activation,
        levels=recipe.levels,
        calibration=list(found.calibration(512)),
        config=config(recipe),
        folder=CACHE / name,
        progress=progress,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    return found, result


def top1(model: nn.Module, found: Case) -> float:
    """Return the accuracy on the test images in percent."""
    right = total = 0
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        for x, y in found.test():
            right += int((model(x.to(dtype)).argmax(1) == y).sum())
            total += len(y)
    return 100 * right / total


def main() -> int:
    """Train what is asked for and print histories and test accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(2)
    for name in options.names:
        found, result = trained(name)
        print(f"{name}\n{result.table()}")
        print(f"test top-1 {top1(result.model, found):.2f} %", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
