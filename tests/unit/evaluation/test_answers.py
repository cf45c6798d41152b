# SPDX-License-Identifier: Apache-2.0
"""What is said of outputs that are no class scores, and that nothing is where it means nothing."""

import itertools
import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.energy import verdict
from spikewright.errors import ConfigError, FileFormatError
from spikewright.evaluation import Result
from spikewright.evaluation.length import LengthResult
from spikewright.simulators import simulator
from spikewright.tasks import outputs
from spikewright.tasks.form import wanted_of
from tests.unit.evaluation.answering import FORMS, converted, inputs

METHODS = ("spikeconverter", "burst", "casc")
WHY = "Accuracy is not shown: its outputs are no class scores."


def by_hand(model: nn.Module, snn: sw.SpikingNetwork, x: Tensor) -> list[list[float]]:
    """Return each output's relative error or share of equal elements, after every step."""
    with torch.no_grad():
        wanted = wanted_of(model(x)).values
        found: list[list[float]] = [[] for _ in wanted]
        for outputs in simulator(snn, "reference").over_time(x):
            for place, (a, b) in enumerate(zip(outputs, wanted, strict=True)):
                off, size = a.double() - b.double(), b.double().norm()
                share = off.norm() / size if a.is_floating_point() else (off == 0).double().mean()
                found[place].append(float(share))
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FORMS)
def test_every_kind_of_outputs_is_counted_and_compared(name: str, method: str) -> None:
    outputs, text = FORMS[name]
    (model, snn), x = converted(outputs, method), inputs()
    targets = torch.rand(len(x), 1)
    found = sw.evaluate(snn, [(x[:9], targets[:9]), (x[9:], targets[9:])], reference=model)
    length = found.lengths[0]
    assert length.spikes > 0
    assert length.total("additions") > 0
    assert length.outputs == text
    assert (length.labelled, length.compared, length.unused_labels) == (0, 0, len(x))
    assert length.accuracy() is length.agreement() is found.reference_accuracy is None
    shares = [(e.squared and "relative_error") or "equality" for e in length.errors]
    steps = range(1, length.steps + 1)
    told = [[getattr(e, s)(t) for t in steps] for e, s in zip(length.errors, shares, strict=True)]
    assert told == [pytest.approx(w, rel=1e-3, abs=1e-6) for w in by_hand(model, snn, x)]
    assert Result.from_json(found.to_json()) == found
    for words in (found.table(), verdict(length, None, [])[0]):
        assert "agree" not in words
        assert "right" not in words
    assert verdict(length, None, [])[0].endswith(WHY)


@pytest.mark.parametrize("name", ["batch_1", "argmax", "nested"])
def test_parts_of_a_batch_and_of_the_data_add_up(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model, snn), x = converted(FORMS[name][0]), inputs()
    whole = sw.evaluate(snn, x, reference=model)
    parts = [sw.evaluate(snn, part, reference=model) for part in x.split(8)]
    lengths, *others = (a.merge(b).merge(c).lengths for a, b, c in itertools.permutations(parts))
    assert all(other == lengths for other in others)  # to the last bit
    monkeypatch.setattr("spikewright.simulators.collapsed.PART_ELEMENTS", 16 * 5)
    monkeypatch.setattr(outputs, "_AT_ONCE", 7)
    for one in (*lengths, *sw.evaluate(snn, x, reference=model).lengths):
        for error, all_of_it in zip(one.errors, whole.lengths[0].errors, strict=True):
            assert error.elements == all_of_it.elements
            assert error.off() == pytest.approx(all_of_it.off(), rel=1e-5)
            if error.is_floating:
                assert error.snr_db() == pytest.approx(all_of_it.snr_db(), abs=1e-3)
    alone = sw.evaluate(snn, x[:8])
    with pytest.raises(ConfigError, match="merge: expected results of one network"):
        alone.lengths[0].merge(parts[0].lengths[0])


def test_a_regression_net_does_not_agree_with_an_unrelated_one() -> None:
    _, snn = converted(FORMS["batch_1"][0])
    unrelated = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    length = sw.evaluate(snn, inputs(), reference=unrelated).lengths[0]
    assert length.compared == 0
    assert length.error() > 0.2
    said = verdict(length, None, [])[0]
    assert said == (
        "After 3 steps the spiking network's output against the ANN's, on 24 inputs: relative "
        f"error {100 * length.error():.3g} %, {-20 * math.log10(length.error()):.1f} dB."
    )


@pytest.mark.parametrize("name", ["batch_1", "many"])
def test_without_the_original_only_work_is_told(name: str) -> None:
    _, snn = converted(FORMS[name][0])
    found = sw.evaluate(snn, [(inputs(), torch.rand(24))])
    assert found.lengths[0].errors == ()
    assert verdict(found.lengths[0], None, [])[0] == (
        f"The spiking network was run on 24 inputs, with nothing to compare it with. {WHY}"
    )
    text = found.table()
    assert "step (T=3)  tick\n" in text
    assert "spikes a neuron" in text


@pytest.mark.parametrize(
    "labels", [torch.rand(24, 6), torch.full((24,), 99), [{"boxes": 1}] * 24, ["cat"] * 24]
)
def test_labels_beside_other_outputs_are_not_read(labels: Any) -> None:
    _, snn = converted(FORMS["mask"][0])
    assert sw.evaluate(snn, [(inputs(), labels)]).lengths[0].unused_labels == 24


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.rand(24, 6), "batch 0: expected a whole class number for each input"),
        (torch.full((24,), 6), "expected class numbers below 6, the network's outputs, got 6"),
        (["cat"] * 24, "batch 0: expected class numbers beside the inputs, got list"),
    ],
)
def test_labels_beside_class_scores_are_classes(labels: Any, message: str) -> None:
    _, snn = converted(lambda s, _: {"logits": s})
    with pytest.raises(ConfigError, match=message):
        sw.evaluate(snn, [(inputs(), labels)])


