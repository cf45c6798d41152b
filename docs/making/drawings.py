# SPDX-License-Identifier: Apache-2.0
"""Draws the pictures of docs/codes.md with the codes, neurons and schedules of the package.

python docs/making/drawings.py           # writes docs/pictures/*.svg

The tests draw them again and compare, so that what they show is what the code does.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import spikewright as sw
from spikewright.codes import Code, Radix, Rate, Switch, WakeSleep
from spikewright.neurons import Firing, stepping
from spikewright.neurons.inverse_lif import accumulate_, begin_fire_, fire_

__all__ = ["DRAWINGS", "draw"]

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
VALUE, T = 0.7, 8
INK, BLUE, RED, GREEN, GREY = "#222222", "#1f5fbf", "#c2410c", "#2e7d32", "#9aa0a6"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "spikewright",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def codes() -> Figure:
    """One value in every code."""
    rows: list[tuple[str, Code]] = [
        ("radix, k = 2", Radix(T=T)),
        ("rate", Rate(T=T)),
        ("switch", Switch(T=T)),
        ("wake-sleep", WakeSleep(T=T, sleep=4)),
    ]
    figure, axes = _rows(len(rows), height=1.05)
    for ax, (title, code) in zip(axes, rows, strict=True):
        target = torch.tensor([VALUE * code.max_value + 0.5])  # half a unit: rounded
        train = code.encode(target)
        n = code.decode(train)
        weights = code.weights if isinstance(code, Radix) else (1.0,) * code.steps
        heights = [float(s) * w / max(weights) for s, w in zip(train[:, 0], weights, strict=True)]
        _spikes(ax, heights, BLUE)
        if isinstance(code, WakeSleep):
            ax.axvspan(T + 0.5, code.steps + 0.5, color=GREY, alpha=0.18, lw=0)
            ax.text(T + (code.steps - T) / 2 + 0.5, 0.5, "asleep", ha="center", color=GREY)
        what = "events" if isinstance(code, Switch) else "spikes"
        ax.set_xlim(0.4, T + 4.6)
        ax.set_ylim(-0.08, 1.25)
        ax.set_title(
            f"{title}:  n = {float(n):g} of {code.max_value:g},  stands for "
            f"{float(n) / code.max_value:.3f},  {int(code.count(n))} {what}",
            loc="left",
        )
        ax.set_yticks([])
        ax.set_xticks(range(1, code.steps + 1))
        ax.spines["left"].set_visible(False)
    axes[-1].set_xlabel("time step")
    return figure


def levels() -> Figure:
    """What trains of four steps can stand for."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    values = torch.linspace(0, 1, 601)
    for place, (title, code, colour) in enumerate(
        [("radix, k = 2, T = 4", Radix(T=4), BLUE), ("rate, T = 4", Rate(T=4), RED)], start=1
    ):
        ax = figure.add_subplot(1, 2, place)
        kept = code.quantise_(values * code.max_value + 0.5)
        ax.plot(values, values, color=GREY, lw=1)
        ax.plot(values, kept / code.max_value, color=colour, lw=1.6, drawstyle="steps-post")
        found = code.levels(1000) or ()
        ax.set_title(f"{title}: {len(found)} values", loc="left")
        ax.set_xlabel("value, as a share of λ")
        ax.set_ylabel("what the train stands for")
    return figure


def bursts() -> Figure:
    """A current that comes late: one spike a step is too few, bursts catch up."""
    current = [0.0, 0.0, 0.0, 0.0, 0.0, 3.1, 1.3, 1.2]
    figure, axes = _rows(3, height=0.95)
    axes[0].bar(range(1, T + 1), current, color=GREY, width=0.5)
    axes[0].set_title(f"current, {sum(current):g} thresholds in all", loc="left")
    for ax, name, gamma, colour in ((axes[1], "if-soft", 1, RED), (axes[2], "burst", 5, BLUE)):
        train, v = _run(name, current, Firing(gamma=gamma))
        _spikes(ax, train, colour)
        ax.set_title(
            f"{name}{f', Γ = {gamma}' if gamma > 1 else ''}:  {sum(train):g} spikes,  "
            f"{v:.1f} thresholds left over",
            loc="left",
        )
    for ax in axes:
        ax.set_xlim(0.4, T + 0.6)
        ax.set_ylim(-0.1, 3.2)
        ax.set_xticks(range(1, T + 1))
    axes[-1].set_xlabel("time step")
    return figure


