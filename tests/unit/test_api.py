# SPDX-License-Identifier: Apache-2.0
"""The verbs: calibration data of every wrong kind, evaluation, and a light import."""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import CalibrationError, ConfigError, ShapeError
from spikewright.methods import Prepared
from spikewright.text import percent


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).eval()


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(8, 4, generator=generator), torch.randint(0, 3, (8,), generator=generator))
        for _ in range(3)
    ]


@functools.cache
def prepared() -> Prepared:
    return sw.calibrate(model(), batches())


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, spikewright; assert spikewright.__version__; dir(spikewright);"
        "heavy = {'torch', 'numpy', 'safetensors'} & set(sys.modules); assert not heavy, heavy;"
        "spikewright.SpikeConverter; assert 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_are_what_they_say() -> None:
    """The verb ``simulate`` stays a function although a room of the package has its name."""
    import spikewright.simulators  # noqa: F401  (binds the room to the package's name)

    for name in ("calibrate", "convert", "evaluate", "inspect", "simulate", "verify", "load"):
        assert callable(getattr(sw, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'transmogrify'"):
        _ = sw.transmogrify


def test_conversion_needs_data() -> None:
    with pytest.raises(CalibrationError, match="convert: expected calibration data, got none"):
        sw.convert(model())


@pytest.mark.parametrize("empty", [[], iter([]), (x for x in ())])
def test_an_empty_loader(empty: Any) -> None:
    with pytest.raises(CalibrationError, match="expected at least one batch, got none"):
        sw.calibrate(model(), empty)
    with pytest.raises(CalibrationError, match="expected at least one batch, got none"):
        sw.calibrate(model(), empty, example=torch.rand(1, 4))


def test_an_iterator_that_has_been_read() -> None:
    once = iter(batches())
    sw.convert(model(), calibration=once, T=4)
    with pytest.raises(CalibrationError, match="can be read only once"):
        sw.convert(model(), calibration=once, T=4)


def test_batches_without_a_sample() -> None:
    with pytest.raises((CalibrationError, ShapeError), match="expected"):
        sw.calibrate(model(), torch.zeros(0, 4))


@pytest.mark.parametrize("batch", [[1.0, 2.0], "text", 5, ()])
def test_batches_of_another_kind(batch: Any) -> None:
    with pytest.raises(CalibrationError, match="expected tensors or"):
        sw.calibrate(model(), [batch])


def test_shapes_that_do_not_fit_or_change() -> None:
    with pytest.raises(ShapeError, match=r"batch 1: expected shape \(batch, 4\), got \(2, 5\)"):
        sw.calibrate(model(), [torch.rand(2, 4), torch.rand(2, 5)])
    with pytest.raises(ShapeError, match=r"batch 0: expected shape \(batch, 4\), got \(2, 5\)"):
        sw.calibrate(model(), torch.rand(2, 5), example=torch.rand(1, 4))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_data_that_are_not_finite(bad: float) -> None:
    damaged = [torch.rand(2, 4), torch.tensor([[0.0, 1.0, bad, 0.0]])]
    with pytest.raises(CalibrationError, match="batch 1: expected finite numbers"):
        sw.calibrate(model(), damaged)
    network = sw.convert(model(), calibration=torch.rand(4, 4), T=4)
    with pytest.raises(CalibrationError, match="batch 1: expected finite numbers"):
        sw.evaluate(network, damaged)


@pytest.mark.usefixtures("unchecked")
def test_a_model_of_another_kind() -> None:
    with pytest.raises(ConfigError, match=r"expected a torch\.nn\.Module, got dict"):
        sw.convert({}, calibration=torch.rand(2, 4))


def test_data_are_not_given_twice() -> None:
    with pytest.raises(ConfigError, match="calibrated already"):
        sw.convert(prepared(), calibration=batches())


def test_any_iterable_gives_the_same_network() -> None:
    """A tensor, pairs, a generator and other batch sizes: statistics do not depend on them."""
    whole = torch.cat([x for x, _ in batches()])

    def stream() -> Iterator[Tensor]:
        yield from whole.split(5)

    digests = {
        sw.convert(model(), calibration=data, T=4).provenance["statistics_digest"]
        for data in (whole, batches(), stream(), [[x, y] for x, y in reversed(batches())])
    }
    assert len(digests) == 1


def test_another_shape_is_refused_by_every_verb() -> None:
    network = sw.convert(prepared(), T=4)
    for verb in (sw.api.simulate, sw.api.verify, sw.evaluate):
        with pytest.raises(ShapeError, match=r"expected shape \(batch, 4\), got \(2, 5\)"):
            verb(network, torch.rand(2, 5))


@pytest.mark.usefixtures("unchecked")
def test_simulators_have_names() -> None:
    network = sw.convert(prepared(), T=4)
    for verb in (sw.api.simulate, sw.evaluate):
        with pytest.raises(
            ConfigError, match=r"expected 'collapsed' or 'reference' .* layered schedule, got"
        ):
            verb(network, torch.rand(2, 4), simulator="quantum")


def test_evaluation_of_nothing() -> None:
    network = sw.convert(prepared(), T=4)
    with pytest.raises(CalibrationError, match="expected at least one batch, got none"):
        sw.evaluate(network, [])
    with pytest.raises(ConfigError, match="limit: expected at least 1 input, got 0"):
        sw.evaluate(network, batches(), limit=0)


def test_code_lengths_need_the_calibrated_model(tmp_path: Path) -> None:
    network = sw.convert(prepared(), T=4)
    result = sw.evaluate(network, batches(), code_lengths=[8, 4, 2, 4])
    assert [x.T for x in result.lengths] == [2, 4, 8]
    alone = sw.evaluate(sw.convert(prepared(), T=8), batches())
    assert result.at(8).to_dict() == alone.at(8).to_dict()
    with pytest.raises(
        ConfigError, match="T=5: expected one of the evaluated code lengths 2, 4, 8"
    ):
        result.at(5)
    with pytest.raises(ConfigError, match="expected at least one T, got none"):
        sw.evaluate(network, batches(), code_lengths=[])
    network.save(tmp_path / "net")
    for other in (sw.load(tmp_path / "net"), network.to_integer()):
        with pytest.raises(ConfigError, match=r"code_lengths: .*holds T=4 only"):
            sw.evaluate(other, batches(), code_lengths=[2])


@pytest.mark.parametrize("limit", [1, 8, 11, 999])
def test_a_limit_counts_inputs(limit: int) -> None:
    network = sw.convert(prepared(), T=4)
    whole = [torch.cat(part) for part in zip(*batches(), strict=True)]
    expected = sw.evaluate(network, [tuple(part[:limit] for part in whole)])
    assert sw.evaluate(network, batches(), limit=limit).to_dict() == expected.to_dict()
    assert expected.lengths[0].samples == min(limit, 24)


def test_accuracy_and_agreement_are_shares_of_what_is_known() -> None:
    """Against labels from the model itself the ANN is perfect, and agreement is accuracy."""
    own = [(x, model()(x).argmax(1)) for x, _ in batches()]
    network = sw.convert(prepared(), T=10)
    result = sw.evaluate(network, own, reference=model())
    assert result.reference_accuracy == 1.0
    length = result.lengths[0]
    assert length.accuracy() == length.agreement() == result.accuracy == 1.0
    assert [length.accuracy(t) for t in range(1, 11)] == [length.agreement(t) for t in range(1, 11)]
    unlabelled = sw.evaluate(network, [x for x, _ in own])
    assert unlabelled.reference_accuracy is None
    assert unlabelled.accuracy is None
    assert unlabelled.lengths[0].agreement() is None
    assert {row.split()[2] for row in unlabelled.table().splitlines()[4:14]} == {percent(None)}


def test_the_last_step_decides_as_simulate_does() -> None:
    network = sw.convert(prepared(), T=6)
    decided = [(x, sw.api.simulate(network, x).argmax(1)) for x, _ in batches()]
    assert sw.evaluate(network, decided).accuracy == 1.0


def test_the_reference_model_is_not_changed() -> None:
    ann = model().train()
    sw.evaluate(sw.convert(prepared(), T=4), batches(), reference=ann)
    assert all(m.training for m in ann.modules())


def test_outputs_need_not_be_class_scores() -> None:
    maps = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    network = sw.convert(maps, calibration=torch.rand(4, 1, 3, 3), T=4)
    length = sw.evaluate(network, torch.rand(2, 1, 3, 3)).lengths[0]
    assert length.outputs == "numbers (batch, 2, 3, 3)"
    assert length.spikes > 0
    assert length.accuracy() is length.agreement() is length.error() is None


def test_results_of_another_network_do_not_merge() -> None:
    a, b = (sw.convert(prepared(), T=T) for T in (4, 5))
    one, two = (sw.evaluate(n, batches()) for n in (a, b))
    with pytest.raises(ConfigError, match="merge: expected results of one network"):
        one.merge(two)
    with pytest.raises(ConfigError, match="merge: expected results of one network"):
        one.merge(sw.evaluate(a, batches(), simulator="reference"))


def test_results_are_json_and_tables() -> None:
    network = sw.convert(prepared(), T=4)
    result = sw.evaluate(network, batches(), reference=model(), code_lengths=[2, 4])
    data = json.loads(result.to_json())
    assert data == json.loads(json.dumps(result.to_dict()))
    assert data["lengths"][1]["macs"] == 4 * 16 + 16 * 3
    assert data["lengths"][1]["analog_macs"] == 4 * 16
    text = result.table(layers=True)
    for words in ("ANN accuracy", "spikes/neuron", "latency 8 ticks", "one input every 4 ticks"):
        assert words in text


def test_counting_can_be_left_out() -> None:
    network = sw.convert(prepared(), T=4)
    bare, full = (sw.evaluate(network, batches(), counting=c) for c in (False, True))
    assert bare.lengths[0].layers == ()
    assert bare.lengths[0].correct == full.lengths[0].correct


def test_evaluate_takes_a_function_as_the_original() -> None:
    network, ann = sw.convert(prepared(), T=4), model()
    (x, y), *_ = batches()
    by_function = sw.evaluate(network, [(x, y)], reference=lambda x: ann(x))
    assert by_function.to_dict() == sw.evaluate(network, [(x, y)], reference=ann).to_dict()


@pytest.mark.parametrize(
    ("reference", "got"),
    [
        (lambda x: x.sum(), r"as the network's, \(8, 3\), got \(\)"),
        (lambda x: torch.ones(len(x) + 1, 3), r"got \(9, 3\)"),
        (lambda x: torch.ones(len(x), 4), r"got \(8, 4\)"),
        (lambda x: {"a": torch.ones(len(x), 3), "b": [torch.ones(1)]}, r"got \(8, 3\), \(1,\)"),
        (lambda x: None, "got NoneType without a tensor"),
        (lambda x: [], "got list without a tensor"),
    ],
)
def test_an_original_with_other_outputs_is_refused(reference: Any, got: str) -> None:
    with pytest.raises(ConfigError, match=f"reference: expected .*{got}"):
        sw.evaluate(sw.convert(prepared(), T=4), batches(), reference=reference)
