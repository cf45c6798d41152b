# SPDX-License-Identifier: Apache-2.0
"""From the errors of layers to what to do about them, in sentences that the numbers support."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikewright.diagnosis.layer_error import CAUSES, LayerDiagnosis
from spikewright.diagnosis.suggestions import Setup, Suggestion, advice_against
from spikewright.text import counted

__all__ = [
    "BREAKS_BELOW_DB",
    "NEGLIGIBLE",
    "WORTH_NAMING",
    "Finding",
    "findings",
    "first_broken",
    "suggestions",
]

NEGLIGIBLE = 1e-4
"""Squared error of its own, relative to the squared activation, that no layer is blamed for (40 dB:
1 % of the activation)."""

WORTH_NAMING = 0.2
"""Share of all that layers do wrong themselves from which on a cause is named."""

BREAKS_BELOW_DB = 10.0
"""Signal-to-noise ratio below which a layer counts as broken: the squared error is more than a
tenth of the squared activation."""

_WORDS = {
    "inactivated": "Inactivated neurons make {} (their spikes cannot be called back)",
    "clipping": "Clipping makes {} (values above the largest that a neuron can send)",
    "residual": "The residual makes {} (charge that is left over or lost, and rounding)",
    "pooling": "Pooling makes {} (gates pass on other spikes than those of the largest)",
    "encoding": "The input's spikes make {}",
}


@dataclass(frozen=True)
class Finding:
    """A sentence that the numbers support.

    Attributes:
        text: The sentence, with what to try.
        suggestions: What the program itself can try, the most effective first.
    """

    text: str
    suggestions: tuple[Suggestion, ...] = ()


def findings(layers: Sequence[LayerDiagnosis], setup: Setup) -> tuple[Finding, ...]:
    """Say which layer is worst, which breaks first, what dominates, and which settings address it.

    Layers count alike: what is compared are squared errors relative to a layer's own activations.

    Args:
        layers: What was found in them, in execution order.
        setup: How the network was made.
    """
    blamed = [x for x in layers if x.own is not None and x.kind != "output"]
    if not blamed:
        return (Finding("No layer of the original network is active on these inputs."),)
    worst = max(blamed, key=lambda x: x.own or 0.0)
    if (worst.own or 0.0) < NEGLIGIBLE:
        text = (
            f"No layer adds more than {100 * NEGLIGIBLE:g} % squared error of its own: "
            "nothing to mend."
        )
        return (Finding(text), *_broken(layers))
    cause = max(CAUSES, key=lambda c: worst.share(c) or 0.0)
    part = (worst.share(cause) or 0.0) / (worst.own or 1.0)
    text = (
        f"Most goes wrong in {worst.name}: it adds {100 * (worst.own or 0.0):.3g} % squared error "
        f"of its own, {100 * part:.0f} % of it {cause}."
    )
    return (Finding(text), *_broken(layers), *_causes(blamed, setup), *_neurons(blamed))


def first_broken(layers: Sequence[LayerDiagnosis]) -> LayerDiagnosis | None:
    """Return the first layer whose error, inherited or not, leaves less than 10 dB; None if none.

    Args:
        layers: In execution order.
    """
    limit = 10.0 ** (-BREAKS_BELOW_DB / 10.0)
    return next((x for x in layers if (x.relative_error or 0.0) > limit), None)


def suggestions(found: Sequence[Finding]) -> tuple[Suggestion, ...]:
    """Return all that findings suggest, each change once.

    The first of each finding come first, since each of them addresses another cause.
    """
    longest = max((len(f.suggestions) for f in found), default=0)
    ranked = [f.suggestions[i] for i in range(longest) for f in found if i < len(f.suggestions)]
    kept: list[Suggestion] = []
    for each in ranked:
        if all((each.method, each.changes) != (k.method, k.changes) for k in kept):
            kept.append(each)
    return tuple(kept)


def _broken(layers: Sequence[LayerDiagnosis]) -> Iterator[Finding]:
    """Say which layer breaks first, if one does."""
    layer = first_broken(layers)
    if layer is not None and layer.snr_db is not None:
        yield Finding(
            f"{layer.name} breaks first: its signal-to-noise ratio is {layer.snr_db:z.1f} dB, what "
            f"it inherits included, below {BREAKS_BELOW_DB:g} dB."
        )


def _causes(layers: Sequence[LayerDiagnosis], setup: Setup) -> Iterator[Finding]:
    """Name the causes that make much of what layers do wrong, the largest first."""
    total = _by_cause(layers)
    whole = sum(total.values())
    for name in sorted(total, key=lambda c: -total[c]):
        if total[name] < WORTH_NAMING * whole:
            continue
        much = f"{100 * total[name] / whole:.0f} % of what layers do wrong themselves"
        advice = advice_against(name, setup)
        words = f" Try: {'; '.join(a.text for a in advice)}." if advice else ""
        yield Finding(
            f"{_WORDS[name].format(much)}.{words}", tuple(s for a in advice for s in a.suggestions)
        )


def _by_cause(layers: Sequence[LayerDiagnosis]) -> dict[str, float]:
    """Sum relative squared errors over layers; those of input neurons are a cause of their own."""
    total = {
        cause: sum(x.share(cause) or 0.0 for x in layers if x.kind != "input") for cause in CAUSES
    }
    total["encoding"] = sum(x.own or 0.0 for x in layers if x.kind == "input")
    return total


def _neurons(layers: Sequence[LayerDiagnosis]) -> list[Finding]:
    """Say how many values and neurons the causes touch."""
    own = [x for x in layers if x.kind in ("neurons", "relay")]
    values = sum(x.samples * x.values for x in own)
    facts = [
        f"{100 * count / values:.2g} % of all values are {what}"
        for part, what in (
            ("inactivated", "spikes of inactivated neurons"),
            ("clipping", "clipped"),
        )
        if (count := sum(x.parts[part].count for x in own if part in x.parts))
    ]
    neurons = f"of {sum(x.values for x in own):,}"
    if dead := sum(x.dead for x in own):
        facts.append(
            f"{counted(dead, 'neuron')} {neurons} never spiked though the original is active on "
            "average"
        )
    if saturated := sum(x.saturated for x in own):
        facts.append(
            f"{counted(saturated, 'neuron')} {neurons} saturated, clipped in at least half of the "
            "inputs on which the original is active"
        )
    return [Finding(f"{'; '.join(facts)}.")] if facts else []
