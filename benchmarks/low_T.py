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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import spikewright as sw

sys.path.insert(0, str(Path(__file__).parent))
from _coco import Coco
from _data import case
from _machine import machine

from spikewright.evaluation import LengthResult
from spikewright.methods import Prepared
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
        subject = (detector if name == "detector" else images)(name, options.calibration)
        missed += measure(name, subject, options.T or LENGTHS[name], options.ways)
    return int(missed > 0)


@dataclass(frozen=True)
class Measured:
    """What a converted network reaches, in per cent.

    Args:
        ann: Accuracy or AP of the ANN.
        own: That of the spiking network.
        agrees: How far the two agree.
        result: All that was measured, at the one T.
    """

    ann: float
    own: float
    agrees: float
    result: LengthResult


@dataclass(frozen=True)
class Subject:
    """A calibrated network.

    Args:
        prepared: Calibrated.
        measure: What its spiking network reaches.
        aim: From a T and what was reached to the aim, and by how much it is missed.
        agreement: Name of the column that says how far the networks agree.
    """

    prepared: Prepared
    measure: Callable[[sw.SpikingNetwork], Measured]
    aim: Callable[[int, Measured], tuple[float, float] | None]
    agreement: str


def measure(name: str, subject: Subject, lengths: tuple[int, ...], ways: list[str]) -> int:
    """Print a table of every T and way; return how many aims are missed."""
    rows, missed = list[list[str]](), 0
    for T in lengths:
        for way in ways:
            start = time.perf_counter()
            snn = sw.convert(subject.prepared, T=T, prepare=steps(way))
            seconds = time.perf_counter() - start
            found = subject.measure(snn)
            aim = subject.aim(T, found) if way == "auto" else None
            met = aim is None or aim[1] <= 1e-6
            missed += not met
            drop = found.ann - found.own
            rows.append(
                [
                    *(name, f"{T}", way, f"{found.ann:.2f}", f"{found.own:.2f}", f"{drop:+.2f}"),
                    f"{found.agrees:.2f}",
                    f"{found.result.spikes_per_neuron:.3f}",
                    "" if aim is None else f"{aim[0]} {'met' if met else 'MISSED'}",
                    f"{seconds:.0f}",
                ]
            )
            say(rows[-1], snn, way)
    head = [h.replace("agrees", subject.agreement) for h in HEAD]
    print(table(head, rows, width=140, left=1), flush=True)
    return missed


def images(name: str, calibration: int) -> Subject:
    """Return a classifier, its top-1 and its agreement with the ANN."""
    chosen = case(name)

    def top1(snn: sw.SpikingNetwork) -> Measured:
        result = sw.evaluate(snn, chosen.test(), reference=chosen.model)
        last = result.lengths[-1]
        shares = (result.reference_accuracy, last.accuracy(), last.agreement())
        return Measured(*(100 * (share or 0.0) for share in shares), last)

    def aim(T: int, found: Measured) -> tuple[float, float] | None:
        most = DROPS.get(name, {}).get(T)
        return None if most is None else (most, found.ann - found.own - most)

    prepared = sw.calibrate(chosen.model, chosen.calibration(calibration))
    return Subject(prepared, top1, aim, "agrees %")


def detector(name: str, calibration: int) -> Subject:
    """Return the detector, its AP and its fidelity."""
    coco = Coco()
    val = coco.batches("val", None)

    def boxes(snn: sw.SpikingNetwork) -> Measured:
        last = sw.evaluate(snn, val, reference=coco.model, task=coco.task).lengths[-1]
        series = {s.name: s for s in last.series}
        shares = (series["AP"].reference, series["AP"].at(), series["fidelity AP50"].at())
        return Measured(*(100 * (share or 0.0) for share in shares), last)

    def aim(T: int, found: Measured) -> tuple[float, float] | None:
        least = FIDELITY.get(T)
        return None if least is None else (least, least - found.agrees)

    prepared = sw.calibrate(coco.model, coco.calibration())
    return Subject(prepared, boxes, aim, "fidelity AP50")


def say(row: list[str], snn: sw.SpikingNetwork, way: str) -> None:
    """Tell on standard error what was measured, and why a way was chosen."""
    why = snn.provenance.get("preparation", {}).get("said", [""])[0] if way == "auto" else ""
    print(" | ".join(row), why, file=sys.stderr, flush=True)


def steps(way: str) -> str | list[str]:
    """Return the setting that a way stands for."""
    return way.split("+") if "+" in way else way


if __name__ == "__main__":
    sys.exit(main())
