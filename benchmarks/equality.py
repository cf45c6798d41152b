# SPDX-License-Identifier: Apache-2.0
"""What proving a conversion costs: the equality law's share of a conversion with 512 inputs.

Run ``python benchmarks/equality.py``. Everything that is there for the law is timed inside one
conversion: finding the batch, the model's own outputs, both halves of the law.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from _machine import machine
from speed import CASES, build

import spikewright as sw
from spikewright import api
from spikewright.methods import base

LIMIT = 0.05
PARTS = (
    (sys.modules["spikewright.graph.capture"], "locate_batch", "finding the batch"),
    (api, "_results", "the model's own outputs"),
    (api, "check_rewritten", "captured and rewritten graph"),
    (base, "check_equality", "the converted network's twin"),
)


def timed(function: Callable[..., Any], spent: dict[str, float], what: str) -> Callable[..., Any]:
    """Return the function with its time added up."""

    def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it takes
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[what] = spent.get(what, 0.0) + time.perf_counter() - start

    return run


def main() -> int:
    """Print the shares; return 1 if one is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(
        f"{machine()}\n\nshare of a conversion with {options.inputs} inputs (spikeconverter, T=8)"
    )
    spent: dict[str, float] = {}
    for room, name, what in PARTS:
        setattr(room, name, timed(getattr(room, name), spent, what))
    failed = 0
    for name, (batch, size) in CASES.items():
        torch.manual_seed(0)
        model = build(name)
        batches = [torch.rand(batch, 3, size, size) for _ in range(options.inputs // batch)]
        spent.clear()
        start = time.perf_counter()
        sw.convert(model, calibration=batches, T=8)
        total = time.perf_counter() - start
        share = sum(spent.values()) / total
        failed += share > LIMIT
        print(f"  {name:13s} {total:6.1f} s, law {100 * share:.1f} %", flush=True)
        for what, seconds in spent.items():
            print(f"    {what:30s} {seconds:6.2f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
