# SPDX-License-Identifier: Apache-2.0
"""What calibration costs: its time beyond the capture, divided by that of the model's own forward.

Run ``python benchmarks/calibration.py``. Both sides run on the same inputs and threads in turn, and
the median of several repeats counts.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from _machine import machine
from speed import build

import spikewright as sw

LIMIT = 2.0
CASES = ("resnet50", "mobilenet_v2")


def forward(model: nn.Module, batches: list[Tensor]) -> float:
    """Return the seconds that the model itself takes."""
    start = time.perf_counter()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    return time.perf_counter() - start


def calibrate(model: nn.Module, batches: list[Tensor]) -> float:
    """Return the seconds between the first batch that is asked for and the end of the last."""
    taken = []

    def timed() -> Iterator[Tensor]:
        start = time.perf_counter()
        yield from batches
        taken.append(time.perf_counter() - start)

    sw.calibrate(model, timed(), example=batches[0][:2])
    return taken[0]


def main() -> int:
    """Print the ratios; return 1 if one is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine()}\n\ncalibration / the model's own forward, {options.batches} batches of "
          f"{options.batch} inputs at 224 px")  # fmt: skip
    failed = 0
    for name in CASES:
        model = build(name)
        torch.manual_seed(0)
        batches = [torch.randn(options.batch, 3, 224, 224) for _ in range(options.batches)]
        forward(model, batches[:1])
        times: dict[str, list[float]] = {"forward": [], "calibrate": []}
        for _ in range(options.repeats):
            times["forward"].append(forward(model, batches))
            times["calibrate"].append(calibrate(model, batches))
        mid = {side: statistics.median(taken) for side, taken in times.items()}
        ratio = mid["calibrate"] / mid["forward"]
        failed += ratio > LIMIT
        an_input = 1000 / (options.batch * options.batches)
        print(
            f"  {name:13s} {ratio:.2f}   ({mid['calibrate'] * an_input:.1f} / "
            f"{mid['forward'] * an_input:.1f} ms an input)",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
