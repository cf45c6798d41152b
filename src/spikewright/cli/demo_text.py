# SPDX-License-Identifier: Apache-2.0
"""Every line that the demo prints: 80 columns, each word explained where it first appears."""

import textwrap
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from spikewright.cli.demo_training import Trained
from spikewright.cli.machine import MachineOptions
from spikewright.cli.report import CONVENTIONS
from spikewright.cli.terminal import command
from spikewright.energy import Energy, verdict
from spikewright.energy.energy_text import energy_text
from spikewright.evaluation import LengthResult, Result
from spikewright.network import SpikingNetwork
from spikewright.simulators import Verification
from spikewright.text import number, percent, table
from spikewright.training import TrainingResult

__all__ = [
    "OPENING",
    "block",
    "closing",
    "conversion",
    "energy",
    "listed",
    "measurement",
    "pipeline",
    "settling",
    "training",
    "verification",
]

OPENING = """\
Spikewright demo. It trains a small network on handwritten digits and turns it
into a spiking network: one whose layers exchange spikes, 0 or 1, instead of
numbers. Then it checks and measures the result. Takes less than a minute."""


def training(
    trained: Trained, samples: int, accuracy: float, tested: int, machine: MachineOptions
) -> str:
    """Say what was trained on what, and how well."""
    weights = sum(p.numel() for p in trained.model.parameters())
    return block(
        "1. Train the original network, the ANN",
        data=f"{samples:,} scans of handwritten digits, 8 x 8 pixels, which come with this package "
        "(E. Alpaydin and C. Kaynak, UCI, 1998, CC BY 4.0)",
        network="convolutions with batch norm, a residual block and max pools; "
        f"{weights:,} parameters",
        trained=f"{trained.epochs} passes over the data in {trained.seconds:.1f} s on {machine}",
        accuracy=f"{percent(accuracy)} of {tested:,} other scans",
    )


def conversion(snn: SpikingNetwork, samples: int) -> str:
    """Say what the conversion made."""
    neurons, steps = snn.neurons(), snn.steps
    return block(
        "2. Convert it into a spiking network, the SNN",
        method=f"SpikeConverter (F. Liu et al., AAAI 2022) with T = {snn.T}: a number travels as a "
        f"train of {steps} time steps, a spike or none in each; a spike is worth twice what the "
        "next one is, like the digits of a binary number",
        data=f"{samples:,} of the training scans show how large the values get; nothing is trained",
        result=f"{sum(neurons.values()):,} neurons in {len(neurons)} layers",
    )


def verification(checks: Mapping[str, Verification]) -> str:
    """Say whether the simulators agree, and on how much."""
    rows = {form: _verdict(check) for form, check in checks.items()}
    rows["integer"] += ". Here weights have 8 bits and all arithmetic is on whole numbers"
    return block(
        "3. Verify: a tick-by-tick simulator and a fast one must fire the same spikes", **rows
    )


def _verdict(check: Verification) -> str:
    trains = sum(site.values for site in check.sites)
    differ = check.mismatches + check.near_ties
    text = f"{'agree' if check.agrees else 'DISAGREE'}: {check.samples} scans, {trains:,} trains, "
    if differ == 0:
        return text + "all the same"
    text += f"all the same but {differ:,}"
    return text + (", by a rounding error at a tie" if check.mismatches == 0 else "")


