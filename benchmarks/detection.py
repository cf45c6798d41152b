# SPDX-License-Identifier: Apache-2.0
"""Object detection: YOLO-FastestV2 on COCO, converted by five methods, one of them also trained.

    SPIKEWRIGHT_DATA=... python benchmarks/detection.py [--part spikeconverter …]
        [--setting refit …] [--lengths 5 …] [--levels 8 …] [--limit N]

Parts: ``spikeconverter``, ``casc``, ``rate``, ``cost``, ``metric``, and, only when named,
``held_out`` (T = 5 on calibration pictures alone), ``imitation`` (trains, about ten minutes a
network) and ``torchvision`` (needs torchvision, is slow). AP is COCO's, in per cent; "fidelity" is
the AP with the ANN's own boxes of score ≥ 0.3 as truth. Exit code 1 if a claim is missed.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

import spikewright as sw

sys.path.insert(0, str(Path(__file__).parent))
from _bodies import torchvision
from _boxes import compared, flat, nested, percent
from _coco import Coco
from _costs import cost, metric
from _held_out import held_out
from _imitation import IMITATION_AIM, imitation
from _machine import machine

from spikewright.detection import Detections
from spikewright.energy import choose_models, energy_of
from spikewright.evaluation import Result
from spikewright.evaluation.length import LengthResult
from spikewright.simulators import settle
from spikewright.text import table

LENGTHS = (16, 8, 6, 5, 4)
FIDELITY_AIM = {16: 99.5, 8: 98.5, 6: 97.0, 5: 96.0}
"""Fidelity AP50 in per cent on val and on all images, by T."""
SETTINGS: Mapping[str, dict[str, Any]] = {
    "refit": {"prepare": "refit"},
    "default": {},
    "refit-relays-analog": {"prepare": "refit", "analog_relays": ("all",)},
    "relays-analog": {"analog_relays": ("all",), "scale": sw.MinError(unseen=1 / 256)},
}
"""The last was chosen by its fidelity on train, among unseen = 1/32, 1/256, 1/1024 and 0."""
AIMED = {16: "default", 8: "default", 6: "refit", 5: "refit"}
"""The setting of which an aim is asked, by T: weights are refitted where trains are short."""
CASC_AIM = -1.0
"""Points of AP that CASC, refitted, at T = 32 may lose on val."""
CASC_SETTINGS: Mapping[str, dict[str, Any]] = {
    "refit": {"prepare": "refit", "per_channel": True},
    "adapt": {"adapt": True},
}
TICKED = 2
"""Images on which CASC's ticks to rest are measured: tick by tick, one takes half a minute."""
RATED = 8
"""Images on which rate codes are measured."""


def spikeconverter(
    coco: Coco,
    limit: int | None,
    chosen: Sequence[str] = tuple(SETTINGS),
    lengths: Sequence[int] = LENGTHS,
) -> int:
    """Print a row for every T on both parts; return how many claims are missed."""
    missed = 0
    for label in chosen:
        snn = sw.convert(coco.prepared, "spikeconverter", T=max(lengths), **SETTINGS[label])
        val, train = (
            sw.evaluate(
                snn, batches, reference=coco.model, task=coco.task, code_lengths=sorted(lengths)
            )
            for batches in (coco.batches("val", limit), coco.batches("train", limit))
        )
        parts = {"val": val, "train (calibrated on)": train, "all": val.merge(train)}
        for part, result in parts.items():
            asked = limit is None and not part.startswith("train")
            aims = {T: a for T, a in FIDELITY_AIM.items() if asked and AIMED[T] == label}
            missed += scores_by_length(f"SpikeConverter, {label}; {part}", result, aims)
    return missed


def scores_by_length(title: str, result: Result, aims: Mapping[int, float]) -> int:
    """Print a table; return how many of the aims for fidelity AP50 are missed."""
    last = result.lengths[-1]
    ann = {s.name: percent(s.reference) for s in last.series}
    on = f"ANN AP {ann['AP']}, AP50 {ann['AP50']}, AP75 {ann['AP75']}"
    print(f"\n{title}: {last.samples} images, {on}")
    rows, missed = [], 0
    for found in reversed(result.lengths):
        T = found.T
        series = {s.name: s for s in found.series}
        reached, aim = 100 * (series["fidelity AP50"].at() or 0.0), aims.get(T)
        missed += aim is not None and reached < aim
        low, high = series["AP"].interval or (0.0, 0.0)
        rows.append(
            [
                f"{T}",
                *(percent(series[name].at()) for name in ("AP", "AP50")),
                f"{100 * (series['AP'].difference or 0.0):+.2f}",
                f"{100 * low:+.2f} … {100 * high:+.2f}",
                f"{reached:.2f}",
                "" if aim is None else f"{aim} {'met' if reached >= aim else 'MISSED'}",
                percent(series["fidelity AP"].at()),
                f"{found.spikes_per_neuron:.3f}",
                f"{found.additions_per_sample / found.macs:.3f}",
                f"{found.analog_macs / found.macs:.3f}",
                f"{found.latency_ticks}",
                *energy(found),
            ]
        )
    head = "T|AP|AP50|ΔAP|95 % interval|fid. AP50|aim|fid. AP|spikes|÷ MACs|MACs left|ticks"
    print(table([*head.split("|"), "÷ FP32", "÷ equal bits"], rows, width=160, left=0), flush=True)
    return missed


def energy(found: LengthResult) -> list[str]:
    """Return the energy beside the FP32 ANN's, and with memory beside that of equally many bits."""
    rated = [energy_of(found, m) for m in choose_models(["fp32", "memory-int8"])]
    return [f"{e.ratio(o):.2f}" for e, o in zip(rated, ("fp32", "quantised"), strict=True)]


