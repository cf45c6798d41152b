# SPDX-License-Identifier: Apache-2.0
"""An evaluation in three sentences: is it right, does it pay, how long does it take."""

from collections.abc import Sequence

from spikewright.energy.energy import OPPONENTS, Energy, Opponent
from spikewright.evaluation.answer_text import error_text, series_notes
from spikewright.evaluation.length import LengthResult
from spikewright.tasks.output_error import OutputError
from spikewright.text import counted, percent

__all__ = ["depends_on", "model_count", "opponent_name", "verdict"]


def opponent_name(opponent: Opponent, bits: int) -> str:
    """Name an opponent.

    Example:
        >>> opponent_name("fp32", 4), opponent_name("quantised", 4)
        ('the FP32 ANN', 'the 4-bit ANN')
    """
    return "the FP32 ANN" if opponent == "fp32" else f"the {bits}-bit ANN"


def model_count(models: int, which: str = "all") -> str:
    """Write how many energy models agree.

    Example:
        >>> model_count(1), model_count(11), model_count(11, "any of")
        ('the one energy model', 'all 11 energy models', 'any of 11 energy models')
    """
    return "the one energy model" if models == 1 else f"{which} {models} energy models"


def depends_on(energies: Sequence[Energy]) -> str:
    """Say what decides whether a network pays that does so in some pairings only."""
    agreed = all(len({e.pays(o) for e in energies}) == 1 for o in OPPONENTS)
    return "the opponent" if agreed else "the model"


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
    if length.has_scores:
        answers = _accuracy(length, ann_accuracy)
    else:
        answers = _series(length) if length.series else _errors(length)
    return answers, f"{_energy(energies)}{_work(length, energies)}", _latency(length)


def _accuracy(length: LengthResult, ann: float | None) -> str:
    inputs, own = counted(length.samples, length.unit), length.accuracy()
    if 0 < length.labelled < length.samples:
        inputs = f"the {length.labelled:,} labelled of {inputs}"
    agrees = length.agreement()
    same = "" if agrees is None else f"decides as the ANN does on {100 * agrees:.1f} %"
    when = _when(length)
    if own is None and not same:
        return _alone(length)
    if own is None:
        return f"{when} the spiking network {same} of {inputs}."
    text = f"{when} the spiking network is right on {100 * own:.2f} % of {inputs}"
    if ann is None:
        return f"{text}; the ANN was not run."
    points = 100 * (own - ann)
    where = "as many as" if abs(points) < 0.005 else f"{abs(points):.2f} points "
    where += "" if abs(points) < 0.005 else ("above" if points > 0 else "below")
    text += f", {where} the ANN ({100 * ann:.2f} %)"
    return f"{text}, and {same}." if same else f"{text}."


def _series(length: LengthResult) -> str:
    """Say what a task's figures are at the end."""
    figures = ", ".join(f"{each.name} {percent(each.at())}" for each in length.series)
    inputs = counted(length.samples, length.unit)
    notes = " ".join(series_notes(length.series))
    return f"{_when(length)} the spiking network has {figures} on {inputs}. {notes}".rstrip()


_NAMED = 4
"""Outputs that are named one by one; of more the one is told that is furthest off."""


def _errors(length: LengthResult) -> str:
    """Say how far outputs are off that are no class scores."""
    why = " Accuracy is not shown: its outputs are no class scores." if length.unused_labels else ""
    if not length.errors:
        return f"{_alone(length)}{why}"
    when, inputs = _when(length), counted(length.samples, length.unit)
    if len(length.errors) > _NAMED:
        known = error_text(length.error(), length.snr_db())
        most = "an unknown share" if length.error() is None else known
        return (
            f"{when} the spiking network's {len(length.errors)} outputs are off the ANN's by at "
            f"most {most} (relative error, or share of unequal elements), on {inputs}.{why}"
        )
    if len(length.errors) > 1:
        each = "; ".join(f"{x.name}: {_figure(x)}" for x in length.errors)
        return f"{when} the spiking network against the ANN, on {inputs}: {each}.{why}"
    only = _figure(length.errors[0])
    return f"{when} the spiking network's output against the ANN's, on {inputs}: {only}.{why}"