def test_class_scores_may_be_wrapped() -> None:
    """One output is the same in a dictionary, a list or alone, for network and reference."""
    plain, snn = converted(lambda s, _: s)
    x = inputs()
    y = plain(x).argmax(1)
    expected = sw.evaluate(snn, [(x, y)], reference=plain)
    assert expected.lengths[0].has_scores
    assert expected.reference_accuracy == 1.0
    for wrap in (lambda s: {"logits": s}, lambda s: [s]):
        _, wrapped = converted(lambda s, _, wrap=wrap: wrap(s))
        found = sw.evaluate(wrapped, [(x, y)], reference=lambda x, w=wrap: (w(plain(x)), None))
        assert found.lengths[0].correct == expected.lengths[0].correct
        assert found.lengths[0].agree == expected.lengths[0].agree


@pytest.mark.parametrize(
    ("reference", "got"),
    [
        (lambda x: torch.ones(len(x), 6), r"got \(24, 6\)\."),
        (lambda x: {"a": torch.ones(len(x), 1), "b": torch.ones(len(x), 6)}, r"got \(24, 1\), "),
        (lambda x: torch.ones(()), r"got \(\)\."),
        (lambda x: {"a": 3}, "got dict without a tensor"),
    ],
)
def test_another_reference_is_one_error(reference: Any, got: str) -> None:
    _, snn = converted(FORMS["dict"][0])
    with pytest.raises(ConfigError, match=f"reference: expected outputs.*{got}"):
        sw.evaluate(snn, inputs(), reference=reference)


def test_what_is_not_finite_has_no_error() -> None:
    """1/0 in one network only; the same infinity in both is no difference."""
    _, snn = converted(FORMS["batch_1"][0])
    (own,) = simulator(snn)(inputs())

    def infinite(x: Tensor) -> Tensor:
        out = own.clone()
        out[3] = torch.inf
        return out

    length = sw.evaluate(snn, inputs(), reference=infinite).lengths[0]
    assert (length.error(), length.errors[0].odd) == (None, (1, 1, 1))
    assert "no relative error is known" in verdict(length, None, [])[0]
    found = sw.evaluate(snn, inputs(), reference=infinite)
    assert "output has no error: of 24 elements, 1 differ" in " ".join(found.table().split())
    _, both = converted(lambda _, v: v / torch.zeros_like(v))
    same = sw.evaluate(both, inputs(), reference=lambda x: simulator(both)(x)).lengths[0]
    assert (same.errors[0].odd[-1], same.error()) == (0, 0.0)


def test_an_original_that_is_silent_has_no_relative_error() -> None:
    _, snn = converted(FORMS["batch_1"][0])
    found = sw.evaluate(snn, inputs(), reference=lambda x: torch.zeros(len(x), 1))
    assert found.lengths[0].error() is None
    assert "the ANN's is 0 throughout" in found.table()


def test_examples_without_class_scores_have_spikes_but_no_class() -> None:
    model, snn = converted(FORMS["nested"][0], "burst")
    found = sw.evaluate(snn, [(inputs(), torch.rand(24))], reference=model, examples=2)
    assert [(e.index, e.target, e.ann, e.decided) for e in found.examples] == [
        (0, None, None, ()),
        (1, None, None, ()),
    ]
    assert all(track.spikes for e in found.examples for track in e.tracks)
    assert Result.from_json(found.to_json()).examples == found.examples


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(labelled=24), "no class scores"),
        (lambda d: d.update(outputs=3), "a field is of another kind"),
        (lambda d: d.update(unused_labels=25), "more is right than was run"),
        (lambda d: d.pop("errors"), "missing or unknown"),
        (lambda d: d["errors"][0].pop("norm"), "an output's field is missing"),
        (lambda d: d["errors"][0]["relative_error"].reverse(), "ratios do not follow"),
        (lambda d: d["errors"][0]["snr_db"].reverse(), "ratios do not follow"),
    ],
)
def test_what_was_edited_is_found(edit: Any, message: str) -> None:
    model, snn = converted(FORMS["batch_1"][0])
    length = sw.evaluate(snn, inputs(), reference=model).lengths[0]
    data = json.loads(json.dumps(length.to_dict()))
    assert LengthResult.from_dict(data) == length
    edit(data)
    with pytest.raises(FileFormatError, match=message):
        LengthResult.from_dict(data)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FORMS)
def test_diagnosis_looks_at_every_output(name: str, method: str) -> None:
    (model, snn), x = converted(FORMS[name][0], method), inputs()
    found = sw.diagnose(snn, x)
    assert found.agreement is None
    rows = [x for x in found.layers if x.kind == "output"]
    shares = by_hand(model, snn, x)
    told = sorted(x.equality if x.relative_error is None else x.relative_error**0.5 for x in rows)
    assert told == pytest.approx(sorted(s[-1] for s in shares), rel=1e-2, abs=1e-6)
    assert found.output.off == max(x.off for x in rows)
    assert json.loads(found.to_json())["agreement"] is None
    text = found.table()
    for row in rows:
        assert (f"{row.name}: " in text) == (row.equality is not None)
    parts = [sw.diagnose(snn, part) for part in x.split(8)]
    assert parts[0].merge(parts[1]).merge(parts[2]).output.off == pytest.approx(found.output.off)
