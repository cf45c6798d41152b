# SPDX-License-Identifier: Apache-2.0
"""From the errors of layers to what to do about them, in sentences that the numbers support."""

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.measure.layer_error import CAUSES, LayerDiagnosis
from spikewright.text import counted

__all__ = ["NEGLIGIBLE", "WORTH_NAMING", "findings"]

NEGLIGIBLE = 1e-4
"""Squared error of its own, relative to the squared activation, that no layer is blamed for (40 dB:
1 % of the activation)."""

WORTH_NAMING = 0.2
"""Share of all that layers do wrong themselves from which on a cause is named."""

_SHIFTED = ("snn-calibration", "threshold-relu")  # what they add does the work of v_init = ½
_WORDS = {
    "inactivated": "Inactivated neurons make {} (their spikes cannot be called back)",
    "clipping": "Clipping makes {} (values above the largest that a neuron can send)",
    "residual": "The residual makes {} (charge that is left over or lost, and rounding)",
    "pooling": "Pooling makes {} (gates pass on other spikes than those of the largest)",
    "encoding": "The input's spikes make {}",
}


def findings(
    layers: Sequence[LayerDiagnosis],
    *,
    T: int,
    k: float,
    schedule: str,
    neuron: str,
    config: Mapping[str, Any],
) -> tuple[str, ...]:
    """Say which layer is worst, what dominates, and which settings address it.

    Layers count alike: what is compared are squared errors relative to a layer's own activations.

    Args:
        layers: What was found in them.
        T: Nominal time steps.
        k: Inflation of the code.
        schedule: ``"layered"`` or ``"synchronous"``.
        neuron: Name of the network's neuron model.
        config: The method's settings, as in a network's provenance.
    """
    blamed = [x for x in layers if x.own is not None and x.kind != "output"]
    if not blamed:
        return ("No layer of the original network is active on these inputs.",)
    worst = max(blamed, key=lambda x: x.own or 0.0)
    if (worst.own or 0.0) < NEGLIGIBLE:
        return (
            f"No layer adds more than {100 * NEGLIGIBLE:g} % squared error of its own: "
            "nothing to mend.",
        )
    cause = max(CAUSES, key=lambda c: worst.share(c) or 0.0)
    part = (worst.share(cause) or 0.0) / (worst.own or 1.0)
    found = [
        f"Most goes wrong in {worst.name}: it adds {100 * (worst.own or 0.0):.3g} % squared error "
        f"of its own, {100 * part:.0f} % of it {cause}."
    ]
    total = _by_cause(blamed)
    whole = sum(total.values())
    for name in sorted(total, key=lambda c: -total[c]):
        if total[name] < WORTH_NAMING * whole:
            continue
        much = f"{100 * total[name] / whole:.0f} % of what layers do wrong themselves"
        advice = "; ".join(_advice(name, T, k, schedule, neuron, config))
        found.append(f"{_WORDS[name].format(much)}. Try: {advice}.")
    return (*found, *_neurons(blamed))


def _by_cause(layers: Sequence[LayerDiagnosis]) -> dict[str, float]:
    """Sum relative squared errors over layers; those of input neurons are a cause of their own."""
    total = {
        cause: sum(x.share(cause) or 0.0 for x in layers if x.kind != "input") for cause in CAUSES
    }
    total["encoding"] = sum(x.own or 0.0 for x in layers if x.kind == "input")
    return total


def _advice(
    cause: str, T: int, k: float, schedule: str, neuron: str, config: Mapping[str, Any]
) -> list[str]:
    """Return the settings that address a cause, the most effective first."""
    method, more = config.get("name"), f"more steps (T above {T})"
    layered = 'method "spikeconverter", whose layers wait for their whole input'
    if cause == "pooling":
        return ['pool="lateral-inhibition", which is exact']
    if cause == "encoding":
        return ['input="analog"', more]
    if cause == "inactivated":
        calibrated = [] if method == "snn-calibration" else ['method "snn-calibration"']
        return [layered, *calibrated, more]
    if cause == "clipping":
        return _against_clipping(config)
    if schedule == "layered":
        rounding = [] if config.get("rounding", True) else ["rounding=True"]
        return [*rounding, more, *(["a k nearer to 2"] if 1.0 < k < 2.0 else [])]
    found = []
    if neuron == "if-hard":
        found.append(
            'reset="subtract", which keeps what exceeds the threshold'
            if "reset" in config
            else 'a method with soft reset ("rmp", "burst")'
        )
    elif config.get("v_init") == 0 and method not in _SHIFTED:
        found.append("v_init=0.5, which rounds instead of flooring")
    gamma = config.get("gamma")
    bursts = 'method "burst"' if gamma is None else f"a larger gamma (now {gamma})"
    return [*found, more, bursts, layered]


def _against_clipping(config: Mapping[str, Any]) -> list[str]:
    rule = config.get("scale") or {}
    found = []
    if "threshold_factor" in config:
        found.append(f"threshold_factor=1 (now {config['threshold_factor']:g})")
    elif rule.get("name") == "percentile":
        found.append(f"a higher percentile (now {rule['q']:g}) or scale=Max()")
    elif rule.get("name") == "max":
        found.append("more calibration inputs, since these are larger than any of them")
    else:
        found.append("scale=Max(), or a high percentile")
    if "gamma" in config:
        found.append(f"a larger gamma (now {config['gamma']})")
    return found


def _neurons(layers: Sequence[LayerDiagnosis]) -> list[str]:
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
    dead = sum(x.dead for x in own)
    if dead:
        facts.append(
            f"{counted(dead, 'neuron')} of {sum(x.values for x in own):,} never spiked though the "
            "original is active on average"
        )
    return [f"{'; '.join(facts)}."] if facts else []
