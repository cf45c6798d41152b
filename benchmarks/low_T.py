# SPDX-License-Identifier: Apache-2.0
"""Short trains: what preparation without labels leaves of the loss at T = 2 to 8.

    SPIKEWRIGHT_DATA=... python benchmarks/low_T.py [NETWORK …] [--T 4 3] [--ways none bias refit …]

Networks are those of ``_data.py`` and ``detector`` (YOLO-FastestV2). Each row is a network, a T and
a way: one step, several joined by ``+``, or ``auto``. At most 512 calibration images from training
parts, no labels; the ANN and the SNN see the same test images. The detector's number is the AP50
with the ANN's own boxes of score ≥ 0.3 as truth, in per cent. Exit code 1 if an aim is missed.
"""

import argparse
import sys
import time
from pathlib import Path

import spikewright as sw

sys.path.insert(0, str(Path(__file__).parent))
from _coco import Coco
from _data import case
from _machine import machine

from spikewright.text import table

WAYS = ("none", "bias", "refit", "refit+scales", "refit+reconstruct", "auto")
LENGTHS = {
    "resnet20": (4, 3, 2),
    "resnet56": (4, 3, 2),
    "resnet8": (4, 3),
    "mobilenetv2": (5, 4),
    "squeezenet": (4,),
    "detector": (16, 8, 6, 5, 4),
}
DROPS = {
    "resnet20": {4: 0.2, 3: 1.0, 2: 8.0},
    "resnet56": {4: 0.4, 3: 2.0, 2: 10.0},
    "resnet8": {4: 0.8, 3: 2.5},
    "mobilenetv2": {5: 0.8, 4: 2.0},
    "squeezenet": {4: 1.0},
}
"""Points of top-1 that ``auto`` may lose."""
FIDELITY = {16: 99.5, 8: 98.5, 6: 97.0, 5: 97.0, 4: 90.0}
"""Fidelity AP50 that ``auto`` must reach on val."""
HEAD = ("network", "T", "way", "ANN", "SNN", "drop", "agrees", "spikes", "aim", "seconds")


def main() -> int:
    """Print a table for each network; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(LENGTHS))
    parser.add_argument("--T", type=int, nargs="*", help="instead of each network's own")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--calibration", type=int, default=512, help="images")
    options = parser.parse_args()
    print(machine())
    missed = 0
    for name in options.networks:
        lengths, measure = options.T or LENGTHS[name], detector if name == "detector" else images
        missed += measure(name, lengths, options.ways, options.calibration)
    return int(missed > 0)


def images(name: str, lengths: tuple[int, ...], ways: list[str], calibration: int) -> int:
    """Measure top-1 of a classifier; return how many aims are missed."""
    chosen, rows, missed = case(name), list[list[str]](), 0
    prepared = sw.calibrate(chosen.model, chosen.calibration(calibration))
    for T in lengths:
        for way in ways:
            start = time.perf_counter()
            snn = sw.convert(prepared, T=T, prepare=steps(way))
            seconds = time.perf_counter() - start
            result = sw.evaluate(snn, chosen.test(), reference=chosen.model)
            ann, last = 100 * (result.reference_accuracy or 0.0), result.lengths[-1]
            own = 100 * (last.accuracy() or 0.0)
            aim = DROPS.get(name, {}).get(T) if way == "auto" else None
            met = aim is None or ann - own <= aim + 1e-6
            missed += not met
            rows.append(
                [
                    *(name, f"{T}", way, f"{ann:.2f}", f"{own:.2f}", f"{ann - own:+.2f}"),
                    f"{100 * (last.agreement() or 0.0):.1f} %",
                    f"{last.spikes_per_neuron:.3f}",
                    "" if aim is None else f"{aim} {'met' if met else 'MISSED'}",
                    f"{seconds:.0f}",
                ]
            )
            say(rows[-1], snn, way)
    print(table([*HEAD], rows, width=140, left=1), flush=True)
    return missed


def detector(name: str, lengths: tuple[int, ...], ways: list[str], calibration: int) -> int:
    """Measure the detector's fidelity; return how many aims are missed."""
    coco, rows, missed = Coco(), list[list[str]](), 0
    prepared, val = sw.calibrate(coco.model, coco.calibration()), coco.batches("val", None)
    for T in lengths:
        for way in ways:
            start = time.perf_counter()
            snn = sw.convert(prepared, T=T, prepare=steps(way))
            seconds = time.perf_counter() - start
            result = sw.evaluate(snn, val, reference=coco.model, task=coco.task)
            series = {s.name: s for s in result.lengths[-1].series}
            reached = 100 * (series["fidelity AP50"].at() or 0.0)
            own, ann = (100 * (v or 0.0) for v in (series["AP"].at(), series["AP"].reference))
            aim = FIDELITY.get(T) if way == "auto" else None
            met = aim is None or reached >= aim
            missed += not met
            rows.append(
                [
                    *(name, f"{T}", way, f"{ann:.2f}", f"{own:.2f}", f"{ann - own:+.2f}"),
                    f"{reached:.2f}",
                    f"{result.lengths[-1].spikes_per_neuron:.3f}",
                    "" if aim is None else f"{aim} {'met' if met else 'MISSED'}",
                    f"{seconds:.0f}",
                ]
            )
            say(rows[-1], snn, way)
    head = [h.replace("agrees", "fidelity AP50") for h in HEAD]
    print(table(head, rows, width=140, left=1), flush=True)
    return missed


def say(row: list[str], snn: sw.SpikingNetwork, way: str) -> None:
    """Tell on standard error what was measured, and why a way was chosen."""
    why = snn.provenance.get("preparation", {}).get("said", [""])[0] if way == "auto" else ""
    print(" | ".join(row), why, file=sys.stderr, flush=True)


def steps(way: str) -> str | list[str]:
    """Return the setting that a way stands for."""
    return way.split("+") if "+" in way else way


if __name__ == "__main__":
    sys.exit(main())