def measurement(result: Result, T: int, integer_accuracy: float) -> str:
    """Write the tables: after every step at one T, and each T."""
    at, ann = result.at(T), result.reference_accuracy
    first = at.latency_ticks - at.steps
    steps = [
        [str(t), str(first + t), percent(at.accuracy(t)), percent(ann), percent(at.agreement(t))]
        for t in range(1, at.steps + 1)
    ]
    lengths = [
        [
            str(x.T),
            percent(x.accuracy()),
            percent(ann),
            percent(x.agreement()),
            f"{x.spikes_per_neuron:.2f}",
            number(x.additions_per_sample),
            f"{x.latency_ticks}",
            f"{x.ticks_per_input}",
        ]
        for x in result.lengths
    ]
    ratio = at.additions_per_sample / max(1, at.macs - at.analog_macs)
    work = textwrap.fill(
        f"Work per scan. ANN: {number(at.macs)} multiply-adds. SNN at T = {T}: "
        f"{number(at.additions_per_sample)} additions ({ratio:.2f} for each multiply-add they "
        f"replace), and {number(at.analog_macs)} multiply-adds in the first layer, which sees the "
        f"scan itself. With weights rounded to 8 bits the SNN is right on "
        f"{percent(integer_accuracy)}.",
        width=80,
    )
    return "\n".join(
        [
            f"4. Measure on the {at.samples:,} other scans",
            "",
            f"T = {T}, after every step of the last layer. The weightiest spikes come first, so",
            "the decision can be read early. A tick is one time step of the whole network.",
            "",
            table(["step", "tick", "SNN right", "ANN right", "same as ANN"], steps, left=0),
            "",
            "After the last step, for shorter and longer trains:",
            "",
            table(
                ["T", "SNN", "ANN", "same", "spikes/neuron", "additions", "latency", "every"],
                lengths,
                left=0,
            ),
            "",
            "Latency: ticks from an input to its decision. Every: an input enters every so",
            "many ticks, because the layers work on several inputs at once.",
            "",
            work,
            "",
            CONVENTIONS,
        ]
    )


def energy(length: LengthResult, energies: Sequence[Energy]) -> str:
    """Say what an input costs under every model."""
    return "\n".join(
        [
            f"5. What it costs: energy for a scan at T = {length.T}, by model",
            "",
            energy_text(energies),
            "",
            textwrap.fill(verdict(length, None, energies)[1], width=80),
        ]
    )


def pipeline(snn: SpikingNetwork) -> str:
    """Draw who works when."""
    return "\n".join(
        [
            "6. The pipeline: three scans on their way through the layers",
            "",
            *(line.rstrip() for line in snn.timeline().splitlines()),
            "The last depth is the read-out: it accumulates class scores and does not fire.",
        ]
    )


def settling(trained: TrainingResult, result: Result) -> str:
    """Say what training for the conversion brings."""
    at = result.lengths[-1]
    median, last = at.rest_step(0.5), at.rest_step(1.0)
    return block(
        "7. Or train for the conversion: CASC, without any loss",
        network=f"the same one; its activations take {at.T} levels only, and {trained.cost.epochs} "
        f"more passes over the data ({trained.cost.seconds:.1f} s) get it used to them",
        method=f"CASC (2024): {at.T} ticks awake, then asleep, without input, until every neuron "
        "has taken back the spikes that were too many and sent those that were missing",
        quantised=f"{percent(result.reference_accuracy)} right (the ANN with {at.T} levels)",
        spiking=f"{percent(at.accuracy(at.T))} right when it falls asleep, "
        f"{percent(at.accuracy())} at rest, where it decides like the quantised ANN on "
        f"{at.agree[-1]} of {at.compared} scans",
        rest=f"after {median} ticks (median), {last} (all scans); {at.spikes_per_neuron:.2f} "
        f"spikes a neuron, {number(at.additions_per_sample)} additions",
    )


def closing(folder: Path, files: Mapping[str, str]) -> str:
    """Say what was written and what to do next."""
    evaluate = ("evaluate", "--snn", folder / "snn.safetensors", "--data", "digits-test")
    inspect = ("inspect", "--model", "torchvision:resnet18", "--shape", "3,64,64")
    missing = (
        ""
        if find_spec("torchvision")
        else "\nThe second one needs torchvision: pip install 'spikewright[vision]'"
    )
    return (
        f"Written to {folder}:\n{listed(files)}\n\n"
        "Next, for example:\n"
        f"  {command(*evaluate, '--layers')}\n"
        f"  {command(*inspect)}{missing}"
    )


def listed(files: Mapping[str, str]) -> str:
    """Write a line for each file: its name and what it is."""
    width = max(map(len, files))
    return "\n".join(f"  {name:<{width}s}  {what}" for name, what in files.items())


def block(title: str, **rows: str) -> str:
    """Write a title and named paragraphs below it, 80 columns wide."""
    lines = [title]
    for name, content in rows.items():
        lines.append(
            textwrap.fill(
                content, width=80, initial_indent=f"   {name:<10s}", subsequent_indent=" " * 13
            )
        )
    return "\n".join(lines)
