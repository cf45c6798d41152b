# SPDX-License-Identifier: Apache-2.0
"""What conversion costs and saves: spikes, additions, energy under every model, latency.

    SPIKEWRIGHT_DATA=... python benchmarks/cost.py [--networks resnet20 mobilenetv2] [--limit N]
        [--rivals]

One table of counts, and one of energy for each opponent: the spiking network's energy divided by
that of the FP32 ANN, and by that of the ANN whose activations have as many bits as a train.
Finished rows are kept in ``benchmarks/.cache/cost`` and read from there.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

import spikewright as sw

sys.path.insert(0, str(Path(__file__).parent))
from _data import case
from _machine import machine
from train_casc import RECIPES, trained

from spikewright.comparison import Entry
from spikewright.comparison.cells import Cell
from spikewright.energy import choose_models, energy_of
from spikewright.methods import configure
from spikewright.text import table

LENGTHS = (4, 5, 6, 8, 16)
SAMPLES = 512


def entries(network: str, *, rivals: bool) -> list[Entry]:
    """Return the settings of a network: SpikeConverter at every T, burst and CASC near-lossless.

    Args:
        network: Name of a case.
        rivals: Whether burst and CASC run on MobileNetV2 too, where an image takes them seconds.
    """
    rows = [Entry("spikeconverter", configure("spikeconverter"), LENGTHS)]
    fine = configure("burst", scale=sw.Percentile(q=97.0), v_init=0.5)
    if network == "resnet20":
        rows.append(Entry("burst p97 v_init=½", fine, (32,)))
        for name in ("resnet20-q8", "resnet20-q16"):
            _, result = trained(name)
            levels = RECIPES[name].levels
            label = f"casc trained Q={levels}"
            rows.append(Entry(label, configure("casc"), (levels,), result.model, "fine-tuned"))
    elif rivals:
        fine = dataclasses.replace(fine, per_channel=True)
        rows.append(Entry("burst p97/ch v_init=½", fine, (256,)))
        rows.append(Entry("casc/ch, no training", configure("casc", per_channel=True), (64,)))
    return rows


def name_of(cell: Cell) -> str:
    """Name a row."""
    return f"{cell.label} T={cell.T}"


def counts(cells: list[Cell], ann: float) -> str:
    """Return accuracy, spikes, additions and latency of every row."""
    rows = []
    for cell in cells:
        r = cell.result
        every = f"{r.mean_ticks:.1f}" if r.settles else str(r.ticks_per_input)
        rows.append(
            [
                name_of(cell),
                f"{100 * (r.accuracy() or 0.0):.2f}",
                f"{100 * ((r.accuracy() or 0.0) - ann):+.2f}",
                f"{r.spikes_per_neuron:.3f}",
                f"{r.additions_per_sample / r.macs:.3f}",
                f"{r.analog_macs / r.macs:.3f}",
                str(r.most_ticks),
                every,
            ]
        )
    head = ["setting", "top-1", "- ANN", "spikes", "adds/MACs", "analog", "latency", "every"]
    return table(head, rows, width=100)


def energies(cells: list[Cell], opponent: str) -> str:
    """Return the energy of every row under every model, divided by an opponent's."""
    models = choose_models()
    rows = []
    for cell in cells:
        found = [energy_of(cell.result, m) for m in models]
        bits = [] if opponent == "fp32" else [str(cell.result.bits)]
        rows.append([name_of(cell), *bits, *(f"{e.ratio(opponent):.2f}" for e in found)])
    short = [m.name.replace("memory-", "mem-").replace("spinnaker2", "spin2") for m in models]
    return table(["setting", *([] if opponent == "fp32" else ["bits"]), *short], rows, width=140)


def break_even(cells: list[Cell]) -> str:
    """Return the spikes a neuron and input at which the energy of the quantised ANN is reached."""
    models = choose_models()
    rows = []
    for cell in cells:
        found = [energy_of(cell.result, m).break_even("quantised") for m in models]
        now = f"{cell.result.spikes_per_neuron:.2f}"
        rows.append([name_of(cell), now, *("never" if f is None else f"{f:.2f}" for f in found)])
    short = [m.name.replace("memory-", "mem-").replace("spinnaker2", "spin2") for m in models]
    return table(["setting", "now", *short], rows, width=140)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["resnet20", "mobilenetv2"])
    parser.add_argument("--limit", type=int, help="only so many test images")
    parser.add_argument("--rivals", action="store_true", help="burst, CASC on MobileNetV2 as well")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(machine())
    for name in options.networks:
        network = case(name)
        found = sw.compare(
            network.model,
            entries(name, rivals=options.rivals),
            calibration=list(network.calibration(SAMPLES)),
            data=list(network.test(options.limit)),
            store=Path(__file__).parent / ".cache" / "cost",
            progress=sys.stderr.isatty(),
        )
        ann, cells = float(found.ann.accuracy or 0.0), list(found.cells)
        print(f"\n{name}: {len(found.ann.decisions)} images, ANN {100 * ann:.2f} %\n")
        print(counts(cells, ann))
        print("\nenergy ÷ FP32 ANN\n\n" + energies(cells, "fp32"))
        print("\nenergy ÷ ANN of equal bits\n\n" + energies(cells, "quantised"))
        print("\nspikes a neuron and input at which the two are equal\n\n" + break_even(cells))
        if found.interrupted:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
