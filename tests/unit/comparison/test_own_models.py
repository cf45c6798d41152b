# SPDX-License-Identifier: Apache-2.0
"""Rows whose networks are trained for them: measured on the same inputs, never mixed up."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.comparison import Entry
from spikewright.methods import configure


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(9)
    return torch.rand(60, 6), torch.arange(60) % 4


def test_an_entry_converts_its_own_network() -> None:
    common, own = net(0), net(1)
    x, y = data()
    found = sw.compare(
        common,
        [Entry("common", configure("casc"), (8,)), Entry("own", configure("casc"), (8,), own)],
        calibration=x,
        data=[(x, y)],
    )
    rows = {row.label: row for row in found.rows()}
    for label, model in (("common", common), ("own", own)):
        alone = sw.evaluate(sw.convert(model, "casc", T=8, calibration=x), [(x, y)])
        assert rows[label].accuracy == alone.accuracy
        assert rows[label].additions == alone.lengths[0].additions_per_sample
    assert rows["common"].additions != rows["own"].additions
    with torch.no_grad():
        right = float((common(x).argmax(1) == y).float().mean())
    assert found.ann.accuracy == right


def test_cells_of_one_network_are_not_taken_for_anothers(tmp_path: Path) -> None:
    x, y = data()

    def compared(own: nn.Module) -> float:
        entries = [Entry("row", configure("stbp", leak=0.25), (4,), own)]
        found = sw.compare(net(0), entries, calibration=x, data=[(x, y)], store=tmp_path)
        return found.rows()[0].additions

    first = compared(net(1))
    files = set((tmp_path / "cells").iterdir())
    assert compared(net(1)) == first
    assert set((tmp_path / "cells").iterdir()) == files  # read, not measured again
    assert compared(net(2)) != first


def test_what_training_took_stands_in_the_table_only_where_there_was_any() -> None:
    x, y = data()
    plain = Entry("converted", configure("casc"), (4,))
    spent = Entry("trained", configure("casc"), (4,), net(1), "3 epochs, 2 min")
    found = sw.compare(net(0), [plain, spent], calibration=x, data=[(x, y)])
    lines = found.table(width=200).splitlines()
    assert any("training" in line for line in lines)
    assert any("trained" in line and "3 epochs, 2 min" in line for line in lines)
    assert any("converted" in line and "none" in line for line in lines)
    assert [e["training"] for e in found.to_dict()["entries"]] == ["", "3 epochs, 2 min"]
    alone = sw.compare(net(0), [plain], calibration=x, data=[(x, y)])
    assert "training" not in alone.table(width=200)


def test_latency_of_a_network_that_settles_is_when_all_inputs_are_at_rest() -> None:
    x, y = data()
    found = sw.compare(net(0), ["casc@8"], calibration=x, data=[(x, y)])
    result = found.cells[0].result
    assert found.rows()[0].latency_ticks == result.rest_step(1.0)
    assert found.rows()[0].latency_ticks <= result.steps
    assert found.rows()[0].latency_bound == result.latency_ticks
    longer = dataclasses.replace(result, latency_ticks=99, steps=99)
    slow = dataclasses.replace(found.cells[0], result=longer)
    table = dataclasses.replace(found, cells=(slow,)).table()
    assert "≤ 99" not in found.table()
    assert f"{result.rest_step(1.0)} ≤ 99" in table
    assert "b is the bound" in table