def _figure(error: OutputError) -> str:
    if not error.is_floating:
        return f"{percent(error.equality())} of the elements equal"
    known = error.relative_error()
    if known is None:
        return "no relative error is known"
    return f"relative error {error_text(known, error.snr_db())}"


def _when(length: LengthResult) -> str:
    return "At rest" if length.settles else f"After {counted(length.steps, 'step')}"


def _alone(length: LengthResult) -> str:
    inputs = counted(length.samples, length.unit)
    return f"The spiking network was run on {inputs}, with nothing to compare it with."


def _energy(energies: Sequence[Energy]) -> str:
    if not energies:
        return "Its energy was not priced."
    ratios = [e.ratio(o) for e in energies for o in OPPONENTS]
    names = " and ".join(opponent_name(o, energies[0].bits) for o in OPPONENTS)
    span = f"{min(ratios):.2g} to {max(ratios):.2g} times the energy of {names}"
    if max(ratios) < 1.0:
        return f"It saves energy under {model_count(len(energies))}: it needs {span}."
    if min(ratios) >= 1.0:
        return f"It saves no energy under {model_count(len(energies), 'any of')}: it needs {span}."
    paying = [
        f"against {opponent_name(o, energies[0].bits)} under "
        f"{sum(e.pays(o) for e in energies)} of {len(energies)}"
        for o in OPPONENTS
    ]
    text = f"Whether it saves energy depends on {depends_on(energies)}: it pays "
    text += " and ".join(paying)
    pairs = [(e, o) for e in energies for o in OPPONENTS if e.never_pays(o)]
    if pairs:
        never = sorted({e.model.name for e, _ in pairs})
        against = {o for _, o in pairs}
        rivals = [opponent_name(o, energies[0].bits) for o in OPPONENTS if o in against]
        more = f" and {len(never) - 3} more" if len(never) > 3 else ""
        return (
            f"{text}; under {', '.join(never[:3])}{more} even a silent network would not, against "
            f"{' or '.join(rivals)}."
        )
    limits = [(e.break_even(o), e.model.name) for e in energies for o in OPPONENTS]
    least, name = min((limit, name) for limit, name in limits if limit is not None)
    spikes = energies[0].spikes_per_neuron
    return (
        f"{text}; it would pay in every case below {least:.2g} spikes a neuron and input "
        f"({name}), and it sends {spikes:.2g}."
    )


def _work(length: LengthResult, energies: Sequence[Energy]) -> str:
    """Say what share of the work spikes do, and what function units and products do."""
    purity = length.spike_purity
    if purity is None:
        return ""
    text = f" Of its operations {percent(purity)} are additions that spikes cause"
    shares = [100 * e.snn.get("functions", 0.0) / e.total for e in energies if e.total]
    if not any(shares):
        return f"{text}."
    low, high = f"{min(shares):.2g}", f"{max(shares):.2g}"
    span = low if low == high else f"{low} to {high}"
    return f"{text}; function units take {span} % of its energy."


def _latency(length: LengthResult) -> str:
    if length.settles and not length.at_rest:
        return (
            f"From input to decision it takes at most {counted(length.latency_ticks, 'tick')}, "
            "which is a bound: when inputs come to rest was not counted."
        )
    if length.settles:
        return (
            f"From input to decision it takes {length.mean_ticks:.1f} ticks on average and "
            f"{length.most_ticks} at most (the bound is {length.latency_ticks}), then the next "
            "input can enter."
        )
    return (
        f"From input to decision it takes {counted(length.latency_ticks, 'tick')}; a new input can "
        f"enter every {length.ticks_per_input}."
    )
