# SPDX-License-Identifier: Apache-2.0
"""The trainings of `spikewright demo --task detection`, by seed: how far its figures scatter.

    [OMP_NUM_THREADS=2] python benchmarks/demo_boxes.py [--seeds 0 1 2 3 4] [--epochs 7]

AP50 in per cent on 600 pictures, and on those of them that the demo looks at. Three to four minutes
of CPU time a seed. Exit code 1 if an aim is missed on the 600.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from _boxes import percent
from _machine import machine
from torch import nn

from spikewright.cli.demo_detection import (
    PASTED,
    SCENES,
    SEED,
    SIDE,
    STRIDE,
    TESTED,
    WIDTH,
    Kept,
    quantised_again,
    trained_detector,
)
from spikewright.cli.training_task import boxes_in
from spikewright.cli.verbs.demo import EPOCHS
from spikewright.data import loader, pasted_digits
from spikewright.detection import CocoTruth
from spikewright.models.detection import casc_yolo_vgg16
from spikewright.text import table

AP50_AIM, LOST_AIM = 80.0, 2.0
"""Least AP50 of the ANN, and what quantising to eight levels may cost."""
JUDGED = 600


class Judge:
    """Pictures with digits of other people."""

    def __init__(self) -> None:
        held_out = pasted_digits("test", JUDGED, size=SIDE, seed=SEED + 1, **PASTED)
        self.batches = list(loader(held_out, 40))
        given = [a for _, batch in self.batches for a in batch]
        self.all = CocoTruth(given, held_out.classes)
        self.few = CocoTruth(given[:TESTED], held_out.classes)

    def __call__(self, model: nn.Module) -> list[float]:
        """Return AP50 in per cent on all, and on those that the demo looks at."""
        found = list(boxes_in(model, self.batches, STRIDE))
        scores = self.all.score(found), self.few.score(found[:TESTED])
        return [100 * (s.ap50 or 0.0) for s in scores]


def main() -> int:
    """Print a row a seed; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(5)))
    parser.add_argument("--epochs", type=int, default=EPOCHS["detection"])
    options = parser.parse_args()
    print(machine())
    scenes = Kept(pasted_digits("train", SCENES, size=SIDE, seed=SEED, **PASTED), progress=False)
    calibration = torch.stack([x for x, _ in scenes.items[:64]])
    judge, rows, missed = Judge(), [], 0
    for seed in options.seeds:
        start = time.process_time()
        trained = trained_detector(scenes, options.epochs, torch.device("cpu"), seed=seed)
        model = casc_yolo_vgg16(10, WIDTH, stride=STRIDE)
        model.load_state_dict(trained.model.weights())
        between = time.process_time()
        quantised = quantised_again(model.eval(), scenes, calibration, seed=seed)
        end = time.process_time()
        ann, own = judge(model), judge(quantised.model)
        missed += ann[0] < AP50_AIM or ann[0] - own[0] > LOST_AIM
        ap50 = [percent(x / 100) for x in (*ann, *own)]
        rows.append([f"{seed}", *ap50, f"{between - start:.0f} s", f"{end - between:.0f} s"])
        print("seed", *rows[-1], flush=True)
    head = ["seed", "ANN", f"of {TESTED}", "Q = 8", f"of {TESTED}", "training (CPU)", "Q (CPU)"]
    print(f"\nAP50 after {options.epochs} passes, {torch.get_num_threads()} threads")
    print(table(head, rows))
    print(f"aims: ANN ≥ {AP50_AIM:g}, Q = 8 within {LOST_AIM:g} of it; {missed} seeds miss one")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
