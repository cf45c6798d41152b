# SPDX-License-Identifier: Apache-2.0
"""What a spiking network and its opponents cost for one input under an energy model.

Opponents. The original network in FP32, and the *equally bitted* one: the same layers with the
model's weights and activations of as many bits as a train can take values, T for a binary radix
code, ⌈log2(T + 1)⌉ for a rate code (Z. Yan et al., Reconsidering the energy efficiency of spiking
neural networks, 2024, whose argument this is). All pay for multiply-adds or additions, biases and
comparisons; the spiking network also for what its neurons do every tick.

With memory, every operand of every operation is read from a memory of the size of what it holds
(E. Lemaire et al., ICONIP 2022): an addition reads a weight, reads and writes a potential; a tick
of a neuron reads and writes its potential; a spike is written and read as an address. A multiply-
add reads a weight and an activation; an activation is written once. Nothing is reused, for nobody.
An addition of a product of two values reads a register in a weight's place, from a memory of the
size of the held factor. An operator on complete values reads and writes each of them once.

Functions (GELU, softmax, layer norm) and analog work cost the spiking network what they cost the
equally bitted one, operator by operator; the other one pays for them in FP32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikewright.energy.energy_model import EnergyModel, full_precision
from spikewright.energy.memory import address_bits
from spikewright.errors import ConfigError
from spikewright.evaluation.layer_count import LayerCount
from spikewright.evaluation.length import LengthResult

__all__ = ["OPPONENTS", "Energy", "Opponent", "energy_by_layer", "energy_of"]

Opponent = Literal["fp32", "quantised"]
OPPONENTS: tuple[Opponent, ...] = ("fp32", "quantised")

_VARIABLE = ("synapses", "resets", "weights and potentials", "spikes")


@dataclass(frozen=True)
class Energy:
    """Energy for one input, in pJ, by part.

    Attributes:
        model: The energy model.
        bits: Bits of the quantised opponent's activations.
        spikes_per_neuron: Unit spikes of a neuron for one input.
        snn: The spiking network. Proportional to its spikes: ``"synapses"`` (additions),
            ``"resets"``, ``"weights and potentials"`` (memory of additions), ``"spikes"`` (memory);
            whatever it spikes: ``"analog"`` (multiply-adds that remain and analog work, with their
            memory), ``"functions"`` (function units, likewise), ``"constants"`` (biases and analog
            currents), ``"step weights"`` (inflation, leak), ``"comparisons"``, ``"neuron memory"``.
        fp32: The original network in full precision.
        quantised: The same with equal bits.
    """

    model: EnergyModel
    bits: int
    spikes_per_neuron: float
    snn: Mapping[str, float]
    fp32: Mapping[str, float]
    quantised: Mapping[str, float]

    @property
    def total(self) -> float:
        """The spiking network's energy for one input in pJ."""
        return sum(self.snn.values())

    @property
    def variable(self) -> float:
        """The part of it that is proportional to its spikes."""
        return sum(self.snn.get(part, 0.0) for part in _VARIABLE)

    def of(self, opponent: Opponent) -> float:
        """Return an opponent's energy for one input in pJ."""
        return sum((self.fp32 if opponent == "fp32" else self.quantised).values())

    def ratio(self, opponent: Opponent) -> float:
        """Return the spiking network's energy divided by an opponent's."""
        return self.total / self.of(opponent)

    def pays(self, opponent: Opponent) -> bool:
        """Tell whether the spiking network needs less."""
        return self.total < self.of(opponent)

    def never_pays(self, opponent: Opponent) -> bool:
        """Tell whether even a silent network would not need less."""
        return self.of(opponent) <= self.total - self.variable

    def break_even(self, opponent: Opponent) -> float | None:
        """Return the spikes per neuron and input at which both would need the same.

        Spikes are thought to become fewer in all layers alike. None if even a silent network would
        not need less (:meth:`never_pays`), or if it is silent: then spikes have no price.
        """
        if self.never_pays(opponent) or not self.variable:
            return None
        left = self.of(opponent) - (self.total - self.variable)
        return self.spikes_per_neuron * left / self.variable

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data, ratios included."""
        return {
            "model": self.model.name,
            "title": self.model.title,
            "source": self.model.source,
            "note": self.model.note,
            "bits": self.bits,
            "pj": {"snn": self.total, **{o: self.of(o) for o in OPPONENTS}},
            "parts": {
                "snn": dict(self.snn),
                "fp32": dict(self.fp32),
                "quantised": dict(self.quantised),
            },
            "ratio": {o: self.ratio(o) for o in OPPONENTS},
            "pays": {o: self.pays(o) for o in OPPONENTS},
            "break_even_spikes_per_neuron": {o: self.break_even(o) for o in OPPONENTS},
        }


def energy_of(result: LengthResult, model: EnergyModel, t: int | None = None) -> Energy:
    """Return what one input costs.

    Args:
        result: What was counted.
        model: The prices.
        t: Stop after so many steps (synchronous and wake-sleep schedules); all by default. Layers
            then take part in what was counted up to there as they do in the whole.

    Raises:
        ConfigError: If the work was not counted.
    """
    if not result.layers:
        raise ConfigError(
            f"T={result.T}: expected a result with its work counted, got one without. Evaluate "
            "with counting=True."
        )
    share = _Share(result, t)
    parts: dict[str, dict[str, float]] = {"snn": {}, "fp32": {}, "quantised": {}}
    for layer in result.layers:
        for whose, own in _layer(layer, result, model, share).items():
            for part, value in own.items():
                parts[whose][part] = parts[whose].get(part, 0.0) + value
    spikes = share.spikes * result.spikes_per_neuron
    used = {whose: {p: v for p, v in own.items() if v} for whose, own in parts.items()}
    return Energy(model, result.bits, spikes, used["snn"], used["fp32"], used["quantised"])


def energy_by_layer(result: LengthResult, model: EnergyModel) -> tuple[float, ...]:
    """Return the spiking network's energy for one input in pJ, one number for each layer."""
    share = _Share(result, None)
    return tuple(sum(_layer(x, result, model, share)["snn"].values()) for x in result.layers)


