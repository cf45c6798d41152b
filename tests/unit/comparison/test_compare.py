# SPDX-License-Identifier: Apache-2.0
"""A whole comparison of tiny networks: its numbers, what is stored, what is run again."""

import copy
import csv
import dataclasses
import functools
import io
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.comparison import Comparison, Entry
from spikewright.comparison.result import FIGURES
from spikewright.comparison.store import Store, key_of
from spikewright.errors import ConfigError, FileFormatError, UnsupportedModuleError
from spikewright.evaluation.result import LengthResult
from spikewright.methods import Prepared
from spikewright.methods.burst import Burst
from spikewright.methods.layered import LayeredConfig
from spikewright.methods.synchronous import SynchronousConfig

Batch = tuple[Tensor, Tensor]
METHODS = ("burst", "tsc@2,4", "relu=threshold-relu@2,6")
RUNS = [("burst", 6), ("tsc", 2), ("tsc", 4), ("threshold-relu", 2), ("threshold-relu", 6)]


@functools.cache
def tiny(activation: type[nn.Module] = nn.ReLU, seed: int = 0) -> nn.Module:
    """A model that no test changes, so that it is captured once."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), activation(), nn.Linear(8, 3)).eval()


def labelled(count: int = 40, seed: int = 1) -> list[Batch]:
    """Inputs whose labels are the model's decisions, but for every fifth."""
    x = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * 3
    with torch.no_grad():
        y = tiny()(x).argmax(1)
    y[::5] = (y[::5] + 1) % 3
    return [(x[i : i + 16], y[i : i + 16]) for i in range(0, count, 16)]


CALIBRATION = torch.rand(64, 4, generator=torch.Generator().manual_seed(2)) * 3


def run(**changes: Any) -> Comparison:
    options: dict[str, Any] = {"calibration": CALIBRATION, "data": labelled(), "T": (2, 6)}
    model, methods = changes.pop("model", tiny()), changes.pop("methods", METHODS)
    return sw.compare(model, methods, **{**options, **changes})


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, int]]:
    """Method and T of every conversion."""
    made: list[tuple[str | None, int]] = []

    def counted(cls: Any) -> None:
        original = cls.convert

        def convert(self: Any, prepared: Prepared) -> sw.SpikingNetwork:
            made.append((self.name, self.T))
            network: sw.SpikingNetwork = original(self, prepared)
            return network

        monkeypatch.setattr(cls, "convert", convert)

    counted(SynchronousConfig)
    counted(LayeredConfig)
    return made


class Passes:
    """Data that send Ctrl-C in one of their passes, behind the first batch."""

    def __init__(self, stop_in: int, times: int = 1) -> None:
        self.passes, self.stop_in, self.times = 0, stop_in, times

    def __iter__(self) -> Iterator[Batch]:
        self.passes += 1
        first, *rest = labelled()
        yield first
        if self.passes == self.stop_in:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        yield from rest


# --- misuse


def test_every_setting_is_checked_before_any_work(
    tmp_path: Path, conversions: list[tuple[str | None, int]]
) -> None:
    class Unread:
        def __iter__(self) -> Iterator[Tensor]:
            raise AssertionError("data were read")

    with pytest.raises(ConfigError, match="T ≥ 1"):
        run(methods=["burst", "tsc"], T=(4, 0), data=Unread(), calibration=Unread())
    with pytest.raises(ConfigError, match="gamma"):
        run(methods=["tsc", "burst:gamma=0"], data=Unread(), calibration=Unread())
    assert conversions == []


def test_a_method_that_cannot_take_the_model_says_so_and_the_finished_cells_stay(
    tmp_path: Path, conversions: list[tuple[str | None, int]]
) -> None:
    with pytest.raises(UnsupportedModuleError, match="qcfs"):
        run(methods=["burst", "qcfs"], store=tmp_path)
    assert len(list((tmp_path / "cells").iterdir())) == 2  # the ANN and burst


# --- the numbers


def test_the_verb_is_not_hidden_by_its_room() -> None:
    assert sw.compare is sw.compare
    assert callable(sw.compare)


