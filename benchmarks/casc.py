# SPDX-License-Identifier: Apache-2.0
"""CASC on networks trained for it: what settles, when, on what, and at which cost.

    SPIKEWRIGHT_DATA=... python benchmarks/casc.py [--networks resnet20-q8 …]

The networks are trained first if they have not been (``train_casc.py``). Every neuron's total of
spikes is compared with the level that the quantised ANN's activation has on the same image, in
double precision; the ANN's levels are read off its own modules. Exit code 1 if one differs, or the
quantised network misses the accuracy that is aimed at.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from _data import Case
from _machine import machine
from train_casc import RECIPES, trained

import spikewright as sw
from spikewright.evaluation.result import LengthResult
from spikewright.network import SpikingNetwork
from spikewright.simulators import settle, simulator

NETWORKS = [name for name, recipe in RECIPES.items() if recipe.activation == "casc"]
AIM = {"resnet20-q8": 1.0, "resnet20-q16": 0.5}
"""Points that the quantised ANN may lie below the full-precision one."""
INTEGER_IMAGES = 50


def main() -> int:
    """Print a block a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--limit", type=int, help="test images, for a trial")
    options = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    print(machine())
    missed = 0
    for name in options.networks:
        with torch.enable_grad():
            found, result = trained(name)
        missed += show(name, found, result.model, result.cost, options.limit)
    print(f"\n{missed} claims missed")
    return 1 if missed else 0


def show(name: str, found: Case, model: nn.Module, cost: object, limit: int | None) -> int:
    """Convert, run and print; return how many claims do not hold."""
    Q = RECIPES[name].levels
    test = list(found.test(limit))
    full = sum(int((found.model(x).argmax(1) == y).sum()) for x, y in test)
    model.eval()
    snn = sw.convert(model, "casc", T=Q, calibration=found.calibration(128))
    result = sw.evaluate(snn, test, reference=model)
    run = result.lengths[0]
    rest = run.rest_step(1.0) or run.steps
    quantised = 100 * (result.reference_accuracy or 0.0)
    drop = 100 * full / run.samples - quantised
    print(f"\n{name}: {run.samples} test images, Q = T = {Q}; {spent(cost)}")
    print(f"  full-precision ANN {100 * full / run.samples:.2f} %")
    print(f"  quantised ANN      {quantised:.2f} %")
    print(f"  spiking, by tick   {by_tick(run, Q, rest)}")
    print(
        f"  steps asleep until rest: median {(run.rest_step(0.5) or Q) - Q}, "
        f"99 % {(run.rest_step(0.99) or Q) - Q}, all {rest - Q} (bound {run.steps - Q})"
    )
    print(
        f"  spikes a neuron {run.spikes_per_neuron:.2f}, additions "
        f"{run.additions_per_sample / run.macs:.2f} of the ANN's multiply-adds, "
        f"{run.analog_macs / run.macs:.3f} multiply-adds left (first layer)"
    )
    wrong = in_integers(snn, test)
    print("  against the quantised ANN on all images:")
    report("single precision", *differing(snn, model, test, Q))
    calibration = [(x.double(), y) for x, y in found.calibration(128)]
    exact = model.double()
    snn = sw.convert(exact, "casc", T=Q, calibration=calibration)
    differ, neurons, decided = differing(snn, exact, [(x.double(), y) for x, y in test], Q)
    report("double precision", differ, neurons, decided)
    print(f"  in integers: {wrong} totals differ from the integer network at rest", flush=True)
    aim = AIM.get(name)
    missed = int(differ > 0) + int(decided > 0) + int(wrong > 0)
    if aim is not None and limit is None:
        missed += int(drop > aim)
        print(f"  drop by quantising {drop:.2f} points, aim {aim} {'MISSED' if drop > aim else ''}")
    return missed


def report(precision: str, differ: int, neurons: int, decided: int) -> None:
    """Print how many totals and decisions differ; near-ties in single precision spread."""
    text = f"{differ:,} of {neurons:,} totals of neurons and {decided} decisions differ"
    print(f"    {precision}: {text}")


def spent(cost: object) -> str:
    """Say what training took."""
    return f"trained for {cost.epochs} epochs, {cost.seconds / 60:.0f} min"  # type: ignore[attr-defined]


def by_tick(run: LengthResult, Q: int, rest: int) -> str:
    """Return the accuracy at some ticks of both phases."""
    ticks = sorted({1, Q // 2, Q, Q + 1, Q + 2, Q + 4, Q + 8, rest} & set(range(1, rest + 1)))
    return "  ".join(f"{t}: {100 * (run.accuracy(t) or 0):.1f}" for t in ticks)


def totals(snn: SpikingNetwork, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the total of every neuron's spikes, and the decisions."""
    found: dict[str, Tensor] = {}

    def add(source: str, first: int, sent: Tensor) -> None:
        total = sent.sum(0)
        found[source] = found[source].add_(total) if source in found else total

    outputs: tuple[Tensor, ...] = ()
    for step in simulator(snn).over_time(snn.check_input(x), add):
        outputs = step
    return {n.name: found[n.name] for n in snn.spiking_nodes()}, outputs[0].argmax(1)


def differing(
    snn: SpikingNetwork, ann: nn.Module, test: list[tuple[Tensor, Tensor]], Q: int
) -> tuple[int, int, int]:
    """Return how many neurons' totals differ from the ANN's levels, of how many, and decisions."""
    levels: list[Tensor] = []
    hooks = [
        m.register_forward_hook(lambda m, i, out: levels.append(out / m.cap * Q))
        for m in ann.sites.values()  # type: ignore[union-attr]
    ]
    differ = neurons = decided = 0
    for x, _ in test:
        levels.clear()
        wanted = ann(x).argmax(1)
        found, decisions = totals(snn, x)
        decided += int((decisions != wanted).sum())
        if len(levels) != len(found):
            raise RuntimeError(f"{len(levels)} activations, {len(found)} populations")
        for level, total in zip(levels, found.values(), strict=True):
            differ += int((level.round() != total).sum())
            neurons += total.numel()
    for hook in hooks:
        hook.remove()
    return differ, neurons, decided


def in_integers(snn: SpikingNetwork, test: list[tuple[Tensor, Tensor]]) -> int:
    """Return how many totals of the integer network differ from its closed form."""
    network = snn.to_integer()
    x = torch.cat([x for x, _ in test])[:INTEGER_IMAGES]
    at_rest = settle(network, x).counts
    return sum(int((at_rest[n] != total).sum()) for n, total in totals(network, x)[0].items())


if __name__ == "__main__":
    sys.exit(main())
