# SPDX-License-Identifier: Apache-2.0
"""What a report says, whatever it is written as: verdict, figures in words, what is left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikewright.energy.energy import OPPONENTS, Energy, energy_of
from spikewright.energy.energy_model import EnergyModel
from spikewright.energy.verdict import depends_on, model_count, opponent_name, verdict
from spikewright.errors import ConfigError
from spikewright.evaluation.answer_text import error_text
from spikewright.report.merit import merit_of
from spikewright.report.read import Measured, Run
from spikewright.text import counted, percent

__all__ = ["Content", "Priced", "content", "model_name", "not_counted", "times"]


_ROUNDING = 1e-9  # 100 · (0.91 − 0.90) is a little more than 1


@dataclass(frozen=True)
class Priced:
    """A run with what it costs.

    Attributes:
        run: The run.
        energies: Energy for one input, one entry for each model.
        verdict: Accuracy, energy and latency, a sentence each.
    """

    run: Run
    energies: tuple[Energy, ...]
    verdict: tuple[str, str, str]


@dataclass(frozen=True)
class Content:
    """What every form of a report is made from.

    Attributes:
        measured: What was measured.
        models: The energy models, the one first that energy is split and drawn by.
        runs: Every run with what it costs.
        verdict: Three sentences on the whole.
    """

    measured: Measured
    models: tuple[EnergyModel, ...]
    runs: tuple[Priced, ...]
    verdict: tuple[str, str, str]

    @property
    def main(self) -> Priced:
        """The run that a report without rivals is about: that of the longest code."""
        return self.runs[-1]


def content(measured: Measured, models: Sequence[EnergyModel]) -> Content:
    """Work out what a report says.

    Args:
        measured: What was measured.
        models: Energy models, at least one.

    Raises:
        ConfigError: If the work of a run was not counted, or no model is given.
    """
    if not models:
        raise ConfigError("report: expected at least one energy model, got none. Name one.")
    runs = []
    for run in measured.runs:
        if not run.result.macs or not run.result.samples:
            raise ConfigError(
                f"{run.label}: expected a result with its work counted, got one without. "
                "Evaluate with counting=True, on at least one input."
            )
        energies = tuple(energy_of(run.result, model) for model in models)
        said = verdict(run.result, measured.ann_accuracy, energies)
        runs.append(Priced(run, energies, said))
    last = runs[-1].verdict
    found = (
        (_accuracy(measured), _energy(runs), _latency(measured.runs)) if measured.compares else last
    )
    return Content(measured, tuple(models), tuple(runs), found)


def times(ratio: float) -> str:
    """Write a ratio; never rounded to 1, which is where a saving ends.

    Example:
        >>> times(0.3012), times(0.9996), times(1234.0)
        ('0.301×', '0.9996×', '1,234×')
    """
    text = f"{ratio:,.0f}" if ratio >= 1000 else f"{ratio:.3g}"
    if text == "1" and ratio != 1:
        text = f"{ratio:.6g}"
    return f"{text}×"


def model_name(model: EnergyModel) -> str:
    """Return what a model is called: its title, and its name where that is another."""
    same = model.title.casefold() == model.name.casefold()
    return model.title if same else f"{model.title} ({model.name})"


def not_counted(models: Sequence[EnergyModel]) -> tuple[str, ...]:
    """Return what the numbers leave out, a sentence or two each.

    Args:
        models: The energy models that were used.
    """
    return (
        "Additions are those that spikes cause at synapses. Biases, the neurons' own arithmetic "
        "(inflation, threshold, reset) and max-pool gates are not among them; energy has them.",
        "Operations on complete values (functions in front of neurons, analog work in front of the "
        "network and behind its read-outs) are counted by class, never as additions by spikes. An "
        "operator of unknown work (no table has it) is one evaluation an element; what only moves "
        "elements is none. A function evaluation is priced as a polynomial where a model's source "
        "says nothing else.",
        "Energy leaves out the way of spikes across a chip, reads and writes of delay lines, "
        "random numbers of Poisson input, clocks, leakage and idle power, and sensors and "
        "converters in front of the network.",
        "What training, calibration and conversion took is not part of any number.",
        "Latency is in ticks. How long a tick lasts is up to the hardware and was not measured.",
        "All figures are for the inputs named above. Other inputs, noise and faults were not "
        "tried.",
        *(f"{model_name(m)}: {m.note}" for m in models),
    )


def _accuracy(measured: Measured) -> str:
    runs, ann = measured.runs, measured.ann_accuracy
    if not all(run.result.has_scores for run in runs):
        return _errors(runs)
    shares = [(run.result.accuracy(), run.label) for run in runs]
    known = [(share, label) for share, label in shares if share is not None]
    if not known:
        same = [(run.result.agreement(), run.label) for run in runs]
        agree = [(share, label) for share, label in same if share is not None]
        if not agree:
            return f"{counted(len(runs), 'network')} were run, on inputs without labels."
        share = max(agree)[0]
        best = [label for own, label in agree if own == share]
        return (
            f"{_names(best)} {_s('decide', best)} most often as the ANN does, on {percent(share)} "
            "of the inputs."
        )
    share = max(known)[0]
    best = [label for own, label in known if own == share]
    text = f"After the last step {_names(best)} {'is' if len(best) == 1 else 'are'} right most "
    text += f"often, on {percent(share)} of the inputs"
    if ann is None:
        return f"{text}; the ANN was not run."
    close = sum(100 * (ann - own) <= 1.0 + _ROUNDING for own, _ in known)
    return (
        f"{text} (ANN: {percent(ann)}); {close} of {counted(len(known), 'network')} "
        f"{'is' if close == 1 else 'are'} at most 1 point below the ANN."
    )


def _errors(runs: Sequence[Run]) -> str:
    """Say whose outputs are closest that are no class scores, or best by the task's own figure."""
    merit = merit_of(runs)
    if all(run.result.series for run in runs):
        shares = [(merit.of(run.result, None), run.label) for run in runs]
        ranked = [(share, label) for share, label in shares if share is not None]
        if not ranked:
            return f"{counted(len(runs), 'network')} were run. {merit.name} is not defined here."
        top = max(ranked)[0]
        best = [label for share, label in ranked if share == top]
        first = runs[0].result.series[0]
        ann = "" if first.reference is None else f" (ANN: {percent(first.reference)})"
        who = f"{_names(best)} {'is' if len(best) == 1 else 'are'}"
        return f"After the last step {who} best by {merit.name}, {percent(top)}{ann}."
    found = [(run.result.error(), run.label) for run in runs]
    known = [(error, label) for error, label in found if error is not None]
    why = ""
    if any(run.result.unused_labels for run in runs):
        why = " Accuracy is not shown: the outputs are no class scores."
    if not known:
        nothing = merit_of(runs).nothing
        return f"{counted(len(runs), 'network')} were run. {nothing}{why}"
    least = min(known)[0]
    best = [label for error, label in known if error == least]
    ratio = next(run.result.snr_db() for run in runs if run.label == best[0])
    several = any(len(run.result.errors) > 1 for run in runs)
    which = "the output that is furthest off" if several else "the output"
    integers = not any(x.is_floating for run in runs for x in run.result.errors)
    what = "share of unequal elements" if integers else "relative error"
    return (
        f"After the last step {_names(best)} {_s('come', best)} closest to the ANN: the {what} of "
        f"{which} is {error_text(least, ratio)}.{why}"
    )