def casc(coco: Coco, limit: int | None) -> int:
    """Print CASC at rest, and the ticks it takes; return how many claims are missed."""
    batches = coco.batches("val", limit)
    annotations = [a for _, images in batches for a in images]
    ann = [d for x, images in batches for d in coco.boxes(coco.original(x), images)]
    rows, networks, missed = [], [], 0
    for T, (label, settings) in product((32, 16), CASC_SETTINGS.items()):
        snn = sw.convert(coco.prepared, "casc", T=T, **settings)
        start = time.perf_counter()
        found = [
            d
            for x, images in batches
            for d in coco.boxes(nested(snn, settle(snn, x).outputs), images)
        ]
        seconds = time.perf_counter() - start
        gap, scores, own = compared(coco, ann, found, annotations)
        if label == "refit":
            missed += T == 32 and limit is None and 100 * gap.ap.value < CASC_AIM
            networks.append(snn)
        rows.append(
            [
                f"{T}",
                label,
                *map(percent, (scores.ap, scores.ap50)),
                f"{100 * gap.ap.value:+.2f}",
                f"{100 * gap.ap.low:+.2f}…{100 * gap.ap.high:+.2f}",
                *map(percent, (own.ap50, own.ap)),
                f"{seconds:.0f} s",
            ]
        )
    print(f"\nCASC untrained, at rest (closed form), {len(annotations)} images of val")
    head = "T|setting|AP|AP50|ΔAP|95 % interval|fid. AP50|fid. AP|settling"
    print(table(head.split("|"), rows, width=160, left=0))
    print(f"aim: ΔAP ≥ {CASC_AIM}, refit, T = 32 {'MISSED' if missed else 'met'}", flush=True)
    print(f"\nUntil rest, refit, tick by tick, the first {TICKED} images")
    rows = []
    for snn in reversed(networks):
        x = batches[0][0][:TICKED]
        found = sw.evaluate(snn, list(x.split(1)), task="outputs").lengths[0]
        rest = [f"{found.rest_step(share)}" for share in (0.5, 0.99, 1.0)]
        rows.append([f"{snn.T}", *rest, f"{found.steps}", f"{found.spikes_per_neuron:.2f}"])
    head = "T|median|99 %|last|bound|spikes/neuron"
    print(table(head.split("|"), rows, left=0))
    return int(missed)


def rate(coco: Coco, limit: int | None) -> int:
    """Print what rate codes find after 32 steps; nothing is claimed."""
    batches = [coco.batches("val", limit or RATED)[0]]
    annotations = batches[0][1]
    x, images = batches[0]
    outputs = coco.original(x)
    ann = coco.boxes(outputs, images)
    sure = sum(int((d.scores >= 0.3).sum()) for d in ann)
    fine = {"scale": sw.Percentile(97.0), "v_init": 0.5}
    rows = [["ANN", "", *sums(ann), "", ""]]
    for label, method, options in (
        ("burst, paper's setting", "burst", {}),
        ("burst, p97, v(0) = ½", "burst", fine),
        ("rueckauer, paper's setting", "rueckauer", {}),
    ):
        snn = sw.convert(coco.prepared, method, T=32, **options)
        start = time.perf_counter()
        returned = snn(x)
        seconds = time.perf_counter() - start
        found = coco.boxes(returned, images)
        scores = compared(coco, ann, found, annotations)[1]
        rows.append([label, "32", *sums(found), percent(scores.ap), f"{seconds:.0f} s"])
        rows[-1].append(errors(outputs, returned))
    rows[0].append("")
    print(f"\nRate codes, T = 32: {len(images)} images of val, {sure} boxes of the ANN are ≥ 0.3")
    head = "method|T|boxes ≥ 0.3|best score|AP|seconds|relative error of each output, %"
    print(table(head.split("|"), rows, width=160))
    return 0


def sums(found: Sequence[Detections]) -> list[str]:
    """Return how many boxes a network is sure of, and its best score."""
    scores = torch.cat([d.scores for d in found])
    best = float(scores.max()) if len(scores) else 0.0
    return [f"{int((scores >= 0.3).sum())}", f"{best:.2f}"]


def errors(wanted: object, got: object) -> str:
    """Return ‖got − wanted‖² / ‖wanted − mean‖² of every output in per cent."""
    pairs = zip(flat(wanted), flat(got), strict=True)
    return " ".join(
        f"{100 * float((b - a).square().sum() / (a - a.mean()).square().sum()):.0f}"
        for a, b in pairs
    )


PARTS = {
    f.__name__: f
    for f in (spikeconverter, casc, rate, torchvision, cost, metric, imitation, held_out)
}


def main() -> int:
    """Print the parts; return 1 if a claim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = [name for name in PARTS if name not in ("torchvision", "imitation", "held_out")]
    parser.add_argument("--part", nargs="*", default=usual, choices=list(PARTS))
    parser.add_argument("--setting", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    levels = list(IMITATION_AIM)
    parser.add_argument("--levels", nargs="*", type=int, default=levels, choices=levels)
    parser.add_argument("--lengths", nargs="*", type=int, default=list(LENGTHS), choices=LENGTHS)
    parser.add_argument("--limit", type=int, help="images of each set, for a trial")
    options = parser.parse_args()
    print(machine())
    coco = Coco()
    parts = PARTS | {
        "spikeconverter": partial(spikeconverter, chosen=options.setting, lengths=options.lengths),
        "held_out": partial(held_out, settings=SETTINGS, chosen=options.setting),
        "imitation": partial(imitation, levels=options.levels),
    }
    missed = sum(parts[name](coco, options.limit) for name in options.part)
    print(f"\n{missed} claims missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