def test_cells_are_what_convert_and_evaluate_give(
    conversions: list[tuple[str | None, int]],
) -> None:
    found = run()
    assert conversions == RUNS
    prepared = sw.calibrate(tiny(), CALIBRATION)
    for cell in found.cells:
        snn = sw.convert(prepared, cell.method, T=cell.T)
        expected = sw.evaluate(snn, labelled(), reference=tiny())
        assert cell.result == expected.lengths[0]
        assert found.ann.accuracy == expected.reference_accuracy == 0.8
    assert not found.interrupted


def test_an_anytime_run_tells_what_shorter_conversions_would_do() -> None:
    low, high = run(methods=["burst"], T=(3, 8)).rows()
    for row in (low, high):
        alone = sw.evaluate(sw.convert(tiny(), Burst(T=row.T), calibration=CALIBRATION), labelled())
        length = alone.lengths[0]
        assert row.accuracy == length.accuracy()
        assert row.additions == pytest.approx(length.additions_per_sample, rel=1e-12)
        assert row.spikes_per_neuron == pytest.approx(length.spikes_per_neuron, rel=1e-12)
        assert row.latency_ticks == length.latency_ticks == row.T


def test_a_scale_that_depends_on_the_length_is_chosen_for_each(
    conversions: list[tuple[str | None, int]],
) -> None:
    found = run(methods=["burst:scale=min-error@2,5"])
    assert conversions == [("burst", 2), ("burst", 5)]
    config = Burst(scale=sw.MinError(), T=2)
    alone = sw.evaluate(sw.convert(tiny(), config, calibration=CALIBRATION), labelled())
    assert found.cells[0].result.correct == alone.lengths[0].correct
    assert found.rows()[0].accuracy == alone.accuracy


def test_inputs_without_labels_have_agreement_only() -> None:
    found = run(data=[x for x, _ in labelled()])
    assert found.ann.accuracy is None
    assert {row.accuracy for row in found.rows()} == {None}
    assert all(w.T is None for row in found.rows() for w in row.within)
    assert "agrees" in found.table()
    assert "accuracy  " not in found.table()


def test_the_model_and_its_mode_stay_as_they_are() -> None:
    model = copy.deepcopy(tiny()).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run(model=model)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# --- what is stored


def test_a_second_call_runs_nothing(
    tmp_path: Path, conversions: list[tuple[str | None, int]]
) -> None:
    first = run(store=tmp_path)
    assert conversions == RUNS
    conversions.clear()
    again = run(store=tmp_path)
    assert conversions == []
    assert again == first
    assert len(list((tmp_path / "cells").iterdir())) == 1 + len(RUNS)


def test_only_what_is_new_is_run(tmp_path: Path, conversions: list[tuple[str | None, int]]) -> None:
    run(store=tmp_path)
    conversions.clear()
    more = run(store=tmp_path, methods=["tsc@2,4,8", "other=burst", "burst:gamma=2"])
    assert conversions == [("tsc", 8), ("burst", 6)]
    assert [cell.label for cell in more.cells] == ["tsc"] * 3 + ["other", "burst:gamma=2"]
    assert more.cells[3].config == Burst(T=6).to_dict()
    assert more.cells[4].config == Burst(T=6, gamma=2).to_dict()


def test_one_method_under_two_labels_is_run_once(
    conversions: list[tuple[str | None, int]],
) -> None:
    found = run(methods=["a=burst", Entry("b", Burst())])
    assert conversions == [("burst", 6)]
    a, b = found.cells
    assert dataclasses.replace(a, label="b") == b


@pytest.mark.parametrize(
    "changes",
    [
        {"model": tiny(seed=5)},
        {"model": tiny(nn.ReLU6)},  # the same weights
        {"data": labelled(seed=9)},
        {"data": [(x, y.roll(1)) for x, y in labelled()]},
        {"limit": 20},
        {"calibration": CALIBRATION.flip(0)[:60]},
        {"calibration": CALIBRATION.flip(0)},  # the same statistics, other first inputs
    ],
)
def test_another_model_or_other_data_are_never_mixed_in(
    tmp_path: Path, conversions: list[tuple[str | None, int]], changes: dict[str, Any]
) -> None:
    run(store=tmp_path)
    conversions.clear()
    mixed = run(store=tmp_path, **changes)
    assert conversions == RUNS
    alone = run(**changes)
    assert [c.result for c in mixed.cells] == [c.result for c in alone.cells]
    assert mixed.ann.decisions == alone.ann.decisions


