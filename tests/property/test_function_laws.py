# SPDX-License-Identifier: Apache-2.0
"""Laws of networks that hold functions of values, of groups, and products of two values."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import torch
from hypothesis import example, given, settings
from torch import Tensor

import spikewright as sw
from spikewright.network.schedules.layered import loaded
from spikewright.simulators.collapsed import Collapsed
from tests.property.random_functions import BLOCKS, TokenNet, token_nets


@given(net=token_nets(), T=st.integers(2, 7), encoded=st.booleans())
@example(net=TokenNet(BLOCKS[:4], 1), T=5, encoded=False)
@example(net=TokenNet(BLOCKS[4:], 2), T=4, encoded=True)
@settings(max_examples=3, deadline=None)
def test_the_law_holds_and_both_simulators_fire_the_same(
    net: TokenNet, T: int, encoded: bool
) -> None:
    """With exact neurons it is the model; tick by tick it is the collapsed run, from a file too."""
    model, x = net.build()
    snn = sw.convert(model, T=T, calibration=x, input="encoded" if encoded else "analog")
    assert snn.provenance["equality"]["difference"] < 1e-9
    verification = sw.verify(snn, x)
    assert verification.agrees, verification.table()
    with tempfile.TemporaryDirectory() as folder:
        snn.save(Path(folder) / "snn")
        assert torch.equal(sw.load(Path(folder) / "snn")(x), snn(x))


@given(net=token_nets(), T=st.integers(2, 7))
@example(net=TokenNet(("gate", "attention", "norm"), 3), T=4)
@settings(max_examples=3, deadline=None)
def test_a_loaded_neuron_is_within_half_a_unit_of_the_functions_value(
    net: TokenNet, T: int
) -> None:
    """|n - f| <= 1/2 between 0 (signed: -S) and S, the longest train; beyond, n is the end."""
    model, x = net.build()
    snn = sw.convert(model, T=T, calibration=x)
    seen: list[str] = []

    def probe(name: str, total: Tensor, n: Tensor) -> None:
        site = snn.sites[name]
        top = site.code.max_value
        if name in units and site.function.name in ("identity", "relu"):
            seen.append(name)
            kept = total.clamp(-top if site.signed else 0.0, top)
            assert float((n - kept).abs().max()) <= 0.5 + 1e-9

    units = loaded(snn.graph)
    for _ in Collapsed(snn).over_time(snn.check_input(x), probe=probe):
        pass
    assert set(seen) == {n for n in units if snn.sites[n].neuron}
