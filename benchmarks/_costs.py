# SPDX-License-Identifier: Apache-2.0
"""What it costs to judge a detector: evaluate in passes of the ANN, and COCO's metric."""

import time
from collections.abc import Callable

import torch
from _coco import Coco

import spikewright as sw
from spikewright.detection import CocoTruth, difference
from spikewright.text import table

__all__ = ["cost", "metric"]

COSTED = (16, 8, 6, 5, 4)
"""T of which the time of evaluate is measured."""
PASSES_AIM = 3.0
"""Passes of the ANN that evaluate may take at each T, with counting."""
METRIC_AIM = 0.5
"""Seconds of CPU time that COCO's metric may take for a step of the read-out."""


def cost(coco: Coco, limit: int | None) -> int:
    """Print evaluate's time in passes of the ANN; return how many T take too many."""
    x = torch.cat([x for x, _ in coco.batches("val", limit or 32)])[:32]
    batches = [x[:16], x[16:]]
    ann = best(lambda: [coco.original(b) for b in batches])
    rows, missed = [], 0
    for T in COSTED:
        snn = sw.convert(coco.prepared, "spikeconverter", T=T)
        times = [
            best(lambda c=c, snn=snn: sw.evaluate(snn, batches, task="outputs", counting=c))
            for c in (False, True)
        ]
        missed += times[1] > PASSES_AIM * ann
        rows.append([f"{T}", *(f"{t / ann:.2f}" for t in times)])
    print(
        f"\nevaluate in passes of the ANN ({1e3 * ann / len(x):.1f} ms an image), {len(x)} images"
    )
    print(table(["T", "without counting", "with counting"], rows, left=0))
    print(f"aim: at most {PASSES_AIM:g} with counting {'MISSED' if missed else 'met'}", flush=True)
    return missed


def metric(coco: Coco, limit: int | None) -> int:
    """Print how long COCO's metric takes for a step; return whether that is too long."""
    pairs = coco.batches("val", limit)
    annotations = [a for _, images in pairs for a in images]
    found = [d for x, images in pairs for d in coco.boxes(coco.original(x), images)]
    judge = CocoTruth(annotations, coco.classes)
    seconds = best(lambda: judge.score(found))
    drawn = best(lambda: difference(found, found, annotations, coco.classes))
    print(
        f"\nCOCO's metric: {seconds:.2f} s of CPU time a step (aim: at most {METRIC_AIM} s, "
        f"{'met' if seconds <= METRIC_AIM else 'MISSED'}), bootstrap of 200 draws {drawn:.2f} s, "
        f"{len(annotations)} images"
    )
    return int(seconds > METRIC_AIM)


def best(run: Callable[[], object], repeats: int = 3) -> float:
    """Return the least CPU seconds of some runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)
