# SPDX-License-Identifier: Apache-2.0
"""Trains the VGG-11 of half width that benchmarks convert: no public weights come with the data.

Run ``python benchmarks/train_vgg.py`` with SPIKEWRIGHT_DATA set; it takes about 6 minutes on two
cores. Only the 25,000 training images are trained on; the 500 test images are seen once, at the
end. The same seed gives the same weights on the same machine only, because sums are rounded in the
order of its instructions.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from _data import CIFAR_NORMALISED, MEAN, STD, data_root, top1

from spikewright.data import Preprocess, from_npz, loader
from spikewright.models import vgg11_half_cifar

NAME = "vgg11-half-cifar"
WEIGHTS = Path(__file__).parent / ".cache" / f"{NAME}.safetensors"
EPOCHS = 20
BATCH = 125
PEAK_RATE = 0.1
WARM_UP = 0.25  # part of all steps in which the learning rate rises
PADDING = 4  # pixels on each side, of which a random crop leaves as many as it takes away
SIDE = 32  # pixels
THREADS = 2
SEED = 0


def main() -> int:
    """Train anew, whatever is there already, and print the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--images", type=int, help="train on the first so many only, for a trial")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file to write")
    options = parser.parse_args()
    try:
        train(data_root(), options.out, options.epochs, options.images)
    except KeyboardInterrupt:
        print("interrupted: nothing written")
        return 130
    return 0


def weights(root: Path | None = None) -> Path:
    """Return the file of trained weights, after training them if it is missing.

    Its metadata holds the test accuracy in percent under ``top1``.

    Args:
        root: The folder of real data; default: the one SPIKEWRIGHT_DATA names.
    """
    if not WEIGHTS.is_file():
        train(root or data_root(), WEIGHTS)
    return WEIGHTS


def train(root: Path, out: Path, epochs: int = EPOCHS, images: int | None = None) -> float:
    """Train, write the weights in float32 and return the top-1 on the test images in percent.

    SGD with Nesterov momentum 0.9, weight decay 5e-4 and one cycle of the learning rate.
    Multiplications are in bfloat16 under autocast, which takes 0.6 of the time of float32 on
    processors that have it; weights and updates are float32.

    Args:
        root: The folder of real data.
        out: The file to write; it appears whole or not at all.
        epochs: Passes over the images.
        images: How many training images to use; default: all.
    """
    with _threads(THREADS):
        torch.manual_seed(SEED)
        pixels, labels = _training_images(root, images)
        model = vgg11_half_cifar().to(memory_format=torch.channels_last)
        _fit(model, pixels, labels, epochs)
        test = from_npz(root / "cifar10_test_500.npz", preprocess=CIFAR_NORMALISED)
        accuracy = top1(model.eval(), loader(test, 100))
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.{os.getpid()}.part")
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    facts = {"top1": f"{accuracy:.2f}", "epochs": str(epochs), "seed": str(SEED)}
    try:
        save_file(state, unfinished, metadata=facts)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"test top-1 {accuracy:.2f} % of {len(test)} images; wrote {out}", flush=True)
    return accuracy


def augmented(padded: Tensor, generator: torch.Generator) -> Tensor:
    """Cut a random window out of every padded image and mirror every other one, at random.

    Args:
        padded: Images "batch height width 3", with PADDING pixels on each side.
        generator: Decides on the windows.

    Returns:
        Images "batch height width 3" without the padding.
    """
    count = len(padded)
    top, left = torch.randint(2 * PADDING + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    ahead = torch.arange(SIDE)
    rows = top + ahead
    columns = left + torch.where(mirrored, ahead.flip(0), ahead)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalised(pixels: Tensor) -> Tensor:
    """Turn uint8 "batch height width 3" into float32 "batch 3 height width", channels last."""
    scale, shift = 1 / (255 * torch.tensor(STD)), torch.tensor(MEAN) / torch.tensor(STD)
    return (pixels * scale - shift).permute(0, 3, 1, 2)


def _fit(model: nn.Module, pixels: Tensor, labels: Tensor, epochs: int) -> None:
    """Train in place; print a line per epoch."""
    generator = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.SGD(
        model.parameters(), PEAK_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    steps = epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, steps, pct_start=WARM_UP, cycle_momentum=False
    )
    for epoch in range(1, epochs + 1):
        start, loss_sum, right = time.perf_counter(), 0.0, 0
        for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):
            x, y = normalised(augmented(pixels[chosen], generator)), labels[chosen]
            with torch.autocast("cpu", torch.bfloat16):
                scores = model(x).float()
            loss = F.cross_entropy(scores, y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(y)
            right += int((scores.argmax(dim=1) == y).sum())
        print(
            f"epoch {epoch}/{epochs}: loss {loss_sum / len(labels):.3f}, "
            f"training top-1 {100 * right / len(labels):.2f} %, "
            f"{time.perf_counter() - start:.1f} s",
            flush=True,
        )


def _training_images(root: Path, count: int | None) -> tuple[Tensor, Tensor]:
    """Return uint8 "image height width 3", padded with the mean colour, and the labels."""
    raw = from_npz(root / "cifar10_train_25000.npz", preprocess=Preprocess(scale=1.0))
    batches = list(loader(raw, 1000, limit=count))
    images = torch.cat([x.to(torch.uint8) for x, _ in batches]).permute(0, 2, 3, 1)
    side = SIDE + 2 * PADDING
    padded = (255 * torch.tensor(MEAN)).round().to(torch.uint8).repeat(len(images), side, side, 1)
    padded[:, PADDING:-PADDING, PADDING:-PADDING] = images
    return padded, torch.cat([y for _, y in batches])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Use so many threads, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    sys.exit(main())