def too_early() -> Figure:
    """Two inputs that cancel: who does not wait fires."""
    current = [1.0, 0.0, 1.0, 0.0, 0.0, -1.0, -1.0, 0.0]
    late = [0.0] * 4
    figure, axes = _rows(4, height=0.9)
    axes[0].bar(range(1, T + 1), current, color=GREY, width=0.5)
    axes[0].axhline(0, color=INK, lw=0.6)
    axes[0].set_title("current: two excitatory spikes, then two inhibitory ones; sum 0", loc="left")
    train, _ = _run("if-soft", current, Firing())
    _spikes(axes[1], train, RED)
    axes[1].set_title(
        f"if-soft fires at once: {sum(train):g} spikes, and none is right", loc="left"
    )
    v = torch.zeros(1)
    for each in current:
        accumulate_(v, torch.tensor([each]), 1.0)
    begin_fire_(v, 0.5)
    fired = [float(fire_(v, 1.0, 1.0)) for _ in range(4)]
    _spikes(axes[2], [0.0] * T + fired, BLUE)
    axes[2].axvspan(T + 0.5, T + 4.5, color=BLUE, alpha=0.10, lw=0)
    axes[2].text(T + 2.5, 0.45, "fires", ha="center", color=BLUE)
    axes[2].set_title(
        f"inverse-lif (k = 1) accumulates first, then fires: {sum(fired):g} spikes", loc="left"
    )
    train, _ = _run("consistent-if", [*current, *late], Firing(wake=T))
    _spikes(axes[3], train, GREEN)
    axes[3].axhline(0, color=INK, lw=0.6)
    axes[3].axvspan(T + 0.5, T + 4.5, color=GREY, alpha=0.18, lw=0)
    axes[3].set_title(
        f"consistent-if takes spikes back: {sum(abs(s) for s in train):g} spikes, sum "
        f"{sum(train):g}",
        loc="left",
    )
    for ax in axes:
        ax.set_xlim(0.4, T + 4.6)
        ax.set_ylim(-1.35 if ax in (axes[0], axes[3]) else -0.1, 1.35)
        ax.set_xticks(range(1, T + 5))
        ax.set_yticks([])
    axes[-1].set_xlabel("time step")
    return figure


def inverse_lif() -> Figure:
    """The potential of one neuron over both phases."""
    code, steps = Radix(T=4), 4
    inputs = [(11.0, 0.5), (6.0, 0.75)]
    trains = [code.encode(torch.tensor([n])) for n, _ in inputs]
    v = torch.zeros(1)
    potential = [0.0]
    for t in range(steps):
        current = sum(w * train[t] for (_, w), train in zip(inputs, trains, strict=True))
        accumulate_(v, torch.as_tensor(current), code.k)
        potential.append(float(v))
    total = float(v)
    begin_fire_(v, 0.5)
    fired = []
    for _ in range(steps):
        fired.append(float(fire_(v, code.k ** (steps - 1), code.k)))
        potential.append(float(v))
    figure, axes = _rows(4, height=0.8, heights=[0.6, 0.6, 2.0, 0.6])
    for ax, (n, w), train in zip(axes, inputs, trains, strict=False):
        _spikes(ax, [float(s) for s in train], GREY)
        ax.set_title(f"input train, n = {n:g}, through a synapse of weight {w:g}", loc="left")
    axes[2].plot(range(2 * steps + 1), potential, color=BLUE, marker="o", ms=3.5, lw=1.2)
    axes[2].axhline(code.k ** (steps - 1), xmin=0.5, color=RED, lw=1, ls="--")
    axes[2].set_title(
        f"potential: doubles every step; after the train it is {total:g} = "
        + " + ".join(f"{w:g}·{n:g}" for n, w in inputs)
        + f"; dashed: threshold {code.k ** (steps - 1):g}",
        loc="left",
    )
    _spikes(axes[3], [0.0] * steps + fired, BLUE)
    n = float(code.decode(torch.tensor(fired)[:, None]))
    axes[3].set_title(f"output train, n = {n:g}", loc="left")
    for i, ax in enumerate(axes):
        ax.axvspan(steps + 0.5, 2 * steps + 0.6, color=BLUE, alpha=0.08, lw=0)
        ax.set_xlim(-0.2, 2 * steps + 0.6)
        ax.set_xticks(range(1, 2 * steps + 1))
        if i != 2:
            ax.set_ylim(-0.1, 1.3)
            ax.set_yticks([])
    axes[3].set_xlabel("tick: 1 to 4 accumulate, 5 to 8 fire")
    return figure


