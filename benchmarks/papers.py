# SPDX-License-Identifier: Apache-2.0
"""The papers' tables on one checkpoint each: every method, same images, same calibration data.

    SPIKEWRIGHT_DATA=... python benchmarks/papers.py [--networks resnet20 vgg11] [--store FOLDER]

Prints for each network the comparison, whether the papers' order holds at equal T (hard reset <
soft reset < burst ≤ SpikeConverter), and what burst spikes save against the typical conversion
(largest activation, soft reset, taken to the same accuracy). The vgg11 with max pools is trained
first if it has not been, and so are the networks that rows of their own need (directly trained
spikes, quantised activations: ``train_casc.py``, about half an hour). An interrupted run goes on
where it stopped. Exit code 1 if a stated claim does not hold.
"""

import argparse
import itertools
import sys
from pathlib import Path

import torch
from torch import nn

import spikewright as sw
from spikewright.comparison import Comparison, Entry
from spikewright.methods import configure

sys.path.insert(0, str(Path(__file__).parent))
from _data import case
from _machine import machine
from train_casc import RECIPES, trained

SAMPLES = 512
STEPS = (16, 32, 64)
LONGER = (*STEPS, 128)
LONGEST = (*STEPS, 128, 256)
HARD, SOFT, BURST, RADIX = "hard reset", "soft reset", "burst", "spikeconverter k=1.2"
TYPICAL, FINE = "typical (max, soft)", "burst p97 v_init=½"
NEAR = 0.005


def entries() -> list[Entry]:
    """Return the rows of the table."""
    hard = configure("rueckauer", reset="hard")
    typical = configure("rueckauer", scale=sw.Max(), pool="lateral-inhibition")
    return [
        Entry(HARD, hard, LONGER),
        Entry(SOFT, configure("rueckauer"), LONGER),
        Entry(TYPICAL, typical, LONGEST),
        Entry("spike-norm", configure("spike-norm"), LONGER),
        Entry("rmp", configure("rmp"), LONGEST),
        Entry("tsc", configure("tsc"), STEPS),
        Entry("threshold-relu", configure("threshold-relu"), STEPS),
        Entry("snn-calibration", configure("snn-calibration"), STEPS),
        Entry(BURST, configure("burst"), STEPS),
        Entry("burst v_init=½", configure("burst", v_init=0.5), STEPS),
        Entry(FINE, configure("burst", v_init=0.5, scale=sw.Percentile(97.0)), STEPS),
        Entry(RADIX, configure("spikeconverter", k=1.2), STEPS),
        Entry("spikeconverter", configure("spikeconverter"), (4, 6, 8, 16)),
        Entry("casc, no training", configure("casc"), (4, 8, 16, 32)),
        Entry("casc adapt, no training", configure("casc", adapt=True), (4, 8, 16)),
    ]


def own_entries(network: str) -> list[Entry]:
    """Return the rows whose networks are trained for them, from the same checkpoint."""
    rows = []
    for name, recipe in RECIPES.items():
        if recipe.network != network:
            continue
        found, result = trained(name)
        passes = f"{result.cost.epochs} epochs, {result.cost.seconds / 60:.0f} min"
        model: nn.Module = result.model
        label, method = f"casc trained Q={recipe.levels}", "casc"
        if recipe.activation == "stbp":
            model, method = found.model, "stbp"
            model.load_state_dict(result.model.weights())
            label = "directly trained (stbp)"
        rows.append(Entry(label, configure(method), (recipe.levels,), model, passes))
    return rows


def accuracy(found: Comparison, label: str, T: int) -> float:
    """Return the accuracy of an entry after T steps, in per cent."""
    (row,) = [r for r in found.rows() if r.label == label and r.T == T]
    return 100.0 * float(row.accuracy or 0.0)


def claims(found: Comparison) -> list[tuple[str, bool]]:
    """Return what the papers say of this comparison, and whether it holds.

    Accuracies above the original network's are chance; in the order they count as equal to it.
    """
    ann, lines = 100.0 * float(found.ann.accuracy or 0.0), []
    for T in STEPS:
        values = [accuracy(found, n, T) for n in (HARD, SOFT, BURST, RADIX)]
        hard, soft, burst, radix = (min(v, ann) for v in values)
        holds = hard < soft and (soft < burst or soft == burst == ann) and burst <= radix
        text = " hard {:.1f} < soft {:.1f} < burst {:.1f} <= radix {:.1f}".format(*values)
        lines.append((f"T={T}:{text} (ANN {ann:.1f})", holds))
    near = reached(found, FINE)
    steps = "not reached" if near is None else f"from step {near[0]} on"
    lines.append((f"{FINE} within 0.5 points of the ANN by 64 steps: {steps}", near is not None))
    return lines


def reached(found: Comparison, label: str) -> tuple[int, float] | None:
    """Return the step from which an entry stays within 0.5 points, and the additions up to it."""
    row = next(r for r in found.rows() if r.label == label)
    within = next(w for w in row.within if w.points == 100 * NEAR)
    return None if within.T is None else (within.T, float(within.additions or 0.0))


def ratios(found: Comparison) -> list[str]:
    """Return what burst spikes save, beside the paper's numbers."""
    lines = []
    for own, other in itertools.product((BURST, FINE), (TYPICAL, SOFT)):
        ours, theirs = reached(found, own), reached(found, other)
        late = [n for n, r in ((own, ours), (other, theirs)) if r is None]
        if ours is None or theirs is None:
            lines.append(f"{own} / {other}: {' and '.join(late)} not within 0.5 points")
        else:
            steps, additions = ours[0] / theirs[0], ours[1] / theirs[1]
            lines.append(
                f"{own} / {other}, both within 0.5 points: {ours[0]}/{theirs[0]} = {steps:.2f} of "
                f"the steps, {additions:.2f} of the additions"
            )
    return [*lines, "(paper, other checkpoints: about 1/10 of the steps, 0.693 of the energy)"]


def main() -> int:
    """Print the comparisons; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["resnet20", "vgg11"])
    parser.add_argument("--limit", type=int, help="only so many test images")
    parser.add_argument("--store", type=Path, default=Path(__file__).parent / ".cache" / "papers")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(machine())
    failed = 0
    for name in options.networks:
        network = case(name)
        found = sw.compare(
            network.model,
            [*entries(), *own_entries(name)],
            calibration=list(network.calibration(SAMPLES)),
            data=list(network.test(options.limit)),
            store=options.store,
            progress=sys.stderr.isatty(),
        )
        print(f"\n{name}\n{found.table(width=100)}\n", flush=True)
        if found.interrupted:
            return 130
        for text, holds in claims(found):
            failed += not holds
            print(("holds   " if holds else "FAILS   ") + text)
        print("\n".join(ratios(found)), flush=True)
        found.figures(options.store / name)
        found.figures(options.store / name, "png")
        print(f"figures and CSV: {options.store / name}")
        found.to_csv(options.store / name / "comparison.csv")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
