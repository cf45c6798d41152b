# SPDX-License-Identifier: Apache-2.0
"""An evaluation in three sentences: is it right, does it pay, how long does it take."""

from collections.abc import Sequence

from spikewright.measure.energy import OPPONENTS, Energy, Opponent
from spikewright.measure.length import LengthResult
from spikewright.text import counted

__all__ = ["opponent_name", "verdict"]


def opponent_name(opponent: Opponent, bits: int) -> str:
    """Name an opponent.

    Example:
        >>> opponent_name("fp32", 4), opponent_name("quantised", 4)
        ('the FP32 ANN', 'the 4-bit ANN')
    """
    return "the FP32 ANN" if opponent == "fp32" else f"the {bits}-bit ANN"


def verdict(
    length: LengthResult, ann_accuracy: float | None, energies: Sequence[Energy]
) -> tuple[str, str, str]:
    """Say in three sentences what a network achieves, what it costs, how long it takes.

    A saving is claimed only where every model agrees, against both opponents.

    Args:
        length: What was measured.
        ann_accuracy: Share of right decisions of the original network, if it was run.
        energies: What an input costs, one entry for each model.
    """
    return _accuracy(length, ann_accuracy), _energy(energies), _latency(length)


def _accuracy(length: LengthResult, ann: float | None) -> str:
    inputs, own = counted(length.samples, "input"), length.accuracy()
    agrees = length.agreement()
    same = "" if agrees is None else f"decides as the ANN does on {100 * agrees:.1f} %"
    when = "At rest" if length.settles else f"After {length.steps} steps"
    if own is None:
        return f"After {length.steps} steps the spiking network {same or 'was run'} of {inputs}."
    text = f"{when} the spiking network is right on {100 * own:.2f} % of {inputs}"
    if ann is None:
        return f"{text}; the ANN was not run."
    points = 100 * (own - ann)
    where = "as many as" if abs(points) < 0.005 else f"{abs(points):.2f} points "
    where += "" if abs(points) < 0.005 else ("above" if points > 0 else "below")
    text += f", {where} the ANN ({100 * ann:.2f} %)"
    return f"{text}, and {same}." if same else f"{text}."


def _energy(energies: Sequence[Energy]) -> str:
    if not energies:
        return "Its energy was not priced."
    models = "the one energy model" if len(energies) == 1 else f"all {len(energies)} energy models"
    ratios = [e.ratio(o) for e in energies for o in OPPONENTS]
    names = " and ".join(opponent_name(o, energies[0].bits) for o in OPPONENTS)
    span = f"{min(ratios):.2g} to {max(ratios):.2g} times the energy of {names}"
    if max(ratios) < 1.0:
        return f"It saves energy under {models}: it needs {span}."
    if min(ratios) >= 1.0:
        return f"It saves no energy under {models}: it needs {span}."
    paying = [
        f"against {opponent_name(o, energies[0].bits)} under "
        f"{sum(e.pays(o) for e in energies)} of {len(energies)}"
        for o in OPPONENTS
    ]
    text = f"Whether it saves energy depends on the model: it pays {' and '.join(paying)}"
    never = sorted({e.model.name for e in energies for o in OPPONENTS if e.never_pays(o)})
    if never:
        more = f" and {len(never) - 3} more" if len(never) > 3 else ""
        return f"{text}; under {', '.join(never[:3])}{more} even a silent network would not."
    limits = [(e.break_even(o), e.model.name) for e in energies for o in OPPONENTS]
    least, name = min((limit, name) for limit, name in limits if limit is not None)
    spikes = energies[0].spikes_per_neuron
    return (
        f"{text}; it would pay under all of them below {least:.2g} spikes a neuron and input "
        f"({name}), and it sends {spikes:.2g}."
    )


def _latency(length: LengthResult) -> str:
    if length.settles:
        return (
            f"From input to decision it takes {length.mean_ticks:.1f} ticks on average and "
            f"{length.most_ticks} at most, then the next input can enter."
        )
    return (
        f"From input to decision it takes {length.latency_ticks} ticks; a new input can enter "
        f"every {length.ticks_per_input}."
    )
