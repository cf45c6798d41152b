# SPDX-License-Identifier: Apache-2.0
"""Which settings address a cause of error, as text and as changes that the program can make."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright.calibration import Max, MinError, Percentile
from spikewright.codes import Radix
from spikewright.errors import ConfigError

__all__ = ["Advice", "Setup", "Suggestion", "advice_against"]

_RADIX_STEPS = 16  # of the paper; a synchronous T is more than a radix code needs
_FINER = 4.0  # how much smaller more steps make the unit of a radix code
_KEPT_INPUTS = 128  # that calibration keeps for methods which run on them
_SHIFTED = ("snn-calibration", "threshold-relu")  # what they add does the work of v_init = ½
_TRAINED_START = "qcfs"  # training has chosen its v_init and λ
_LEAKY = "lif"  # neurons of directly trained networks, whose settings are those of training


@dataclass(frozen=True)
class Suggestion:
    """Settings to convert with instead; ``spikewright.apply`` does it.

    Attributes:
        text: The settings in words, e.g. ``"T=128"``.
        method: Name of the method; if it is the network's own, its other settings are kept.
        changes: Setting to value, JSON-able; a scale rule is its own dictionary.
        cause: The cause of error that it addresses.
    """

    text: str
    method: str
    changes: dict[str, Any] = field(default_factory=dict)
    cause: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the suggestion as JSON-able data."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        text: In words, for the sentence of a finding.
        suggestions: The changes that do it, none where the program cannot.
    """

    text: str
    suggestions: tuple[Suggestion, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the diagnosed network was made.

    Attributes:
        T: Nominal time steps.
        k: Inflation of the code.
        schedule: ``"layered"``, ``"synchronous"`` or ``"wake-sleep"``.
        neuron: Name of its neuron model.
        config: The method's settings, as in a network's provenance.
        levels: The different numbers of levels that its activations were trained with.
    """

    T: int
    k: float
    schedule: str
    neuron: str
    config: Mapping[str, Any]
    levels: tuple[int, ...] = ()

    @property
    def method(self) -> str:
        """Name of the method, empty if it is not known."""
        return str(self.config.get("name", ""))

    def change(self, cause: str, text: str, **changes: Any) -> Advice:  # noqa: ANN401 - any setting
        """Advise to change settings; no suggestion where they are so, or the method has none."""
        unknown = any(name not in self.config for name in changes)
        if unknown or all(self.config[name] == value for name, value in changes.items()):
            return Advice(text)
        return Advice(text, (Suggestion(_spelled(changes), self.method, changes, cause),))

    def instead(self, cause: str, text: str, *methods: str, T: int | None = None) -> Advice:
        """Advise another method, or one of several, with T and the kind of input kept."""
        others = (m for m in methods if m != self.method)
        return Advice(text, tuple(self._other(cause, m, T or self.T) for m in others))

    def _other(self, cause: str, method: str, T: int) -> Suggestion:
        changes: dict[str, Any] = {"T": T}
        entering = self.config.get("input", "analog")
        if entering != "analog" and (entering, method) != ("poisson", "spikeconverter"):
            changes["input"] = entering
        if self.config.get("analog_relays"):
            changes["analog_relays"] = list(self.config["analog_relays"])
        return Suggestion(f"method {method}, {_spelled(changes)}", method, changes, cause)


def _spelled(changes: Mapping[str, Any]) -> str:
    """Write settings in a few words.

    Example:
        >>> _spelled({"T": 8, "scale": {"name": "percentile", "q": 99.99, "version": 1}})
        'T=8, scale=percentile q=99.99'
    """
    return ", ".join(f"{name}={_value(value)}" for name, value in changes.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        parts = [f"{n}={v:g}" for n, v in value.items() if n in ("q", "unseen")]
        return " ".join([str(value["name"]), *parts])
    if isinstance(value, list):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def advice_against(cause: str, setup: Setup) -> list[Advice]:
    """Return what addresses a cause, the most effective first.

    Args:
        cause: ``"inactivated"``, ``"clipping"``, ``"residual"``, ``"pooling"`` or ``"encoding"``.
        setup: How the network was made; only what is in range for its method is suggested.
    """
    if setup.neuron == _LEAKY:
        return [Advice("the settings that it was trained with")]
    if cause == "pooling":
        text = 'pool="lateral-inhibition", which is exact'
        return [setup.change(cause, text, pool="lateral-inhibition")]
    if cause == "encoding":
        return [setup.change(cause, 'input="analog"', input="analog"), *_more_steps(cause, setup)]
    if cause == "clipping":
        return _against_clipping(setup)
    if len(setup.levels) == 1:
        return _towards_the_staircase(cause, setup)
    asleep = _longer_sleep(cause, setup)
    if cause == "inactivated":
        text = 'method "snn-calibration"'
        other = [setup.instead(cause, text, "snn-calibration")]
        calibrated = [] if setup.method == "snn-calibration" else other
        return [*asleep, _layered(cause, setup), *calibrated, *_more_steps(cause, setup)]
    if setup.schedule == "layered":
        return _finer_trains(setup)
    return [*asleep, *_against_residual(setup)]


def _layered(cause: str, setup: Setup) -> Advice:
    text = 'method "spikeconverter", whose layers wait for their whole input'
    return setup.instead(cause, text, "spikeconverter", T=min(setup.T, _RADIX_STEPS))


def _more_steps(cause: str, setup: Setup) -> list[Advice]:
    """Return the advice to take more steps, nothing where the code holds no more."""
    text = f"more steps (T above {setup.T})"
    if setup.k == 1.0:
        return [setup.change(cause, text, T=2 * setup.T)]
    T = setup.T + math.ceil(math.log(_FINER, setup.k))
    searched = setup.config.get("k") is None
    return (
        [setup.change(cause, text, T=T)] if _holds(setup, T, 2.0 if searched else setup.k) else []
    )


def _holds(setup: Setup, T: int, k: float) -> bool:
    """Tell whether there is such a radix code; float32 holds no more than 24 bits."""
    try:
        Radix(k=k, T=T, extra_step=bool(setup.config.get("extra_step")))
    except ConfigError:
        return False
    return True


def _longer_sleep(cause: str, setup: Setup) -> list[Advice]:
    if setup.config.get("sleep", "settle") == "settle":
        return []
    text = f'sleep="settle" (now {setup.config["sleep"]}), until every neuron is at rest'
    return [setup.change(cause, text, sleep="settle")]


def _towards_the_staircase(cause: str, setup: Setup) -> list[Advice]:
    """Return what brings a network closer to the levels that it was trained with."""
    (levels,) = setup.levels
    if setup.method == "casc":
        return _longer_sleep(cause, setup)
    if enough := _every_level(cause, setup):
        return enough
    text = f'method "casc" with T={levels}, which settles on the trained levels'
    found = [setup.instead(cause, text, "casc", T=levels)]
    if setup.method == _TRAINED_START and levels != setup.T:
        found.append(setup.change(cause, f"T={levels}, the levels of training", T=levels))
    return found


def _every_level(cause: str, setup: Setup) -> list[Advice]:
    """Return the advice to give layered trains as many values as there were levels in training."""
    if setup.schedule != "layered" or len(setup.levels) != 1 or setup.k not in (1.0, 2.0):
        return []
    (levels,) = setup.levels
    T = levels if setup.k == 1.0 else levels.bit_length()
    text = f"T={T} or more, whose trains have a value for each of the {levels} trained levels"
    return [setup.change(cause, text, T=T)] if setup.T < T else []


def _finer_trains(setup: Setup) -> list[Advice]:
    """Return what makes the trains of a layered network more exact."""
    cause, found = "residual", []
    if not setup.config.get("rounding", True):
        found.append(setup.change(cause, "rounding=True", rounding=True))
    found += [*_more_steps(cause, setup), *_per_channel(setup)]
    if 1.0 < setup.k < 2.0:
        text, given = "a k nearer to 2", setup.config.get("k") is not None
        possible = given and _holds(setup, setup.T, 2.0)
        found.append(setup.change(cause, text, k=2.0) if possible else Advice(text))
    return found


def _against_residual(setup: Setup) -> list[Advice]:
    """Return what leaves less charge in the membranes of a synchronous network."""
    cause, config, found = "residual", setup.config, []
    if setup.neuron == "if-hard":
        if "reset" in config:
            text = 'reset="subtract", which keeps what exceeds the threshold'
            found.append(setup.change(cause, text, reset="subtract"))
        else:
            text = 'a method with soft reset ("rmp", "burst")'
            found.append(setup.instead(cause, text, "rmp", "burst"))
    elif config.get("v_init") == 0 and setup.method not in (*_SHIFTED, _TRAINED_START):
        text = "v_init=0.5, which rounds instead of flooring"
        found.append(setup.change(cause, text, v_init=0.5))
    found += [*_per_channel(setup), *_more_steps(cause, setup)]
    if config.get("adapt") is False:
        text = "adapt=True, which corrects the mean of every layer"
        found.append(setup.change(cause, text, adapt=True))
    gamma = config.get("gamma")
    if gamma is None:
        found.append(setup.instead(cause, 'method "burst"', "burst"))
    else:
        text = f"a larger gamma (now {gamma})"
        found.append(setup.change(cause, text, gamma=2 * gamma))
    return [*found, _layered(cause, setup)]


def _per_channel(setup: Setup) -> list[Advice]:
    if setup.config.get("per_channel", True) or setup.method == _TRAINED_START:
        return []
    text = "per_channel=True, whose units suit quiet channels"
    return [setup.change("residual", text, per_channel=True)]


def _against_clipping(setup: Setup) -> list[Advice]:
    """Return what raises the largest value that a neuron can send."""
    cause, config = "clipping", setup.config
    if enough := _every_level(cause, setup):
        return enough
    factor, gamma = config.get("threshold_factor", 1.0), config.get("gamma")
    if factor < 1.0:
        text = f"threshold_factor=1 (now {factor:g})"
        found = [setup.change(cause, text, threshold_factor=1.0)]
    elif "scale" in config:
        found = _larger_scale(setup, config["scale"])
    else:
        found = _more_balancing(setup)
    if gamma is not None:
        text = f"a larger gamma (now {gamma})"
        found.append(setup.change(cause, text, gamma=2 * gamma))
    return found


def _larger_scale(setup: Setup, rule: Mapping[str, Any]) -> list[Advice]:
    cause, name = "clipping", rule.get("name")
    largest = setup.change(cause, "scale=Max()", scale=Max().to_dict()).suggestions
    q, unseen = rule.get("q", 100.0), rule.get("unseen", 0.0)
    if name == "max" or (name == "percentile" and q >= 100.0):
        return [Advice("more calibration inputs, since these are larger than any of them")]
    if name == "percentile":
        text = f"a higher percentile (now {q:g}) or scale=Max()"
        higher = {**rule, "q": round(100.0 - 0.1 * (100.0 - q), 10)}
        return [Advice(text, (*setup.change(cause, text, scale=higher).suggestions, *largest))]
    fixed = setup.method == "casc" and setup.levels  # T is then the number of levels
    found = _more_steps(cause, setup) if name == "min-error" and not fixed else []
    if name == "min-error" and 0.0 < unseen < 1.0:
        text = "scale=MinError(unseen=1), which leaves more room above what calibration has seen"
        found.append(setup.change(cause, text, scale=MinError(unseen=1.0).to_dict()))
    text = "scale=Max(), or a high percentile"
    high = setup.change(cause, text, scale=Percentile(99.99).to_dict()).suggestions
    return [*found, Advice(text, (*largest, *high))]


def _more_balancing(setup: Setup) -> list[Advice]:
    """Return the advice to look for the largest current on more inputs, if that can be done."""
    samples = setup.config.get("balance_samples")
    if samples is None or samples >= _KEPT_INPUTS:
        return []
    text = f"more inputs to balance on (now {samples})"
    more = min(4 * samples, _KEPT_INPUTS)
    return [setup.change("clipping", text, balance_samples=more)]