def cells_of(folder: Path) -> dict[str, Path]:
    """Return the file of each finished cell by its method's name, "ann" included."""
    found = {}
    for path in (folder / "cells").iterdir():
        settings = json.loads(path.read_text())["of"]["settings"]
        found[settings if settings == "ann" else settings["name"]] = path
    return found


@pytest.mark.parametrize("which", ["ann", "burst"])
def test_a_damaged_cell_is_one_error_before_the_work(
    tmp_path: Path, conversions: list[tuple[str | None, int]], which: str
) -> None:
    run(store=tmp_path, methods=["burst"])
    path = cells_of(tmp_path)[which]
    path.write_text(path.read_text()[:-40])
    conversions.clear()
    with pytest.raises(FileFormatError, match=f"{path.name}: expected a finished cell.*Delete it"):
        run(store=tmp_path, methods=["tsc", "burst"])
    assert conversions == []
    path.unlink()
    run(store=tmp_path, methods=["burst"])
    assert conversions == ([] if which == "ann" else [("burst", 6)])


@pytest.mark.parametrize(
    ("which", "edit"),
    [
        ("ann", lambda cell: cell.pop("correct")),
        ("ann", lambda cell: cell.update(correct=3.5)),
        ("burst", lambda cell: cell.pop("convert_s")),
        ("burst", lambda cell: cell["result"].pop("agree")),
        ("burst", lambda cell: cell["result"].update(accuracy=[1.0] * 6)),
    ],
)
def test_a_cell_of_another_form_is_one_error(
    tmp_path: Path, which: str, edit: Callable[[dict[str, Any]], object]
) -> None:
    run(store=tmp_path, methods=["burst"])
    path = cells_of(tmp_path)[which]
    data = json.loads(path.read_text())
    edit(data["cell"])
    path.write_text(json.dumps({**data, "digest": key_of(data["cell"])}))
    assert Store(tmp_path).read(data["of"]) == data["cell"]
    with pytest.raises(FileFormatError, match=f"{path.name}: expected a finished cell.*Delete it"):
        run(store=tmp_path, methods=["burst"])


# --- Ctrl-C


def test_an_interrupted_cell_is_dropped_and_the_rest_resumed(
    tmp_path: Path, conversions: list[tuple[str | None, int]]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    stopped = run(data=Passes(stop_in=4), store=tmp_path)  # digest, ANN, burst, tsc
    assert stopped.interrupted
    assert [(c.label, c.T) for c in stopped.cells] == [("burst", 6)]
    assert set(cells_of(tmp_path)) == {"ann", "burst"}
    assert "interrupted" in stopped.table()
    assert stopped.to_dict()["interrupted"] is True
    assert signal.getsignal(signal.SIGINT) is before
    conversions.clear()
    resumed = run(store=tmp_path)
    assert conversions == RUNS[1:]
    assert not resumed.interrupted
    assert [c.result for c in resumed.cells] == [c.result for c in run().cells]


def test_interrupted_in_the_first_cell_there_is_still_a_table() -> None:
    stopped = run(data=Passes(stop_in=3))
    assert (stopped.interrupted, stopped.cells, stopped.rows()) == (True, (), [])
    assert "interrupted" in stopped.table()
    with pytest.raises(ConfigError, match="figures: expected at least one finished cell"):
        stopped.figures("nowhere")


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data=Passes(stop_in=4, times=2), store=tmp_path)
    assert set(cells_of(tmp_path)) == {"ann", "burst"}


