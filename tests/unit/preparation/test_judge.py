# SPDX-License-Identifier: Apache-2.0
"""Who judges a preparation, what counts as better, and what is left out for its cost."""

import dataclasses

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.methods import Prepared
from spikewright.preparation import Reconstruct, Refit, Step, judge, prepare
from spikewright.preparation.judge import held_out, shares
from spikewright.preparation.views import LayerView


@pytest.mark.parametrize(("samples", "judges"), [(512, 64), (64, 16), (16, 4), (2, 1), (1, 1)])
def test_few_inputs_leave_more_of_them_to_judge(samples: int, judges: int) -> None:
    found = held_out(samples)
    assert found.shape == (samples,)
    assert int(found.sum()) == judges


def test_a_fall_that_one_input_alone_brings_is_none() -> None:
    before = torch.ones(16)
    alone, all_of_them = before.clone(), 0.98 * before
    alone[3] = 0.5
    assert not judge._falls(before, alone)
    assert judge._falls(before, all_of_them)
    assert not judge._falls(before, before)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    torch.manual_seed(0)
    layers = (nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 5))
    return sw.calibrate(nn.Sequential(*layers).eval(), _inputs(256, 1))


def _inputs(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))


def test_errors_of_inputs_sum_to_that_of_all_up_to_a_gain(prepared: Prepared) -> None:
    wanted = torch.randn(9, 5)
    graph = prepared.graph
    node = graph[graph.outputs[0]]
    rows = list(judge.products(node, wanted, 3.0 * wanted + torch.arange(9.0)[:, None]))
    torch.testing.assert_close(shares(graph, {node.name: rows}), torch.zeros(9).double())
    rows = list(judge.products(node, wanted, torch.zeros_like(wanted)))
    assert float(shares(graph, {node.name: rows}).sum()) == pytest.approx(1.0)


def test_tuning_that_takes_too_long_is_left_out_of_a_choice_and_said(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "MOST_WORK", 1.0)
    said = sw.convert(prepared, T=3, prepare="auto").provenance["preparation"]["said"][0]
    assert "refit + reconstruct left out, 7" in said
    assert "refit + reconstruct 1" not in said
    named = sw.convert(prepared, T=3, prepare=["refit", Reconstruct(steps=20)])
    said = named.provenance["preparation"]["said"][0]
    assert "refit + reconstruct" in said
    assert "left out" not in said


def test_auto_says_what_it_chose_and_from_what(prepared: Prepared) -> None:
    snn = sw.convert(prepared, T=5, prepare="auto")
    said = snn.provenance["preparation"]["said"][0]
    chosen = " + ".join(snn.prepared_by) or "none"
    assert said.startswith(f"{chosen}: outputs differ on 32 inputs held out by none ")
    assert all(f", {way} " in said for way in ("bias", "refit", "refit + scales"))
    assert said in snn.summary()


def test_a_second_fit_is_to_what_neurons_pass_on(prepared: Prepared) -> None:
    seen = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Look(Step):
        name = "look"

        def at_layer(self, view: LayerView) -> None:
            site = view.neurons()
            if site is None:
                return
            top = site.broadcast(site.scale, 2)
            for (_, lacks), ((wanted,), (found,)) in zip(
                view.pairs(passed=True), view.walk.pairs(view.target), strict=True
            ):
                same = ((wanted <= 0) & (found <= 0)) | ((wanted >= top) & (found >= top))
                assert same.any()
                assert not lacks[same].any()
                inside = (wanted > 0) & (wanted < top)
                torch.testing.assert_close(lacks[inside], (wanted - found)[inside])
                false = (wanted <= 0) & (found > 0)
                torch.testing.assert_close(lacks[false], -found[false])
                seen.append(view.node.name)

    snn = sw.convert(prepared, T=2)
    assert snn.source is not None
    graph = snn.source.config.placed(prepared)
    prepare(graph, snn.sites, prepared.some_inputs(64, "test"), [Look()])
    assert len(seen) == 1  # the layer between two populations, in one batch


def test_rounds_are_whole_numbers() -> None:
    with pytest.raises(ConfigError, match="refit: expected rounds of 0 or more, got -1"):
        Refit(rounds=-1)
