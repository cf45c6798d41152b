# SPDX-License-Identifier: Apache-2.0
"""LSTM, GRU and RNN classifiers as spiking networks: the law, counts by hand, files, refusals."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import spikewright as sw
from spikewright.errors import (
    CalibrationError,
    ConfigError,
    FileFormatError,
    ShapeError,
    UnsupportedModuleError,
    VerificationError,
)
from spikewright.recurrent import SequenceSNN, convert_recurrent, evaluate, load, save, verify
from spikewright.recurrent.parts import parts_of
from spikewright.recurrent.passes import go_over, read
from spikewright.recurrent.sequence import convert_sequence

WORDS, INPUTS, HIDDEN, CLASSES, LONGEST = 30, 6, 8, 3, 7

KINDS = [
    ("LSTM", {}),
    ("GRU", {}),
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {"bidirectional": True}),
    ("GRU", {"num_layers": 2, "bias": False}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "dropout": 0.5}),
]


class Classifier(nn.Module):
    """As users write them."""

    def __init__(self, kind: str = "LSTM", pool: str = "last", **settings: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, INPUTS)
        self.rnn = getattr(nn, kind)(INPUTS, HIDDEN, **settings)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(HIDDEN * (2 if self.rnn.bidirectional else 1), CLASSES)
        self.pool = pool

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(tokens)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs, states = self.rnn(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True)
        h = states[0] if isinstance(states, tuple) else states
        rows = torch.arange(len(tokens))
        if self.pool == "mean":
            read = outputs.sum(1) / lengths.unsqueeze(1)
        elif self.pool == "max":
            inside = torch.arange(outputs.shape[1]) < lengths.unsqueeze(1)
            read = outputs.masked_fill(~inside.unsqueeze(2), -torch.inf).amax(1)
        elif self.pool == "end":
            read = outputs[rows, lengths - 1]
        else:
            read = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else h[-1]
        return self.head(self.dropout(read))


def texts(count: int = 12) -> tuple[Tensor, Tensor]:
    lengths = torch.randint(1, LONGEST + 1, (count,))
    lengths[0] = LONGEST
    return torch.randint(0, WORDS, (count, LONGEST)), lengths


@functools.cache
def converted(kind: str = "LSTM", both: bool = False) -> tuple[Classifier, SequenceSNN]:
    """A network of one layer and its spiking one, for all tests that change neither."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = Classifier(kind, bidirectional=both).eval()
        return model, convert_sequence(model, [texts(40)], T=8)