def test_ctrl_c_during_a_conversion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    original = LayeredConfig.convert

    def convert(self: LayeredConfig, prepared: Prepared) -> sw.SpikingNetwork:
        signal.raise_signal(signal.SIGINT)
        return original(self, prepared)

    monkeypatch.setattr(LayeredConfig, "convert", convert)
    stopped = run(store=tmp_path)
    assert stopped.interrupted
    assert [c.label for c in stopped.cells] == ["burst"]
    assert set(cells_of(tmp_path)) == {"ann", "burst"}


# --- what comes out


def test_the_csv_holds_every_step(tmp_path: Path) -> None:
    found = run()
    found.to_csv(tmp_path / "steps.csv")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "steps.csv").read_text())))
    assert len(lines) == sum(c.result.steps for c in found.cells) == 6 + 2 + 4 + 2 + 6
    for cell in found.cells:
        own = [x for x in lines if (x["label"], x["T"]) == (cell.label, str(cell.T))]
        result = cell.result
        assert [x["t"] for x in own] == [str(t) for t in range(1, result.steps + 1)]
        assert [float(x["accuracy"]) for x in own] == [n / 40 for n in result.correct]
        assert [float(x["agreement"]) for x in own] == [n / 40 for n in result.agree]
        assert {x["method"] for x in own} == {cell.method}
        last = own[-1]
        assert int(last["tick"]) == result.latency_ticks
        assert float(last["additions_per_input"]) == pytest.approx(result.additions_per_sample)
        assert float(last["spikes_per_neuron"]) == pytest.approx(result.spikes_per_neuron)
        if cell.method == "burst":
            by_step = [n / 40 for n in result.additions_by_step]
            assert [float(x["additions_per_input"]) for x in own] == by_step


def test_the_csv_of_unlabelled_inputs_has_no_accuracy(tmp_path: Path) -> None:
    run(data=[x for x, _ in labelled()], methods=["burst"]).to_csv(tmp_path / "steps.csv")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "steps.csv").read_text())))
    assert {x["accuracy"] for x in lines} == {""}


def test_the_table_fits_and_shows_no_best_step() -> None:
    found = run()
    narrow, wide = found.table(), found.table(width=200)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "40 inputs; ANN accuracy 80.00 % on the same inputs" in narrow
    assert narrow.count("label ") == 2
    assert wide.count("label ") == 1
    for row in found.rows():
        assert f"{100 * (row.accuracy or 0):.2f} %" in narrow
    assert "not reached" in narrow or all(w.T for r in found.rows() for w in r.within)


def test_the_json_can_be_read_back() -> None:
    found = run()
    data = json.loads(found.to_json())
    assert data["schema"] == "spikewright.comparison/5"
    assert data["ann"]["accuracy"] == 0.8
    assert [(r["label"], r["T"]) for r in data["rows"]] == [(r.label, r.T) for r in found.rows()]
    for plain, cell in zip(data["cells"], found.cells, strict=True):
        assert LengthResult.from_dict(plain["result"]) == cell.result
    assert len(data["provenance"]["model"]) == 64


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_figures_hold_every_label(tmp_path: Path, suffix: Any) -> None:
    paths = run().figures(tmp_path / "new", suffix)
    assert [p.name for p in paths] == [f"{name}.{suffix}" for name in FIGURES]
    for path in paths:
        content = path.read_bytes()
        assert len(content) > 1000
        if suffix == "svg":
            text = content.decode()
            for label in ("burst", "tsc", "relu", "ANN", "top-1 accuracy (%)", "40 inputs"):
                assert f">{label}</text>" in text
    if suffix == "svg":
        assert ">additions per input</text>" in paths[2].read_text()
        assert "ticks" in paths[1].read_text()
        assert ">spikes of a neuron per input</text>" in paths[3].read_text()
        assert ">energy per input (pJ, " in paths[4].read_text()
        fronts = [">none better for less</text>" in path.read_text() for path in paths]
        assert fronts == [False, True, True, True, True]


def test_figures_of_unlabelled_inputs_say_what_they_show(tmp_path: Path) -> None:
    paths = run(data=[x for x, _ in labelled()], methods=["burst"]).figures(tmp_path)
    text = paths[0].read_text()
    assert ">same decision as the ANN (%)</text>" in text
    assert ">ANN</text>" not in text
