# SPDX-License-Identifier: Apache-2.0
"""How long an input takes, what of it is a bound, and what takes the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.evaluation.length import LengthResult
from spikewright.text import counted

__all__ = ["Hardware", "hardware_figure", "latency_figures", "pipeline_finding"]


@dataclass(frozen=True)
class Hardware:
    """Cycles of an inference, as a simulation of the exported network counted them.

    Attributes:
        mean: Over all inputs.
        least: Of the quickest input.
        most: Of the slowest.
        samples: How many inputs.
        lanes: Channels at once, at most.
        engine: ``"layer"`` or ``"shared"``.
        simulator: Its name and version.
    """

    mean: float
    least: int
    most: int
    samples: int
    lanes: int
    engine: str
    simulator: str


def latency_figures(x: LengthResult) -> tuple[tuple[str, str, str], ...]:
    """Return name, number and explanation of latency and throughput."""
    if x.settles and not x.at_rest:
        bound = f"at most {x.latency_ticks:,} ticks"
        why = "a bound: when inputs come to rest was not counted"
        return ("Latency", bound, why), ("One input every", bound, "a bound")
    if x.settles:
        why = (
            f"of the slowest input, to its last spike; median {x.ticks_of(0.5):,}, 99 % of "
            f"{x.unit}s within {x.ticks_of(0.99):,}; the bound is {x.latency_ticks:,}"
        )
        return (
            ("Latency", f"{x.most_ticks:,} ticks", why),
            ("One input every", f"{x.mean_ticks:.1f} ticks", "on average: the next enters then"),
        )
    membranes = "with two membranes a neuron" if x.schedule == "layered" else "one at a time"
    return (
        ("Latency", f"{x.latency_ticks:,} ticks", "from input to decision"),
        ("One input every", f"{x.ticks_per_input:,} ticks", membranes),
    )


def hardware_figure(x: Hardware) -> tuple[str, str, str]:
    """Return name, number and explanation of the cycles of an inference."""
    machines = "one machine for all layers" if x.engine == "shared" else "one machine a layer"
    return (
        "Latency in Verilog",
        f"{x.mean:,.0f} cycles",
        f"measured in {x.simulator}, mean of {x.samples}, {x.least:,} to {x.most:,}; up to "
        f"{x.lanes} lanes, {machines}; loading of inputs is not in it",
    )


def pipeline_finding(result: LengthResult) -> str:
    """Say when an input is decided and how closely inputs follow each other."""
    plan, latency = result.plan, counted(result.latency_ticks, "tick")
    every = f"a new input enters every {counted(result.ticks_per_input, 'tick')}"
    if plan["kind"] == "layered":
        delays = plan["delays"]
        held = (
            f" Spikes of shortcuts wait in {counted(len(delays), 'delay line')} of up to "
            f"{counted(max(ticks for _, ticks in delays), 'tick')}."
            if delays
            else ""
        )
        held += _depth(plan["phases"])
        return (
            "Each population first accumulates the trains in front of it, then fires its own. An "
            f"input is decided after {latency}; {every}, with two membranes a neuron.{held}"
        )
    sleep = plan.get("sleep", 0)
    asleep = f", {sleep} of them asleep, with the input off" if sleep else ""
    text = "All populations work in every tick."
    if not result.settles:
        return f"{text} An input takes {latency}{asleep}; {every}."
    return (
        f"{text} An input has {latency} at most{asleep}, which is a bound. It is decided with its "
        f"last spike, after {result.mean_ticks:.1f} ticks on average and {result.most_ticks} at "
        f"most{_rest(result)}; the next can enter then. The figure shows inputs that take all "
        "their ticks, the line the slowest one."
    )


def _depth(phases: Sequence[Sequence[Any]]) -> str:
    """Say what a layered network's latency is made of."""
    stages = sorted({(start, stop) for _, action, start, stop in phases if action == "accumulate"})
    if len(stages) < 2:
        return ""
    ticks = sorted({stop - start for start, stop in stages})
    long = counted(ticks[0], "tick") if len(ticks) == 1 else f"{ticks[0]} to {ticks[-1]} ticks"
    return (
        f" What takes the time is depth: {len(stages)} trains of {long} one behind the other, the "
        f"input's and those of {counted(len(stages) - 1, 'population')}."
    )


def _rest(result: LengthResult) -> str:
    """Say when most inputs are decided, where it was counted."""
    if not result.at_rest:
        return ""
    return f" (median {result.ticks_of(0.5)}, 99 % within {result.ticks_of(0.99)})"