# --- the parts are the model


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_cells_in_plain_operators_are_the_layer(kind: str, settings: dict[str, Any]) -> None:
    """Held against the layer itself, text by text without padding, in double precision."""
    model, (tokens, lengths) = Classifier(kind, **settings).double().eval(), texts()
    parts = parts_of(model, [(tokens, lengths)])
    assert parts.difference < 1e-12

    def step(cell: int, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return parts.cells[cell](*given)

    with torch.no_grad():
        found = go_over(parts.layout, model.embedding(tokens), lengths, step)
        for i, length in enumerate(lengths.tolist()):
            alone = model.embedding(tokens[i, :length]).unsqueeze(1)
            torch.testing.assert_close(found[i, :length], model.rnn(alone)[0].squeeze(1))
            assert not found[i, length:].any()


@pytest.mark.parametrize("pool", ["last", "mean", "max", "end"])
def test_what_the_head_reads_is_found(pool: str) -> None:
    model = Classifier("GRU", pool, bidirectional=True).eval()
    parts = parts_of(model, [texts()])
    assert parts.reading == pool
    tokens, lengths = texts()
    with torch.no_grad():
        scores = parts.head(parts.run(tokens, lengths))
        torch.testing.assert_close(scores, model(tokens, lengths))


def test_the_last_state_of_one_direction_is_that_at_the_end() -> None:
    layout = parts_of(Classifier("RNN").eval(), [texts()]).layout
    outputs, lengths = torch.randn(3, 5, HIDDEN), torch.tensor([5, 1, 3])
    wanted = torch.stack([outputs[0, 4], outputs[1, 0], outputs[2, 2]])
    for name in ("last", "end"):
        assert torch.equal(read(name, layout, outputs, lengths), wanted)


# --- the spiking network


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_scores_come_near_with_long_trains(kind: str, settings: dict[str, Any]) -> None:
    model, (tokens, lengths) = Classifier(kind, **settings).eval(), texts(40)
    wanted = model(tokens, lengths).detach()
    errors = [
        float(
            (convert_sequence(model, [(tokens, lengths)], T=T).run(tokens, lengths) - wanted).norm()
        )
        for T in (4, 12)
    ]
    assert errors[1] < errors[0] / 20
    assert errors[1] < 1e-3 * float(wanted.norm())


def test_padding_and_neighbours_change_nothing() -> None:
    (_, snn), (tokens, lengths) = converted(both=True), texts()
    together = snn.run(tokens, lengths)
    padded = torch.cat([tokens, torch.randint(0, WORDS, (len(tokens), 4))], dim=1)
    assert torch.equal(snn.run(padded, lengths), together)
    for i, length in enumerate(lengths.tolist()):
        alone = snn.run(tokens[i : i + 1, :length])
        torch.testing.assert_close(alone[0], together[i], atol=2e-3, rtol=0)


def test_sequences_of_vectors_need_neither_embedding_nor_lengths() -> None:
    class Series(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(INPUTS, HIDDEN, batch_first=True)
            self.head = nn.Sequential(nn.Linear(HIDDEN, 8), nn.ReLU(), nn.Linear(8, CLASSES))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    model, x = Series().eval(), torch.randn(40, LONGEST, INPUTS)
    snn = convert_recurrent(model, (x, None), T=12)
    assert snn.embedding is None
    torch.testing.assert_close(snn.run(x), model(x), atol=5e-3, rtol=0)
    assert evaluate(snn, [((x, None), None)], reference=model).lengths[0].compared == 40


def test_the_model_is_not_changed() -> None:
    model = Classifier("LSTM", num_layers=2, dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    convert_recurrent(model, texts(), T=4)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_simulators_agree_and_the_law_holds(kind: str) -> None:
    (_, snn), (tokens, lengths) = converted(kind), texts()
    checked = verify(snn, tokens, lengths, most=20)
    assert checked.agrees
    assert checked.original is not None
    assert checked.original.agrees is True
    assert checked.samples == 20 + len(tokens)  # of the cell and of the head
    assert {site.site.split(".")[0] for site in checked.sites} == {"l0", "head"}


# --- counts


def two_units(kind: str) -> tuple[sw.SpikingNetwork, Tensor]:
    """Return a cell of two units at T = 4, and h = (9/15, -6/15) of what its neurons can send."""
    model = Classifier(kind).eval()
    model.rnn, model.head = getattr(nn, kind)(INPUTS, 2), nn.Linear(2, CLASSES)
    cell = convert_sequence(model, [texts(64)], T=4, per_channel=False).cells[0]
    (name,) = [node.name for node in cell.spiking_nodes()]
    return cell, torch.tensor([[9.0, -6.0]]) * float(cell.sites[name].scale) / 15


def test_one_token_of_an_lstm_counted_by_hand() -> None:
    """Two units, T = 4, scale 1: 15 units are 1. U's spikes are those of the 4-bit codes of h.

    h = (9/15, -6/15): 1001 has two spikes, 0110 two, each of them an addition in each of the 4·2
    gates' potentials. A function unit evaluates three sigmoids and two tangents, multiplies f·c,
    i·g and o·tanh(c'), and adds once.
    """
    cell, h = two_units("LSTM")
    counted = sw.evaluate(cell, [(torch.randn(1, INPUTS), h, torch.randn(1, 2))]).lengths[0]
    assert counted.spikes == 4
    assert counted.total("additions") == 4 * 4 * 2
    work = [row for row in counted.layers if row.kind == "analog"]
    assert sum(row.evaluations for row in work) == 5 * 2
    assert sum(row.multiplications for row in work) == 3 * 2
    assert sum(row.sums for row in work) == 2
    assert counted.macs == 4 * 2 * (INPUTS + 2)


def test_one_token_of_a_gru_counted_by_hand() -> None:
    """Four spikes, as above, reach 3·2 potentials; r·U(h), z·(h − n) are multiplied in the unit."""
    cell, h = two_units("GRU")
    counted = sw.evaluate(cell, [(torch.randn(1, INPUTS), h)]).lengths[0]
    assert (counted.spikes, counted.total("additions")) == (4, 4 * 3 * 2)
    work = [row for row in counted.layers if row.kind == "analog"]
    assert sum(row.evaluations for row in work) == 3 * 2
    assert sum(row.multiplications for row in work) == 2 * 2


@pytest.mark.parametrize("both", [False, True])
def test_the_account_is_that_of_the_runs_of_the_cells(both: bool) -> None:
    (model, snn), data = converted("GRU", both), [texts(5), texts(3)]
    labels = [torch.randint(0, CLASSES, (len(x),)) for x, _ in data]
    result = evaluate(snn, list(zip(data, labels, strict=True)), reference=model)
    (found,) = result.lengths
    tokens = sum(int(lengths.sum()) for _, lengths in data)
    kinds = {row.kind for row in found.layers}
    assert "function" in kinds
    assert "analog" not in kinds  # gates are evaluated by function units, in the account as well
    assert (found.samples, found.unit) == (tokens, "token")
    assert (found.labelled, found.compared, result.reference_samples) == (8, 8, 8)
    spikes = 0
    for x, lengths in data:
        *cells, _ = snn.cell_inputs(x, lengths)
        for cell, rows in zip(snn.cells, cells, strict=True):
            assert len(rows[0]) == int(lengths.sum())
            spikes += sw.evaluate(cell, [rows]).lengths[0].spikes
    assert found.spikes == spikes
    assert found.macs == (2 if both else 1) * 3 * HIDDEN * (INPUTS + HIDDEN)
    right = [snn.run(*x).argmax(1) == y for x, y in zip(data, labels, strict=True)]
    assert found.correct[-1] == int(torch.cat(right).sum())
    assert found.latency_ticks == 16  # both directions at once


def test_layers_of_one_direction_work_on_different_tokens() -> None:
    for both, every in ((False, 16), (True, 32)):
        model = Classifier("RNN", num_layers=2, bidirectional=both).eval()
        snn = convert_recurrent(model, texts(), T=8)
        found = evaluate(snn, [(texts(), None)], counting=False).lengths[0]
        assert (found.latency_ticks, found.ticks_per_input) == (32, every)


def test_energy_report_and_summary_take_the_result(tmp_path: Path) -> None:
    from spikewright.energy import choose_models, energy_of

    model, snn = converted()
    result = evaluate(snn, [(texts(), torch.zeros(12, dtype=torch.int64))], reference=model)
    prices, *_ = choose_models()
    assert energy_of(result.lengths[0], prices).total > 0
    sw.write_report(result, tmp_path / "page.html")
    assert "l0.recurrent" in (tmp_path / "page.html").read_text()
    assert "in plain operators it computes the model" in snn.summary()


# --- files


@pytest.mark.parametrize("both", [False, True])
def test_a_file_gives_the_same_network_back(both: bool, tmp_path: Path) -> None:
    (_, snn), (tokens, lengths) = converted(both=both), texts()
    save(snn, tmp_path / "lstm.safetensors")
    again = load(tmp_path / "lstm.safetensors")
    assert isinstance(again, SequenceSNN)
    assert (again.layout, again.reading, again.provenance) == (
        snn.layout,
        snn.reading,
        snn.provenance,
    )
    assert torch.equal(again.run(tokens, lengths), snn.run(tokens, lengths))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reading": "first"}, "its head reads 'first'"),
        ({"embedding": torch.zeros(WORDS, INPUTS + 1)}, "cell l0 maps"),
        ({"embedding": torch.zeros(WORDS, INPUTS).double()}, "different floating types"),
        ({"hidden": HIDDEN + 1}, "cell l0 maps"),
        ({"states": 3}, "its layout is"),
        ({"layers": 2}, "network/l1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    _, snn = converted()
    if set(change) & {"hidden", "states", "layers"}:
        change = {"layout": dataclasses.replace(snn.layout, **change)}
    broken = dataclasses.replace(snn, **change)
    if "layout" in change and change["layout"].layers == 2:
        broken = dataclasses.replace(broken, cells=snn.cells[:1])
    save(broken, tmp_path / "lstm.safetensors")
    with pytest.raises(FileFormatError, match=f"it is no recurrent network .*{message}"):
        load(tmp_path / "lstm.safetensors")


# --- misuse


def test_no_texts_and_wrong_lengths_are_refused() -> None:
    model, snn = converted()
    with pytest.raises(CalibrationError, match="expected calibration texts, got none"):
        convert_recurrent(model, [])
    with pytest.raises(CalibrationError, match="expected at least one text, got none"):
        evaluate(snn, [])
    with pytest.raises(ShapeError, match="expected 1 to 2 tokens a text, got 3 to 3"):
        snn.run(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([3]))


def test_projections_are_refused() -> None:
    model = Classifier(proj_size=4)
    model.head = nn.Linear(4, CLASSES)
    with pytest.raises(UnsupportedModuleError, match=r"rnn \(LSTM\): .*got proj_size=4"):
        convert_recurrent(model.eval(), texts())


def test_two_recurrent_layers_are_refused() -> None:
    class Two(Classifier):
        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            x = self.embedding(tokens)
            return self.head(self.rnn(self.rnn(x)[0].narrow(2, 0, INPUTS))[0][:, -1])

    with pytest.raises(UnsupportedModuleError, match=r"one nn\.LSTM, .* got rnn \(LSTM\), rnn"):
        convert_recurrent(Two(batch_first=True).eval(), texts())


def test_work_between_the_parts_is_refused() -> None:
    class Between(Classifier):
        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            return self.head(self.rnn(2 * self.embedding(tokens))[0][:, -1])

    class Behind(Classifier):
        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            return super().forward(tokens, lengths).softmax(1)

    class Padded(Classifier):
        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            return self.head(self.rnn(self.embedding(tokens))[0][:, -1])

    for kind, message in (
        (Between, "something else in between"),
        (Behind, "something that is computed behind it"),
        (Padded, r"head \(Linear\): expected a head that reads .* pack padded texts"),
    ):
        with pytest.raises(UnsupportedModuleError, match=message):
            convert_recurrent(kind(batch_first=True).eval(), texts())


def test_a_model_that_changes_from_batch_to_batch_is_noticed() -> None:
    class Counting(Classifier):
        calls = 0

        def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
            self.head.bias.data += float(self.calls)
            self.calls += 1
            return super().forward(tokens, lengths)

    with pytest.raises(VerificationError, match="on calibration batch 1, got a difference"):
        convert_recurrent(Counting().eval(), [texts(), texts()])


def test_methods_without_complete_values_are_refused() -> None:
    model, _ = converted()
    with pytest.raises(ConfigError, match=r"layered method for Classifier, .* got rueckauer"):
        convert_recurrent(model, texts(), "rueckauer", T=8)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_convert_says_where_recurrent_layers_go(kind: str) -> None:
    with pytest.raises(UnsupportedModuleError, match=r"recurrent\.convert_recurrent"):
        sw.convert(Classifier(kind).eval(), calibration=[(texts(), None)])

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = getattr(nn, kind)(INPUTS, HIDDEN, batch_first=True)
            self.head = nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    with pytest.raises(UnsupportedModuleError, match=r"recurrent\.convert_recurrent"):
        sw.convert(Plain().eval(), calibration=torch.randn(8, LONGEST, INPUTS))