def _energy(runs: Sequence[Priced]) -> str:
    """Say who saves energy; only where all models agree, against both opponents, is it said so."""
    always, never, split = list[str](), list[str](), list[str]()
    for priced in runs:
        pays = [energy.pays(o) for energy in priced.energies for o in OPPONENTS]
        place = always if all(pays) else split if any(pays) else never
        place.append(priced.run.label)
    models = len(runs[0].energies)
    parts = []
    if always:
        parts.append(f"{_names(always)} {_s('save', always)} energy under {model_count(models)}")
    if never:
        parts.append(
            f"{_names(never)} {_s('save', never)} none under {model_count(models, 'any of')}"
        )
    if split:
        chosen = [priced.energies for priced in runs if priced.run.label in split]
        what = " and ".join(dict.fromkeys(map(depends_on, chosen)))
        parts.append(f"whether {_names(split)} {_s('save', split)} energy depends on {what}")
    text = "; ".join(parts)
    bits = {e.bits for priced in runs for e in priced.energies}
    equal = "the ANN with equal bits"
    rival = opponent_name("quantised", min(bits)) if len(bits) == 1 else equal
    return f"Against {opponent_name('fp32', min(bits))} and {rival}, {text}."


def _latency(runs: Sequence[Run]) -> str:
    ticks = [(run.result.most_ticks, run.label) for run in runs]
    least, most = min(ticks)[0], max(ticks)[0]
    quick = [label for own, label in ticks if own == least]
    slow = [label for own, label in ticks if own == most]
    every = sorted({_every(run) for run in runs})
    if most == least:
        text = f"From input to decision {_names(quick)} {_s('take', quick)} "
        text += counted(least, "tick")
    else:
        text = f"From input to decision {_names(quick)} {_s('take', quick)} least, "
        text += f"{counted(least, 'tick')}, and {_names(slow)} most, {most:,}"
    span = f"{every[0]:.4g}" if len(every) == 1 else f"{every[0]:.4g} to {every[-1]:.4g}"
    return f"{text}; a new input can enter every {span}."


def _every(run: Run) -> float:
    """Return the ticks between inputs; the mean of a run that settles."""
    return run.result.mean_ticks if run.result.settles else float(run.result.ticks_per_input)


def _names(labels: Sequence[str]) -> str:
    """Write a list of names; many are counted."""
    if len(labels) > 4:
        return f"{len(labels)} networks"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _s(verb: str, labels: Sequence[str]) -> str:
    return f"{verb}s" if len(labels) == 1 else verb
