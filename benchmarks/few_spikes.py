# SPDX-License-Identifier: Apache-2.0
"""Spikes against accuracy: codes, prices of a spike, and different T per layer.

    SPIKEWRIGHT_DATA=... python benchmarks/few_spikes.py [NETWORK …] [--T 6 8] [--prices 0 0.001 …]
        [--mixed] [--bounds]

Each row is a network, a code, a T and a price; ``--mixed`` adds T by layer within the steps, spikes
and ticks of each uniform T. ``--bounds`` prints, for every population at the first T, what it sends
in either code and the least number of spikes a neuron that could carry the entropy of its values
in T symbols of two or three kinds. At most 512 calibration images, no labels. Exit code 1 if the
signed code needs more than 0.9 of the binary code's spikes at a T of 6 or more, at price 0, where
both have the same accuracy.
"""

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

import spikewright as sw
from spikewright.methods import Prepared

sys.path.insert(0, str(Path(__file__).parent))
from _data import Case, case
from _machine import machine

from spikewright.text import table

AIM = 0.9
HEAD = (
    "network",
    "T",
    "code",
    "price",
    "mixed",
    "ANN",
    "SNN",
    "agrees",
    "spikes",
    "of binary",
    "additions",
    "ticks",
)


def main() -> int:
    """Print a table for each network; return 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["resnet20"])
    parser.add_argument("--T", type=int, nargs="*", default=[6, 8])
    parser.add_argument("--codes", nargs="*", default=["radix", "signed-radix"])
    parser.add_argument("--prices", type=float, nargs="*", default=[0.0, 0.001, 0.003, 0.01])
    parser.add_argument("--mixed", action="store_true", help="T by layer, binary code, no price")
    parser.add_argument("--prepare", default="none", help="in mixed and uniform rows alike")
    parser.add_argument("--bounds", action="store_true")
    options = parser.parse_args()
    print(machine())
    missed = 0
    for name in options.networks:
        chosen = case(name)
        prepared = sw.calibrate(chosen.model, chosen.calibration(512))
        rows: list[list[str]] = []
        for T in options.T:
            base: dict[float, float] = {}
            for code in options.codes:
                for price in options.prices:
                    settings = {"T": T, "code": code, "spike_price": price}
                    row, spikes = measured(
                        chosen, prepared, {**settings, "prepare": options.prepare}
                    )
                    base.setdefault(price, spikes)
                    row[9] = f"{spikes / base[price]:.3f}"
                    aimed = code != "radix" and price == 0.0 and T >= 6 and "radix" in options.codes
                    missed += aimed and spikes / base[price] > AIM
                    rows.append(row)
            for budget in ("steps", "spikes", "ticks") if options.mixed else ():
                settings = {"T": T, "mixed": budget, "prepare": options.prepare}
                row, spikes = measured(chosen, prepared, settings)
                row[9] = f"{spikes / base[0.0]:.3f}"
                rows.append(row)
        print(table([*HEAD], rows, width=140, left=1), flush=True)
        if options.bounds:
            bounds(chosen, prepared, options.T[0])
    return int(missed > 0)


def measured(
    chosen: Case, prepared: Prepared, settings: dict[str, object]
) -> tuple[list[str], float]:
    """Return a row and the spikes a neuron."""
    snn = sw.convert(prepared, **settings)
    result = sw.evaluate(snn, chosen.test(), reference=chosen.model)
    last = result.lengths[-1]
    lengths = Counter(snn.sites[n.name].code.T for n in snn.spiking_nodes())
    row = [
        chosen.name,
        f"{settings['T']}",
        str(settings.get("code", "radix")),
        f"{settings.get('spike_price', 0.0):g}",
        str(settings.get("mixed", "")),
        f"{100 * (result.reference_accuracy or 0.0):.2f}",
        f"{100 * (last.accuracy() or 0.0):.2f}",
        f"{100 * (last.agreement() or 0.0):.1f} %",
        f"{last.spikes_per_neuron:.4f}",
        "",
        f"{last.additions_per_sample / 1e6:.2f} M",
        f"{snn.timing().latency_ticks}",
    ]
    print(" | ".join(row), dict(sorted(lengths.items())), file=sys.stderr, flush=True)
    return row, last.spikes_per_neuron


def bounds(chosen: Case, prepared: Prepared, T: int) -> None:
    """Print what each population sends and what the entropy of its values allows."""
    from spikewright.simulators.collapsed import Collapsed

    nets = {c: sw.convert(prepared, T=T, code=c) for c in ("radix", "signed-radix")}
    counts: dict[str, Tensor] = {}

    def observe(name: str, n: Tensor) -> None:
        found = torch.bincount(n.abs().flatten().long(), minlength=2**T)
        counts[name] = counts.get(name, torch.zeros_like(found)) + found

    run = Collapsed(nets["radix"])
    with torch.no_grad():
        for x, _ in chosen.test():
            run(x, observe)
    rows = []
    for node in nets["radix"].spiking_nodes():
        share = counts[node.name].double() / counts[node.name].sum()
        entropy = float(-(share[share > 0] * share[share > 0].log2()).sum())
        values = torch.arange(2.0**T)
        sent = [
            float((net.sites[node.name].code.count(values, signed=False).double() * share).sum())
            for net in nets.values()
        ]
        least = [T * sparsest(entropy / T, kinds) for kinds in (2, 3)]
        rows.append([node.name, f"{entropy:.2f}", *(f"{v:.3f}" for v in (*sent, *least))])
    head = [
        "population",
        "bits a neuron",
        "binary",
        "signed",
        "bound, 2 symbols",
        "bound, 3 symbols",
    ]
    print(table(head, rows, width=140, left=1), flush=True)


def sparsest(bits: float, kinds: int) -> float:
    """Return the least share of spikes p among symbols that carry so many bits each.

    A symbol carries at most h(p) + p·log2(kinds - 1) bits, h the binary entropy.
    """
    low, high = 0.0, (kinds - 1) / kinds
    for _ in range(60):
        p = (low + high) / 2.0
        h = -sum(q * math.log2(q) for q in (p, 1.0 - p) if q > 0.0)
        low, high = (p, high) if h + p * math.log2(kinds - 1) < bits else (low, p)
    return high


if __name__ == "__main__":
    sys.exit(main())
