# SPDX-License-Identifier: Apache-2.0
"""Integer networks on bytes: time as a ratio to the fp32 ANN in one run, and spikes that differ.

Run ``python benchmarks/integers.py``. Both sides run on the same threads, alternating, and the
median of several repeats counts; the ANN as in ``speed.py``. Every train of the collapsed network
on bytes is compared with the one that the same network has in float64. ``--random 1000`` does so
for random networks of the property tests as well, tick by tick, and without times.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

import spikewright as sw
from spikewright.errors import SpikewrightError
from spikewright.methods import configure
from spikewright.simulators import Collapsed, LayeredReference

sys.path.insert(0, str(Path(__file__).parent))
from _machine import machine
from speed import best, build, folded_ann

CASES = {"resnet20": (128, 32), "mobilenet_v2": (16, 224), "squeezenet1_1": (16, 224)}


def differing(snn: sw.SpikingNetwork, x: Tensor) -> tuple[int, int]:
    """Return how many trains differ from those tick by tick in float64, and of how many."""
    found: dict[str, Tensor] = {}
    Collapsed(snn)(x, lambda name, n: found.update({name: n.clone()}))
    trains: dict[str, Tensor] = {}

    def watch(name: str, t: int, spikes: Tensor) -> None:
        trains[name] = spikes + 2 * trains[name] if name in trains else spikes.clone()

    LayeredReference(snn)(x, watch)
    wrong = sum(int((found[name] != train).sum()) for name, train in trains.items())
    return wrong, sum(train.numel() for train in trains.values())


def case(name: str, repeats: int, T: int) -> dict[str, float | str]:
    """Measure one network."""
    batch, size = CASES[name]
    model = build(name)
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    snn = sw.convert(model, T=T, calibration=x).to_integer()
    ann, simulator, given = folded_ann(model, x), Collapsed(snn), snn.check_input(x)
    times = best({"ann": lambda: ann(x), "bytes": lambda: simulator(given)}, repeats)
    wrong, trains = differing(snn, given[:4])
    return {
        "ann_ms": 1000 * times["ann"],
        "bytes / ann": times["bytes"] / times["ann"],
        "trains": trains,
        "trains that differ": wrong,
        "arithmetic": simulator.arithmetic,
    }


def random_graphs(count: int) -> dict[str, int]:
    """Compare random networks; those without a program on bytes are counted apart."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.property.random_graphs import draw

    found = {"networks": 0, "on bytes": 0, "refused": 0, "trains": 0, "trains that differ": 0}
    seed = 0
    while found["on bytes"] < count:
        seed += 1
        model = draw(seed).eval()
        x = model.data(24, seed)
        found["networks"] += 1
        try:
            prepared = sw.calibrate(model, [x] if len(x) > 1 else x[0])
            config = configure("spikeconverter", T=1 + seed % 8, k=2.0)
            snn = prepared.convert(config).to_integer()
        except SpikewrightError:
            found["refused"] += 1
            continue
        given = snn.check_input(x if len(x) > 1 else x[0])
        if Collapsed(snn).engine is None:
            continue
        wrong, trains = differing(snn, given)
        found["on bytes"] += 1
        found["trains"] += trains
        found["trains that differ"] += wrong
    return found


def main() -> None:
    """Print the numbers and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--random", type=int, default=0, help="random networks on bytes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    print(machine())
    found: dict[str, object] = {}
    for name in options.cases:
        found[name] = case(name, options.repeats, options.steps)
        print(name, json.dumps(found[name], indent=1))
    if options.random:
        found["random"] = random_graphs(options.random)
        print("random", json.dumps(found["random"], indent=1))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), **found}, indent=1))


if __name__ == "__main__":
    main()
