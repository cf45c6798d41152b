# SPDX-License-Identifier: Apache-2.0
"""What full counting costs: evaluate with it divided by evaluate without, on the same threads.

Run ``python benchmarks/counting.py``. Both sides alternate, and the best of several repeats counts.
``--others`` measures codes that are not binary; it prints their ratios and holds them to no limit.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from _machine import machine
from speed import CASES, build

import spikewright as sw

LIMIT = 1.5
BINARY = {"T=4": ("spikeconverter", {"T": 4}), "T=16": ("spikeconverter", {"T": 16})}
OTHERS = {
    "T=64, tsc": ("tsc", {"T": 64}),
    "T=8, k=1.5": ("spikeconverter", {"T": 8, "k": 1.5}),
}


def main() -> int:
    """Print the ratios; return 1 if one is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--others", action="store_true", help="codes that are not binary")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"{machine()}\n\nevaluate with counting / without, collapsed simulator, 16 batches")
    failed = 0
    for name, (batch, size) in CASES.items():
        torch.manual_seed(0)
        model, x = build(name), torch.rand(batch, 3, size, size)
        prepared = sw.calibrate(model, [x])
        for what, (method, settings) in (OTHERS if options.others else BINARY).items():
            snn = sw.convert(prepared, method, **settings)
            best = {True: float("inf"), False: float("inf")}
            for _ in range(options.repeats):
                for counting in best:
                    start = time.perf_counter()
                    sw.evaluate(snn, [x] * 16, counting=counting)
                    best[counting] = min(best[counting], time.perf_counter() - start)
            ratio = best[True] / best[False]
            failed += ratio > LIMIT and not options.others
            print(f"  {name:13s} {what:<10s} {ratio:.2f}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
