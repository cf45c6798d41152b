# SPDX-License-Identifier: Apache-2.0
"""Energy by hand from counts by hand; models as files; the verdict's sentences."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from spikewright.energy import (
    EnergyModel,
    choose_models,
    energy_by_layer,
    energy_of,
    memory_of,
    verdict,
)
from spikewright.energy.energy_model import energy_models, read_model
from spikewright.energy.function_prices import FunctionPrices
from spikewright.energy.memory import Bytes
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError
from spikewright.evaluation import LayerCount, LengthResult

PRICES = {"addition": 1.0, "comparison": 0.5, "shift": 0.25, "factor": 2.0, "multiplication": 8.0}
WORDS = {"weight_bits": 8, "state_bits": 16, "multiplication_bits": 8}
ABOUT = {"name": "hand", "title": "by hand", "source": "here", "note": "none"}
FUNCTIONS = FunctionPrices(
    evaluation=50.0, multiplication=20.0, division=30.0, addition=2.0, comparison=1.0
)
HAND = EnergyModel(**ABOUT, **WORDS, **PRICES, functions=FUNCTIONS)

CONV = {"macs": 100, "analog_macs": 25, "inputs": 10, "values": 20, "weights": 50, "biases": 2}
RELU = {"neurons": 20, "values": 20, "potentials": 20, "per_spike": 1, "compared": 20}
FIXED = {"updates": 80, "constants": 60, "factors": 10, "shifts": 30, "comparisons": 80}


def measured(samples: int = 10, **changes: Any) -> LengthResult:
    """A layer of 100 multiply-adds, a quarter analog, and 20 neurons that send 2 spikes each."""
    layers = (
        LayerCount(name="conv", kind="layer", additions=300 * samples, **CONV),
        LayerCount(name="relu", kind="neurons", spikes=40 * samples, **RELU, **FIXED),
    )
    right = {"correct": (5, 6, 7, 8), "agree": (5, 6, 7, 8)}
    counted = {"samples": samples, "labelled": samples, "compared": samples, **right}
    time = {"T": 4, "steps": 4, "k": 2.0, "latency_ticks": 8, "ticks_per_input": 4, "awake": 4}
    plain: dict[str, Any] = {**time, **counted, "layers": layers, "largest": 15.0}
    return LengthResult(**{**plain, **changes})


def test_arithmetic_by_hand() -> None:
    found = energy_of(measured(), HAND)
    assert found.snn == {
        "synapses": 300.0,
        "resets": 40.0,
        "analog": 25 * 9.0,
        "constants": 60.0,
        "step weights": 10 * 2.0 + 30 * 0.25,
        "comparisons": 40.0,
    }
    assert found.total == 692.5
    # Four bits of 2^4 - 1: half of an 8-bit product, and an addition; biases; one comparison each.
    assert found.bits == 4
    assert found.quantised == {"multiply-adds": 100 * 5.0, "additions": 20.0, "comparisons": 10.0}
    # Full precision pays 3.7 + 0.9 pJ, whatever the model.
    assert found.of("fp32") == pytest.approx(100 * 4.6 + 20 * 0.9 + 20 * 0.1)
    assert found.ratio("quantised") == 692.5 / 530.0
    assert not found.pays("quantised")
    assert sum(energy_by_layer(measured(), HAND)) == found.total
    assert energy_by_layer(measured(), HAND)[0] == 300.0 + 25 * 9.0


CURVE = {"evaluations": 30, "multiplications": 4, "divisions": 2, "sums": 10, "comparisons": 5}
GELU = LayerCount(name="GELU", kind="function", inputs=20, values=30, **CURVE)
CURVES = 30 * 50 + 4 * 20 + 2 * 30 + 10 * 2 + 5 * 1.0


@pytest.mark.parametrize(("kind", "part"), [("function", "functions"), ("analog", "analog")])
def test_functions_cost_both_networks_the_same(kind: str, part: str) -> None:
    before, row = measured(), dataclasses.replace(GELU, kind=kind)
    found = energy_of(measured(layers=(*before.layers, row)), HAND)
    without = energy_of(before, HAND)
    assert found.snn[part] - without.snn.get(part, 0.0) == CURVES
    assert found.quantised[part] == CURVES
    # In FP32 4.6 pJ a multiply-add: a curve is five; a division 5 products and 2 additions.
    full = 30 * 5 * 4.6 + 4 * 3.7 + 2 * (5 * 3.7 + 2 * 0.9) + 10 * 0.9 + 5 * 0.1
    assert found.fp32[part] == pytest.approx(full)
    assert found.total == without.total + CURVES
    assert found.snn["comparisons"] == without.snn["comparisons"]
    (chip,) = choose_models(["loihi"])
    on_chip = energy_of(measured(layers=(*before.layers, row)), chip)
    assert on_chip.snn[part] - energy_of(before, chip).snn.get(part, 0.0) == pytest.approx(full)


def test_functions_with_memory_read_and_write_every_value() -> None:
    model = dataclasses.replace(HAND, memory=choose_models(["memory-int8"])[0].memory)
    found = energy_of(measured(layers=(*measured().layers, GELU)), model)
    state = 10 * 16 / 64
    assert found.snn["functions"] == pytest.approx(CURVES + (20 + 30) * state)
    assert found.quantised["functions"] == found.snn["functions"]


def test_a_product_reads_registers_in_the_place_of_weights() -> None:
    """100 additions an input; 40 values held, 60 arrive; 240 products in the original."""
    product = LayerCount(
        *("matmul", "product"), additions=1000, macs=240, inputs=100, held=40, values=24
    )
    register = LayerCount("matmul/held", "register", additions=300, values=40, potentials=40)
    first, second = measured().layers
    x = measured(layers=(first, second, product, register))
    before, found = energy_of(measured(), HAND), energy_of(x, HAND)
    assert found.snn["synapses"] == before.snn["synapses"] + 100 + 30
    # Four bits times four: a quarter of an 8-bit product, and an addition.
    assert found.quantised["multiply-adds"] == before.quantised["multiply-adds"] + 240 * 3.0
    model = dataclasses.replace(HAND, memory=choose_models(["memory-int8"])[0].memory)
    before, found = energy_of(measured(), model), energy_of(x, model)
    weight, state, four = (10 * bits / 64 for bits in (8, 16, 4))
    added = found.snn["weights and potentials"] - before.snn["weights and potentials"]
    assert added == pytest.approx(100 * 3 * state + 30 * (weight + 2 * state))
    both = found.quantised["memory"] - before.quantised["memory"]
    assert both == pytest.approx(240 * 2 * four + 24 * four)
    use, less = memory_of(x), memory_of(measured())
    assert use.stored.states - less.stored.states == 4.0 * 40
    assert use.moved.weights - less.moved.weights == 4.0 * 30
    assert use.moved.states - less.moved.states == 4.0 * (3 * 100 + 2 * 30)
    assert use.ann_stored.states == 4.0 * (100 + 24)
    assert use.ann_moved.weights == less.ann_moved.weights
    assert use.ann_moved.states - less.ann_moved.states == 4.0 * (2 * 240 + 24)


def test_break_even_by_hand() -> None:
    """352.5 pJ do not depend on spikes, 340 do: at 2·(530 - 352.5)/340 spikes it is as dear."""
    found = energy_of(measured(), HAND)
    rate = found.break_even("quantised")
    assert rate == pytest.approx(2 * (530 - 352.5) / 340)
    fewer = round(3000 * rate / 2)  # the same with so many spikes costs the same
    first, second = measured().layers
    layers = (
        dataclasses.replace(first, additions=fewer),
        dataclasses.replace(second, spikes=round(400 * rate / 2)),
    )
    assert energy_of(measured(layers=layers), HAND).ratio("quantised") == pytest.approx(1, abs=2e-3)


def test_no_spike_rate_pays_where_the_rest_is_dearer() -> None:
    dear = dataclasses.replace(HAND, comparison=100.0)
    assert energy_of(measured(), dear).break_even("fp32") is None


def test_memory_by_hand() -> None:
    """A word costs 10 pJ for 64 bits in all of these small memories."""
    model = dataclasses.replace(HAND, memory=choose_models(["memory-int8"])[0].memory)
    found = energy_of(measured(), model)
    weight, state, address = (10 * bits / 64 for bits in (8, 16, 5))  # 20 neurons: 5 bits
    assert found.snn["weights and potentials"] == pytest.approx(300 * (weight + 2 * state))
    assert found.snn["spikes"] == pytest.approx(2 * 40 * address)
    assert found.snn["analog"] == pytest.approx(25 * (9 + weight + state))
    assert found.snn["neuron memory"] == pytest.approx(80 * 2 * state)
    four = 10 * 4 / 64
    assert found.quantised["memory"] == pytest.approx(100 * (weight + four) + 20 * four)
    assert found.fp32["memory"] == pytest.approx(100 * 2 * 5.0 + 20 * 5.0)


def test_bytes_by_hand() -> None:
    """50 weights and 2 biases; 20 potentials; 5 bits for 20 neurons; a delay line of 30 symbols."""
    first, second = measured().layers
    held = measured(layers=(first, dataclasses.replace(second, delayed=30)))
    use = memory_of(held, weight_bits=8, state_bits=16)
    assert use.stored == Bytes(weights=52.0, states=40.0, spikes=30 / 8)
    assert use.stored.total == 95.75
    assert use.moved == Bytes(
        weights=325.0, states=2.0 * (2 * 300 + 25 + 2 * 80), spikes=2 * 40 * 5 / 8
    )
    assert use.ann_stored == Bytes(weights=208.0, states=120.0)
    assert use.ann_moved == Bytes(weights=400.0, states=4.0 * (100 + 20))
    pair = dataclasses.replace(second, delayed=60, neurons=40)  # ON/OFF: two bits a symbol
    assert memory_of(measured(layers=(first, pair))).stored.spikes == 60 / 8


def test_a_chip_pays_for_synaptic_operations() -> None:
    (chip,) = choose_models(["loihi"])
    found = energy_of(measured(), chip)
    assert found.snn == {"synapses": 300 * 23.6, "analog": pytest.approx(25 * 4.6)}


def test_up_to_a_step_asleep() -> None:
    """Biases enter awake only, in 4 of 8 steps; comparisons go on in all of them."""
    eight = (500, 1500, 2000, 2500, 2800, 2900, 3000, 3000)
    whole = measured(
        schedule="wake-sleep",
        steps=8,
        awake=4,
        correct=(5,) * 8,
        agree=(5,) * 8,
        additions_by_step=eight,
        spikes_by_step=eight,
    )
    constants, comparisons = (
        [energy_of(whole, HAND, t).snn[n] for t in (1, 2, 6, 8)]
        for n in ("constants", "comparisons")
    )
    assert constants == [15.0, 30.0, 60.0, 60.0]
    assert comparisons == [5.0, 10.0, 30.0, 40.0]


def test_up_to_a_step() -> None:
    """Half of the additions, a quarter of the spikes, and half of the steps."""
    whole = measured(
        schedule="synchronous",
        additions_by_step=(500, 1500, 2000, 3000),
        spikes_by_step=(50, 100, 200, 400),
    )
    half, all_steps = energy_of(whole, HAND, 2), energy_of(whole, HAND, 4)
    assert half.snn["synapses"] == 150.0
    assert half.snn["resets"] == 10.0
    assert half.snn["comparisons"] == 20.0
    assert half.snn["analog"] == 25 * 9.0  # once for an input
    assert half.spikes_per_neuron == 0.5
    assert all_steps.snn == energy_of(whole, HAND).snn


def test_models_that_come_with_the_package_say_where_they_are_from() -> None:
    models = choose_models()
    assert {m.name for m in models} == set(energy_models())
    assert all(m.source and m.note and m.title for m in models)
    fp32 = energy_models()["fp32"]
    assert fp32.multiply_add() == pytest.approx(4.6)
    assert fp32.addition == 0.9
    assert [m.synaptic_operation is None for m in models] == sorted(
        (m.synaptic_operation is None for m in models), reverse=True
    )


OWN = """
title = "mine"
source = "a measurement"
note = "none"
[bits]
weight = 4
state = 12
[pj]
addition = 0.02
comparison = 0.02
shift = 0.01
[multiplication]
pj = 0.08
bits = 4
"""


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    (model,) = choose_models([path])
    assert (model.name, model.weight_bits, model.factor, model.memory) == ("mine", 4, 0.08, None)
    assert model.functions == FunctionPrices.from_multiplication(0.08, 0.02, 0.02)
    path.write_text(f"{OWN}[functions]\nmultiplication = 2.0\nevaluation = 3.0\n")
    own = read_model(path).functions
    assert (own.evaluation, own.multiplication, own.division) == (3.0, 2.0, 5 * 2.0 + 2 * 0.02)
    path.write_text(OWN)
    assert choose_models(["int8", str(path)])[1] == model


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('source = "a measurement"\n', "", "expected a text source, got None"),
        ("addition = 0.02", "addition = -1", r"addition, a number above 0 .*, got -1"),
        ("addition = 0.02", 'addition = "x"', r"addition, a number above 0 .*, got 'x'"),
        ("addition = 0.02", "addition = 1e308", "up to 1e.15, got 1e.308"),
        *(
            ("bits = 4", f"bits = {wrong}", f"a whole number of bits from 1 to 1024, got {wrong}")
            for wrong in ("0", "1025", "0.5")
        ),
        ("weight = 4", "weight = 8.7", "expected weight, a whole number of bits"),
        ("shift = 0.01", "shft = 0.01", r"expected only addition, .* got also shft"),
        ("[bits]", "[bit]", r"expected only title, .* got also bit"),
        ("[pj]\n", "[pj\n", "expected TOML, got something else"),
        ("bits = 4\n", "bits = 4\n[memory]\nword_bits = 64\nbytes = [2, 1]\npj = [1, 2]\n", "asce"),
        ("bits = 4\n", "bits = 4\n[functions]\nlookup = 1\n", r"\[functions\]: expected only eval"),
        ("bits = 4\n", "bits = 4\n[functions]\ndivision = 0\n", "division, a number above 0"),
        ("bits = 4\n", "bits = 4\n[memory]\nword_bits = 64\nbytes = 5\npj = [1]\n", "got 5"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in OWN
    path.write_text(OWN.replace(old, new))
    with pytest.raises(FileFormatError, match=message):
        read_model(path)


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"energy model 'loih': .* 'loihi'.* path"):
        choose_models(["loih"])
    with pytest.raises(FileFormatError, match=r"none\.toml: expected an energy model, got no file"):
        choose_models([tmp_path / "none.toml"])
    with pytest.raises(ConfigError, match="'int8' twice"):
        choose_models(["int8", "int8"])
    with pytest.raises(ConfigError, match="at least one energy model"):
        choose_models([])


def test_a_saving_is_claimed_only_where_all_models_agree() -> None:
    length = measured()
    cheap = dataclasses.replace(HAND, addition=0.01, comparison=0.01, factor=0.1, shift=0.1)
    cheap = dataclasses.replace(cheap, multiplication=1.0)
    dear = dataclasses.replace(HAND, comparison=100.0)
    assert energy_of(length, cheap).pays("fp32")
    assert energy_of(length, cheap).pays("quantised")
    all_agree = verdict(length, 0.8, [energy_of(length, cheap)])[1]
    assert all_agree.startswith("It saves energy under the one energy model: ")
    none = verdict(length, 0.8, [energy_of(length, dear)])[1]
    assert none.startswith("It saves no energy under the one energy model: ")
    mixed = verdict(length, 0.8, [energy_of(length, m) for m in (cheap, dear)])[1]
    assert mixed.startswith("Whether it saves energy depends on the model: it pays against the FP")
    assert "under 1 of 2" in mixed
    assert "even a silent network would not" in mixed


def test_every_model_prices_functions_by_its_source_and_our_rule() -> None:
    for model in choose_models():
        own = model.functions
        wanted = FunctionPrices.from_multiplication(
            own.multiplication, own.addition, own.comparison
        )
        assert own.evaluation == pytest.approx(wanted.evaluation)
        assert own.division == pytest.approx(wanted.division)
        assert own.multiplication == (3.7 if model.addition == 0.9 else 3.1)


def test_the_verdict_says_what_spikes_do_and_what_function_units_cost() -> None:
    # 300 additions; 25 multiply-adds and 10 multiplications of potentials are left.
    assert verdict(measured(), None, [energy_of(measured(), HAND)])[1].endswith(
        " Of its operations 89.55 % are additions that spikes cause."
    )
    x = measured(layers=(*measured().layers, GELU))
    cheap = FunctionPrices(
        evaluation=5.0, multiplication=2.0, division=3.0, addition=0.2, comparison=0.1
    )
    both = [energy_of(x, m) for m in (HAND, dataclasses.replace(HAND, functions=cheap))]
    low, high = (100 * e / (692.5 + e) for e in (CURVES / 10, CURVES))
    assert verdict(x, None, both)[1].endswith(
        f" Of its operations {30000 / 386:.2f} % are additions that spikes cause; function units "
        f"take {low:.2g} to {high:.2g} % of its energy."
    )


def test_the_other_sentences() -> None:
    first, _, last = verdict(measured(), 0.9, [])
    assert first == (
        "After 4 steps the spiking network is right on 80.00 % of 10 inputs, 10.00 points below "
        "the ANN (90.00 %), and decides as the ANN does on 80.0 %."
    )
    assert last == "From input to decision it takes 8 ticks; a new input can enter every 4."
    unlabelled = measured(labelled=0, correct=(0, 0, 0, 0))
    assert verdict(unlabelled, None, [])[0] == (
        "After 4 steps the spiking network decides as the ANN does on 80.0 % of 10 inputs."
    )
