# SPDX-License-Identifier: Apache-2.0
"""Time of synchronous simulation against SpikingJelly, as ratios to the ANN, in one run.

Run ``python benchmarks/peers.py``; it installs the extra ``bench`` if SpikingJelly is missing. All
sides run the same network on the same threads, alternating. The ANN and the peer are PyTorch's own
fused eager module (batch norm folded into convolutions, channels last); the peer has SpikingJelly's
``IFNode`` (soft reset, eval mode, no gradients) in place of every ReLU, once tick by tick and once
with time folded into the batch around its multi-step mode. Ours is the network that ``convert``
returns. With ``--keep-memory`` the allocator (glibc) gives no freed memory back to the system, for
all sides alike. Exit code 1 if a stated ratio is missed.
"""

import argparse
import copy
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, fx, nn

import spikewright as sw
from spikewright.simulators import simulator

sys.path.insert(0, str(Path(__file__).parent))
from _machine import machine
from _networks import untrained

ROOT = Path(__file__).resolve().parent.parent
CASES = {"resnet20": 64, "vgg11-cifar": 32}
LENGTHS = (16, 64)
CLAIMS = {"resnet20": 1.6, "vgg11-cifar": 1.1}
PER_STEP = 1.2


def install() -> None:
    """Install the extra ``bench`` into this environment if the peer is missing."""
    if importlib.util.find_spec("spikingjelly") is None:
        print("installing the extra 'bench' (SpikingJelly) ...", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", "constraints.txt"]
        subprocess.run([*pip, "-e", ".[bench]"], cwd=ROOT, check=True)


class Folded(nn.Module):
    """A multi-step neuron between layers that take "(time batch)"."""

    def __init__(self, neuron: nn.Module, T: int) -> None:
        super().__init__()
        self.neuron, self.T = neuron, T

    def forward(self, x: Tensor) -> Tensor:
        """Unfold time, step through it, fold it again."""
        return self.neuron(x.unflatten(0, (self.T, -1))).flatten(0, 1)


def peer(fused: fx.GraphModule, T: int | None) -> fx.GraphModule:
    """Return the fused network with SpikingJelly's neurons in place of its ReLUs.

    Args:
        fused: The ANN.
        T: Steps of the multi-step mode; None for tick by tick.
    """
    from spikingjelly.activation_based import neuron

    spiking = copy.deepcopy(fused)
    modules = dict(spiking.named_modules())
    for i, node in enumerate(list(spiking.graph.nodes)):
        is_module = node.op == "call_module" and isinstance(modules[node.target], nn.ReLU)
        is_call = node.op in ("call_function", "call_method") and "relu" in str(
            getattr(node.target, "__name__", node.target)
        )
        if not (is_module or is_call):
            continue
        mode = "s" if T is None else "m"
        own = neuron.IFNode(v_threshold=1.0, v_reset=None, step_mode=mode)
        spiking.add_submodule(f"if_{i}", own if T is None else Folded(own, T))
        with spiking.graph.inserting_after(node):
            new = spiking.graph.call_module(f"if_{i}", (node.args[0],))
        node.replace_all_uses_with(new)
        spiking.graph.erase_node(node)
    spiking.recompile()
    return spiking.eval()


def sides(name: str, T: int) -> tuple[dict[str, Callable[[], object]], int]:
    """Return what is timed, and how many neurons' modules the peer has."""
    from spikingjelly.activation_based import functional
    from torch.fx.experimental.optimization import fuse

    model = untrained(name)
    x = torch.randn(CASES[name], 3, 32, 32).contiguous(memory_format=torch.channels_last)
    fused = fuse(copy.deepcopy(model)).to(memory_format=torch.channels_last)
    stepped, folded = peer(fused, None), peer(fused, T)
    repeated = x.repeat(T, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    snn = sw.convert(model, "rueckauer", T=T, calibration=x[:16], pool="lateral-inhibition")
    reference, timefold = simulator(snn, "reference"), simulator(snn, "timefold")

    def ticks() -> Tensor:
        functional.reset_net(stepped)
        total = stepped(x)
        for _ in range(T - 1):
            total = total + stepped(x)
        return total / T

    def multi() -> Tensor:
        functional.reset_net(folded)
        return folded(repeated).unflatten(0, (T, -1)).mean(0)

    def ann() -> None:
        for _ in range(T):  # as long as the others, so that noise weighs the same
            fused(x)

    runs: dict[str, Callable[[], object]] = {
        "ann": ann,
        "peer step": ticks,
        "peer multi-step": multi,
        "reference": lambda: reference(x),
        "timefold": lambda: timefold(x),
    }
    return runs, sum("IFNode" in type(m).__name__ for m in stepped.modules())


def median_times(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time several functions in turn; return the median time of each, in seconds.

    Each runs once untimed before it is timed, so that none pays for memory that another gave back.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def keep_freed_memory() -> None:
    """Start this program again with an allocator (glibc) that gives nothing back to the system."""
    settings = {"MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}
    if any(os.environ.get(k) != v for k, v in settings.items()):
        os.environ.update(settings)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def main() -> int:
    """Print the ratios and, if asked, write them as JSON; return 1 if a claim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--keep-memory", action="store_true", help="see above")
    options = parser.parse_args()
    if options.keep_memory:
        keep_freed_memory()
    install()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    print(machine())
    missed, data = 0, {}
    for name, batch in CASES.items():
        print(f"\n{name}, batch {batch}; T steps / T forwards of the ANN")
        for T in LENGTHS:
            runs, neurons = sides(name, T)
            if neurons == 0:
                raise RuntimeError(f"{name}: the peer has no neurons; its ReLUs were not found")
            times = median_times(runs, options.repeats)
            steps = {k: v / times["ann"] for k, v in times.items() if k != "ann"}
            theirs = min(steps["peer step"], steps["peer multi-step"])
            ours = min(steps["reference"], steps["timefold"])
            row = "  ".join(f"{k} {v:.2f}" for k, v in steps.items())
            fine = theirs / ours >= CLAIMS[name] and steps["reference"] <= PER_STEP
            missed += not fine
            print(
                f"  T={T:<3d} {row}  -> {theirs / ours:.2f}x", "" if fine else "MISSED", flush=True
            )
            data[f"{name} T={T}"] = {
                **steps,
                "ann_ms": 1e3 * times["ann"] / T,
                "gain": theirs / ours,
            }
    print(f"\n{missed} of {len(data)} rows miss a stated ratio")
    if options.json:
        options.json.write_text(json.dumps(data, indent=1))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
