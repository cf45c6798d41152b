# SPDX-License-Identifier: Apache-2.0
"""Accuracy, account, energy, report, proof and file of recurrent networks, as of any other."""

import copy
import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

import spikewright as sw
from spikewright.energy import choose_models, energy_of
from spikewright.errors import CalibrationError, FileFormatError
from spikewright.evaluation import Result
from spikewright.recurrent import evaluate, load, save, verify
from spikewright.recurrent.evaluate import Labelled
from tests.unit.recurrent.test_recurrent import HIDDEN, INPUTS, LEVELS, converted, texts


def batches(*sizes: int) -> list[Labelled]:
    found: list[Labelled] = []
    for size in sizes:
        tokens, lengths = texts(size)
        found.append(((tokens, lengths), torch.randint(0, 3, (size,))))
    return found


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_evaluate_counts_what_a_run_of_the_same_texts_does(pool: str) -> None:
    """The head's share, which the account leaves out, follows from the additions with no class."""
    (model, snn), data = converted(pool), batches(5, 3)
    headless = dataclasses.replace(
        snn, head_weight=snn.head_weight[:0], head_bias=snn.head_bias[:0]
    )
    runs = [headless.measure(*x) for x, _ in data]
    result = evaluate(snn, data, reference=model)
    (found,) = result.lengths
    tokens = sum(int(lengths.sum()) for (_, lengths), _ in data)
    assert (found.samples, found.unit) == (tokens, "token")
    assert (found.labelled, found.compared) == (8, 8)
    assert found.spikes == sum(int(run.spikes.sum()) for run in runs)
    assert found.total("additions") == sum(int(run.additions.sum()) for run in runs)
    assert found.at_rest == tuple(map(sum, zip(*(run.at_rest for run in runs), strict=True)))
    assert found.macs == INPUTS * HIDDEN + HIDDEN * HIDDEN
    wanted = [model(*x).argmax(1) for x, _ in data]
    right = sum(int((w == y).sum()) for w, (_, y) in zip(wanted, data, strict=True))
    assert (result.reference_correct, result.reference_samples) == (right, 8)
    assert (found.correct[-1], found.agree[-1]) == (right, 8)


def test_decisions_after_each_step_are_those_of_the_last_token() -> None:
    """By hand: all tokens but the last at rest, the last one's run read out after every step."""
    from spikewright.simulators import simulator

    (_, snn), (tokens, lengths) = converted("last"), texts(4)
    labels = torch.tensor([0, 1, 2, 0])
    correct: Tensor = torch.zeros(snn.network.steps, dtype=torch.int64)
    for text, length, label in zip(tokens, lengths, labels, strict=True):
        *_, last = snn.cell_inputs(text[None, :length], length[None])
        for step, outputs in enumerate(simulator(snn.network).over_time(last)):
            scores = outputs[0] @ snn.head_weight.T + snn.head_bias
            correct[step] += int(scores.argmax() == label)
    result = evaluate(snn, [((tokens, lengths), labels)])
    assert result.lengths[0].correct == tuple(correct.tolist())
    assert result.reference_accuracy is None


def test_parts_merge_into_the_whole() -> None:
    (model, snn), data = converted(), batches(4, 4)
    whole = evaluate(snn, data, reference=model)
    parts = [evaluate(snn, [each], reference=model) for each in data]
    assert parts[0].merge(parts[1]).to_dict() == whole.to_dict()
    assert Result.from_json(whole.to_json()).to_dict() == whole.to_dict()


def test_table_energy_and_report_speak_of_tokens(tmp_path: Path) -> None:
    (model, snn), data = converted(), batches(4)
    result = evaluate(snn, data, reference=model)
    text = result.table()
    tokens = int(data[0][0][1].sum())
    assert f"{tokens} tokens, timefold simulator; ANN accuracy" in text
    assert "on 4 texts" in text
    assert "per token:" in text
    prices, *_ = choose_models()
    assert energy_of(result.lengths[0], prices).total > 0
    sw.write_report(result, tmp_path / "page.html")
    assert "tokens" in (tmp_path / "page.html").read_text()


def test_verify_and_the_other_verbs_take_the_cell_and_its_inputs() -> None:
    (_, snn), (tokens, lengths) = converted(), texts()
    checked = verify(snn, tokens, lengths, most=10)
    assert checked.agrees
    assert checked.samples == 10
    rows = torch.cat(list(snn.cell_inputs(tokens, lengths)))
    assert len(rows) == int(lengths.sum())
    counted = sw.evaluate(snn.network, rows).lengths[0]
    assert counted.spikes == int(snn.measure(tokens, lengths).spikes.sum())


def test_no_text_is_refused() -> None:
    _, snn = converted()
    with pytest.raises(CalibrationError, match="expected at least one text, got none"):
        evaluate(snn, [])


def test_a_file_gives_the_same_network_back(tmp_path: Path) -> None:
    (_, snn), (tokens, lengths) = converted("last"), texts()
    save(snn, tmp_path / "rnn.safetensors")
    again = load(tmp_path / "rnn.safetensors")
    assert (again.pool, again.cap, again.levels) == ("last", snn.cap, LEVELS)
    assert torch.equal(again.run(tokens, lengths), snn.run(tokens, lengths))


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rnn.safetensors"
    _, snn = converted()
    with pytest.raises(FileFormatError, match="got no file"):
        load(path)
    save(snn, path)
    content = path.read_bytes()
    for damaged in (content[:-9], content[:4], b"", content[:-1] + bytes([content[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"damaged|got spikewright|got None"):
            load(path)
    snn.network.save(path)
    with pytest.raises(FileFormatError, match=r"got spikewright\.network"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_bias": torch.zeros(7, dtype=torch.float64)}, "other shapes"),
        ({"embedding": torch.zeros(3, 9, dtype=torch.float64)}, "which its states do not fit"),
        ({"embedding": torch.zeros(3, INPUTS)}, "different floating types"),
        ({"pool": "best"}, "pool best"),
        ({"levels": 0}, "levels 0"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    snn = copy.copy(converted()[1])
    for name, value in change.items():
        object.__setattr__(snn, name, value)
    save(snn, tmp_path / "rnn.safetensors")
    with pytest.raises(FileFormatError, match=f"it is no recurrent network .*{message}"):
        load(tmp_path / "rnn.safetensors")
    assert safetensors.torch.load_file(tmp_path / "rnn.safetensors")