def timeline() -> Figure:
    """Who works when, for three inputs, in both schedules."""
    x = torch.rand(32, 6, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    short, long = 4, 12
    layered = sw.convert(model, "spikeconverter", T=short, calibration=x).timing()
    together = sw.convert(model, "rueckauer", T=long, calibration=x).timing()
    figure, axes = _rows(2, height=1.75)
    colours = (BLUE, RED, GREEN)
    sites = [site for site, depth in layered.depth.items() if depth > 0]
    for i, colour in enumerate(colours):
        start = i * layered.ticks_per_input()
        for phase in layered.phases(start):
            fires = phase.action == "fire"
            axes[0].barh(
                sites.index(phase.site) + (0.2 if fires else -0.2),
                phase.stop - phase.start,
                left=phase.start,
                height=0.36,
                color=colour,
                alpha=0.9 if fires else 0.35,
                lw=0,
            )
    end = layered.latency_ticks + 2 * layered.ticks_per_input()
    axes[0].set_title(
        f"layered, T = {short}: {layered.latency_ticks} ticks to the decision, a new input "
        f"every {layered.ticks_per_input()}",
        loc="left",
    )
    for i, colour in enumerate(colours):
        for row in range(len(sites)):
            axes[1].barh(row, long, left=i * long, height=0.6, color=colour)
    axes[1].set_title(
        f"synchronous, T = {long}: {together.latency_ticks} ticks to the decision, a new "
        f"input every {together.ticks_per_input()}",
        loc="left",
    )
    names = [f"layer {i}" for i in range(1, len(sites))] + ["read-out"]
    for ax in axes:
        ax.set_yticks(range(len(sites)), names)
        ax.invert_yaxis()
        ax.set_xlim(0, max(end, 3 * long) + 0.3)
    axes[1].set_xlabel("tick; pale: accumulates, full: fires; a colour is an input")
    return figure


DRAWINGS: dict[str, Callable[[], Figure]] = {
    "codes": codes,
    "levels": levels,
    "bursts": bursts,
    "too-early": too_early,
    "inverse-lif": inverse_lif,
    "timeline": timeline,
}


def draw(folder: Path) -> None:
    """Write all drawings into a folder."""
    with mpl.rc_context(STYLE):
        for name, make in DRAWINGS.items():
            make().savefig(
                folder / f"{name}.svg", format="svg", metadata={"Date": None, "Creator": None}
            )


def _rows(
    count: int, height: float, heights: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(7.2, height * count + 0.3), layout="constrained")
    grid = figure.add_gridspec(count, 1, height_ratios=heights)
    return figure, [figure.add_subplot(grid[i, 0]) for i in range(count)]


def _spikes(ax: Axes, heights: Sequence[float], colour: str) -> None:
    """Draw a train: a line for each step that is not silent, as high as it counts."""
    for t, height in enumerate(heights, start=1):
        if height:
            ax.plot([t, t], [0, height], color=colour, lw=3, solid_capstyle="butt")
        else:
            ax.plot([t], [0], color=colour, marker=".", ms=3)


def _run(name: str, currents: Sequence[float], firing: Firing) -> tuple[list[float], float]:
    """Return what a neuron sends, and the potential it is left with."""
    neuron, like, train = stepping(name), torch.zeros(1, 1), []
    state = neuron.begin(like, firing)
    for value in currents:
        spikes: Tensor = neuron.step_(
            state, torch.full((1, 1), value), firing, torch.empty_like(like)
        )
        train.append(float(spikes))
    return train, float(state["v"])


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
