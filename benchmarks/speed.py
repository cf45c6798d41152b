# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the simulators as ratios to the batch-norm-folded ANN, in one run.

Run ``python benchmarks/speed.py``. Both sides run on the same threads, alternating, and the median
of several repeats counts. The ANN is the same folded graph with in-place ReLU, in channels-last
layout; PyTorch's own fused eager module is shown beside it, and the folded ANN on the batch in the
parts that the collapsed simulator cuts it into, the fastest form that we know. Peak memory is that
of a fresh process for each side, above what stood before the run.
"""

import argparse
import copy
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import (
    Node,
    Program,
    capture,
    find_activations,
    fold_batch_norm,
    simplify,
)
from spikewright.models import resnet20
from spikewright.simulators import Collapsed, LayeredReference

sys.path.insert(0, str(Path(__file__).parent))
from _machine import machine

CASES = {"resnet20": (128, 32), "mobilenet_v2": (16, 224)}


def build(name: str) -> nn.Module:
    """Return a network with random weights and plausible batch-norm statistics."""
    torch.manual_seed(0)
    if name == "resnet20":
        model: nn.Module = resnet20()
    else:
        from spikewright.models import resolve

        model = resolve(f"torchvision:{name}")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def folded_ann(model: nn.Module, x: Tensor) -> Program:
    """Return the folded ANN as a plan, its ReLUs in place."""

    def site(node: Node, value: Tensor, overwrite: bool) -> Tensor:
        value = value if overwrite else value.clone()
        cap = node.kwargs.get("cap")
        return value.relu_() if cap is None else value.clamp_(0, cap)

    graph = find_activations(fold_batch_norm(simplify(capture(model, x[:2]))))
    return Program(graph, site=site, fast=True)


def best(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time several functions in turn; return the median time of each, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def subject(name: str, what: str, T: int) -> tuple[Callable[[], object], Tensor]:
    """Build one side: ``ann``, ``ann in parts``, ``eager``, ``collapsed`` or ``reference``."""
    model = build(name)
    batch, size = CASES[name]
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    if what == "ann":
        program = folded_ann(model, x)
        return (lambda: program(x)), x
    if what == "eager":
        from torch.fx.experimental.optimization import fuse

        fused = fuse(copy.deepcopy(model))
        return (lambda: fused(x)), x
    snn = sw.convert(model, T=T, calibration=x[:8])
    if what == "ann in parts":
        program, parts = folded_ann(model, x), Collapsed(snn).split(x)
        return (lambda: [program(part) for part in parts]), x
    simulator = Collapsed(snn) if what == "collapsed" else LayeredReference(snn)
    return (lambda: simulator(x)), x


def _resident(field: str) -> float:
    """Return a line of the kernel's account of this process, in MiB."""
    text = Path("/proc/self/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(field)]
    return int(line.split()[1]) / 1024


def _peak(name: str, what: str, T: int, queue: "multiprocessing.Queue[float]") -> None:
    torch.set_num_threads(2)
    with torch.no_grad():
        run, _ = subject(name, what, T)
        run()  # libraries set themselves up in the first run
        Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark
        before = _resident("VmRSS")
        run()
        queue.put(_resident("VmHWM") - before)


def peak_mib(name: str, what: str, T: int) -> float:
    """Return the memory in MiB that one run needs above what stands before it (Linux)."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # freed tensors go back at once
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=_peak, args=(name, what, T, queue))
    process.start()
    process.join()
    del os.environ["MALLOC_MMAP_THRESHOLD_"]
    if process.exitcode != 0:
        raise RuntimeError(f"measuring {name} {what} ended with exit code {process.exitcode}")
    return queue.get()


def main() -> None:
    """Print the ratios and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    print(machine())
    found: dict[str, dict[str, float]] = {}
    for name in CASES:
        sides = {
            "ann": subject(name, "ann", 8)[0],
            "eager": subject(name, "eager", 8)[0],
            "collapsed T=8": subject(name, "collapsed", 8)[0],
            "collapsed T=16": subject(name, "collapsed", 16)[0],
            "ann in such parts": subject(name, "ann in parts", 8)[0],
        }
        times = best(sides, options.repeats)
        slow = {"ann": sides["ann"], "reference T=8": subject(name, "reference", 8)[0]}
        ticked = best(slow, max(3, options.repeats // 3))
        row = {f"{side} / ann": times[side] / times["ann"] for side in times if side != "ann"}
        row["reference T=8 / (8 ann)"] = ticked["reference T=8"] / ticked["ann"] / 8
        memory = {w: peak_mib(name, w, t) for w, t in (("ann", 8), ("collapsed", 8))}
        row["collapsed T=8 peak / ann peak"] = memory["collapsed"] / memory["ann"]
        first, second = (peak_mib(name, "reference", t) for t in (4, 16))
        row["reference peak, T=16 / T=4"] = second / first
        found[name] = row
        print(f"\n{name}, batch {CASES[name][0]}: ANN {1000 * times['ann']:.1f} ms a batch")
        for what, ratio in row.items():
            print(f"  {what:<32s} {ratio:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "ratios": found}, indent=1))


if __name__ == "__main__":
    main()