class _Share:
    """Which share of the counted work is done up to a step."""

    def __init__(self, result: LengthResult, t: int | None) -> None:
        self.awake = self.spikes = self.additions = 1.0
        self.steps = result.worked_ticks / result.steps
        if t is not None and result.additions_by_step:
            self.steps = min(self.steps, t / result.steps)
            awake = result.awake or result.steps
            self.awake = min(t, awake) / awake
            self.spikes = result.spikes_by_step[t - 1] / max(1, result.spikes_by_step[-1])
            self.additions = result.additions_by_step[t - 1] / max(1, result.additions_by_step[-1])


def _layer(
    layer: LayerCount, result: LengthResult, model: EnergyModel, share: _Share
) -> dict[str, dict[str, float]]:
    """Return the energy of a row for one input, by network and part."""
    if layer.kind in ("function", "analog"):
        return _functions(layer, model)
    samples = max(1, result.samples)
    additions = share.additions * layer.additions / samples
    spikes = share.spikes * layer.spikes / samples
    fp32 = full_precision()
    ann = {
        "fp32": _ann(layer, fp32, model, None),
        "quantised": _ann(layer, model, model, result.bits),
    }
    if model.synaptic_operation is not None:
        chip = {
            "synapses": additions * model.synaptic_operation,
            "analog": layer.analog_macs * fp32.multiply_add(),
        }
        return {"snn": chip, **ann}
    weight = model.access(layer.weights, model.weight_bits)
    if layer.kind == "product":
        weight = model.access(layer.held, model.state_bits)
    arriving = model.access(layer.values, model.state_bits)  # potentials that additions reach
    potential = model.access(layer.potentials, model.state_bits)
    address = address_bits(layer.neurons or layer.values)
    read = model.access(layer.inputs, model.state_bits)
    snn = {
        "synapses": additions * model.addition,
        "resets": spikes * layer.per_spike * model.addition,
        "weights and potentials": additions * (weight + 2 * arriving),
        "spikes": 2 * spikes * model.access(1, address),
        "analog": layer.analog_macs * (model.multiply_add() + weight + read),
        "constants": share.awake * layer.constants * model.addition,
        "step weights": share.steps * (layer.factors * model.factor + layer.shifts * model.shift),
        "comparisons": share.steps * layer.comparisons * model.comparison,
        "neuron memory": share.steps * layer.updates * 2 * potential,
    }
    return {"snn": snn, **ann}


def _functions(layer: LayerCount, model: EnergyModel) -> dict[str, dict[str, float]]:
    """Return the energy of operators on complete values: the same for both networks."""
    fp32 = full_precision()
    chip = model.synaptic_operation is not None
    read, write = (
        {bits: n * model.access(n, bits) for bits in (32, model.state_bits)}
        for n in (layer.inputs, layer.values)
    )
    full = fp32.functions.price(layer) + read[32] + write[32]
    own = model.functions.price(layer) + read[model.state_bits] + write[model.state_bits]
    part = "functions" if layer.kind == "function" else "analog"
    own = full if chip else own
    return {"snn": {part: own}, "fp32": {part: full}, "quantised": {part: own}}


def _ann(
    layer: LayerCount, prices: EnergyModel, model: EnergyModel, bits: int | None
) -> dict[str, float]:
    """Return what an opponent's layer costs; full precision if no bits are given.

    Args:
        layer: The layer.
        prices: Those of arithmetic.
        model: The one with the memory.
        bits: Of activations.
    """
    width = 32 if bits is None else bits
    weight_bits = 32 if bits is None else model.weight_bits
    weight = model.access(layer.weights, weight_bits)
    read, write = model.access(layer.inputs, width), model.access(layer.values, width)
    if layer.kind == "product":
        read = model.access(layer.inputs - layer.held, width)
        weight = model.access(layer.held, width)
    receives = layer.kind in ("layer", "shortcut", "product")
    adds = layer.biases or layer.kind == "shortcut"
    moved = 2 * model.access(layer.evaluated, width)  # read and written
    return {
        "multiply-adds": layer.macs * prices.multiply_add(bits, both=layer.kind == "product"),
        "additions": layer.values * prices.addition if adds else 0.0,
        "comparisons": layer.compared * prices.comparison,
        "functions": layer.evaluated * (prices.functions.evaluation + moved),
        "memory": layer.macs * (weight + read) + layer.values * write if receives else 0.0,
    }
