# SPDX-License-Identifier: Apache-2.0
"""Accuracy of converted networks against their ANN on the same images, at several code lengths.

Run ``python benchmarks/accuracy.py`` with SPIKEWRIGHT_DATA set; it prints the table of
docs/results.md. Calibration images come from training parts, nothing is trained.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import spikewright as sw

sys.path.insert(0, str(Path(__file__).parent))
from _data import case
from _machine import machine

LENGTHS = {
    "resnet20": (4, 5, 6, 8, 16),
    "resnet56": (4, 5, 6, 8, 16),
    "resnet8": (4, 5, 6, 8, 16),
    "mobilenetv2": (6, 8, 16),
    "squeezenet": (8, 16),
}
FLOORS = {
    "resnet20": {16: 0.2, 8: 0.2, 6: 0.6, 5: 1.0, 4: 2.0},
    "resnet56": {16: 0.2, 8: 0.2, 6: 0.6, 5: 1.0, 4: 2.0},
    "resnet8": {16: 0.2, 8: 0.2, 6: 0.6, 5: 1.0, 4: 2.0},
    "mobilenetv2": {16: 0.2, 8: 0.4, 6: 2.0},
    "squeezenet": {16: 0.2, 8: 0.6},
}
"""Largest drop in points that is accepted, per network and T."""


def main() -> int:
    """Print one row per network and code length; return 1 if a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(LENGTHS))
    parser.add_argument("--calibration", type=int, default=512, help="images")
    parser.add_argument("--limit", type=int, help="use only the first so many test images")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    print(f"{machine()}; {options.calibration} calibration images")
    head = (
        "network",
        "T",
        "ANN",
        "SNN",
        "drop",
        "agrees",
        "spikes/neuron",
        "additions/MACs",
        "ticks",
    )
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    rows, missed = [], 0
    for name in options.networks:
        start = time.perf_counter()
        chosen = case(name)
        prepared = sw.calibrate(chosen.model, chosen.calibration(options.calibration))
        snn = sw.convert(prepared, T=max(LENGTHS[name]))
        result = sw.evaluate(
            snn, chosen.test(options.limit), reference=chosen.model, code_lengths=LENGTHS[name]
        )
        ann = 100 * (result.reference_accuracy or 0.0)
        for x in result.lengths:
            accuracy = 100 * (x.accuracy() or 0.0)
            drop = ann - accuracy
            missed += drop > FLOORS[name][x.T] + 1e-6
            cells = (
                name,
                x.T,
                f"{ann:.2f}",
                f"{accuracy:.2f}",
                f"{drop:+.2f}",
                f"{100 * (x.agreement() or 0.0):.1f} %",
                f"{x.spikes_per_neuron:.3f}",
                f"{x.additions_per_sample / x.macs:.3f}",
                x.latency_ticks,
            )
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            rows.append(dict(zip(head, cells, strict=True)))
        print(f"<!-- {name}: {time.perf_counter() - start:.0f} s -->", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))
    print(f"{missed} of {len(rows)} rows miss their floor", file=sys.stderr)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
