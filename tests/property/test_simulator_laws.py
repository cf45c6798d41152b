# SPDX-License-Identifier: Apache-2.0
"""Laws of the simulators and of counting, on random networks of every supported operator."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import Phase, assume, given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.api import simulate, verify
from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.simulators import Collapsed, LayeredReference
from tests.property import fan_out
from tests.property.merged import assert_counts_add_up
from tests.property.random_nets import Net, joined_nets, nets

EXAMPLES = 6
# Every example exports a network, so shrinking would take minutes; recipes are short as they are.
PHASES = (Phase.explicit, Phase.generate)


def options() -> st.SearchStrategy[dict[str, Any]]:
    """Settings of SpikeConverter, rare ones included."""
    return st.fixed_dictionaries(
        {
            "T": st.integers(1, 8),
            "input": st.sampled_from(["analog", "analog", "encoded"]),
            "per_channel": st.booleans(),
            "rounding": st.booleans(),
            "extra_step": st.booleans(),
            "scale": st.sampled_from([sw.MinError(), sw.Max(), sw.Percentile(99.0)]),
        }
    )


def integer(net: Net, chosen: dict[str, Any]) -> tuple[SpikingNetwork, Tensor]:
    """Build, convert with k = 2, and round to integers."""
    model, x = net.build()
    return sw.convert(model, calibration=x, k=2.0, **chosen).to_integer(), x


def trains(network: SpikingNetwork, x: Tensor) -> dict[str, Tensor]:
    """Every spike of a reference run: source to its train, time first."""
    found: dict[str, list[Tensor]] = {}
    LayeredReference(network)(
        network.check_input(x), lambda name, t, s: found.setdefault(name, []).append(s.clone())
    )
    return {name: torch.stack(train) for name, train in found.items()}


def same_trains(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(), options())
def test_in_integers_both_simulators_fire_the_same_spikes(net: Net, chosen: dict[str, Any]) -> None:
    """Law 6, bit for bit: no train differs, no output differs, at any site or gate.

    The trains are compared again here, symbol by symbol, against the encoding of what the
    collapsed simulator decoded, so the law does not rest on ``verify`` alone.
    """
    network, x = integer(net, chosen)
    x = x[:4]
    found = verify(network, x)
    assert found.agrees
    assert (found.mismatches, found.near_ties, found.spikes_differ, found.output_gap) == (
        0,
        0,
        0,
        0,
    )
    fired, seen = trains(network, x), dict[str, Tensor]()
    Collapsed(network)(network.check_input(x), lambda n, v: seen.update({n: v.clone()}))
    assert fired.keys() == seen.keys()
    for name, decoded in seen.items():
        assert torch.equal(fired[name], network.code.encode(decoded, signed=True)), name


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(), options(), st.sampled_from([2.0, 2.0, 1.75, 1.3]))
def test_in_float_they_differ_at_near_ties_only(net: Net, chosen: dict[str, Any], k: float) -> None:
    """Law 6 in float: fed with the same trains, sites disagree at listed near-ties only."""
    model, x = net.build()
    network = sw.convert(model, calibration=x, k=k, **chosen)
    found = verify(network, x[:4])
    assert found.agrees, found.table()
    listed = found.to_dict()["sites"]
    assert found.near_ties == sum(site["near_ties"] for site in listed)
    assert all(site["distance"] <= site["tolerance"] for site in listed)
    assert found.near_ties <= max(2, 1e-3 * sum(site["values"] for site in listed))


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets())
def test_with_twelve_steps_the_output_is_the_networks_own(net: Net) -> None:
    """At T = 12 each site errs by half of 1/4095 of its range, so outputs stay within 2 %."""
    model, x = net.build()
    network = sw.convert(model, calibration=x, T=12, scale=sw.Max())
    with torch.no_grad():
        expected = model(x)
    gap = (simulate(network, x) - expected).abs().max() / expected.abs().max()
    assert float(gap) < 0.02


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(3), options(), st.booleans())
def test_additions_are_spikes_times_ways(
    net: Net, chosen: dict[str, Any], as_integers: bool
) -> None:
    """Law 8: Σ spikes × fan-out, counted tick by tick and synapse by synapse.

    In float, inputs at a near-tie are left out, since there the two simulators may differ.
    """
    model, x = net.build()
    network, x = sw.convert(model, calibration=x, k=2.0, **chosen), x[:2]
    if as_integers:  # averages have become sums
        network = network.to_integer()
    assume(verify(network, x).spikes_differ == 0)
    expected = fan_out.additions(network, x)
    spikes = sum(
        int(s.sum()) for n, s in fan_out.spikes_of(network, x).items() if n in network.sites
    )
    for simulator in ("collapsed", "reference"):
        result = sw.evaluate(network, [x], simulator=simulator)
        length = result.lengths[0]
        assert sum(layer.additions for layer in length.layers) == expected
        assert length.spikes == spikes
    assert spikes == 0 or expected > 0


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(joined_nets(), options(), st.sampled_from([1, 3, 5]))
def test_additions_of_layers_that_read_several_populations(
    net: Net, chosen: dict[str, Any], samples: int
) -> None:
    """Law 8 where a layer reads a concatenation or sum: each population counts, none for another.

    In integers both simulators fire the same spikes, so no input is left out.
    """
    try:
        network, x = integer(net, chosen)
    except ConfigError:
        reject()  # factors that have no integer form
    x = x[:samples]
    several = Counter(
        name for source in network.sites for name in fan_out.receivers(network, source)
    )
    assume(max(several.values()) > 1)
    expected = fan_out.additions(network, x)
    for simulator in ("collapsed", "reference"):
        (length,) = sw.evaluate(network, [x], simulator=simulator).lengths
        assert sum(layer.additions for layer in length.layers) == expected


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(3), options(), st.integers(1, 2))
def test_inputs_in_flight_do_not_disturb_each_other(
    net: Net, chosen: dict[str, Any], membranes: int
) -> None:
    """A pipelined run gives each input the output of a run of its own, at the stated tick."""
    network, x = integer(net, chosen)
    schedule, inputs = network.timing(), [x[i : i + 2] for i in range(0, 6, 2)]
    run = sw.run_pipelined(network, inputs, membranes=membranes)
    every = schedule.ticks_per_input(membranes)
    for i, (one, outputs) in enumerate(zip(inputs, run.outputs, strict=True)):
        assert torch.equal(outputs[0], simulate(network, one, simulator="reference"))
        assert run.decided_at[i] == i * every + schedule.latency_ticks
    assert run.total_ticks == schedule.latency_ticks + 2 * every
    if every > 1:
        with pytest.raises(ConfigError, match="membrane"):
            sw.run_pipelined(network, inputs, membranes=membranes, ticks_per_input=every - 1)


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(), options())
def test_a_batch_is_its_samples(net: Net, chosen: dict[str, Any]) -> None:
    """Spikes of a batch are those of its samples run one by one, and so are the counts."""
    network, x = integer(net, chosen)
    x = x[:3]
    singles = [trains(network, sample[None]) for sample in x]
    joined = {name: torch.cat([s[name] for s in singles], 1) for name in singles[0]}
    assert same_trains(joined, trains(network, x))
    assert_counts_add_up(network, x)


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(), options(), st.booleans())
def test_a_saved_network_fires_the_same_spikes(
    net: Net, chosen: dict[str, Any], as_integers: bool
) -> None:
    """What ``load`` returns fires, symbol for symbol, what was saved; provenance included."""
    model, x = net.build()
    network = sw.convert(model, calibration=x, **chosen)
    network = network.to_integer() if as_integers else network
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        network.save(path)
        again = sw.load(path)
    assert same_trains(trains(network, x[:3]), trains(again, x[:3]))
    assert torch.equal(simulate(network, x), simulate(again, x))
    assert again.provenance == network.provenance
    assert again.timing().to_dict() == network.timing().to_dict()


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(), options(), st.integers(1, 11))
def test_results_of_parts_add_up(net: Net, chosen: dict[str, Any], cut: int) -> None:
    """Two parts merged are the whole, to the last integer; both simulators give one result."""
    network, x = integer(net, chosen)
    labels = torch.arange(12) % 3
    x, model = x[:12], net.build()[0]

    def run(rows: slice, simulator: str = "collapsed") -> dict[str, Any]:
        return sw.evaluate(network, [(x[rows], labels[rows])], reference=model, simulator=simulator)

    whole = run(slice(12))
    assert run(slice(cut)).merge(run(slice(cut, 12))).to_dict() == whole.to_dict()
    ticked = run(slice(12), "reference").to_dict()
    assert {**ticked, "simulator": "collapsed"} == whole.to_dict()


def test_the_brute_force_count_of_a_known_layer() -> None:
    """A 3×3 stride-2 convolution on 4×4 maps: corners and edges have the fan-out drawn by hand."""
    model = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 5, 3, 2, 1), nn.Flatten(), nn.Linear(20, 2)
    )
    network = sw.convert(model, calibration=torch.rand(8, 1, 4, 4), T=4)
    (source,) = [n.name for n in network.spiking_nodes()][:1]
    # Rows 0, 2 are seen by one output row, row 1 by two, row 3 by one; likewise columns.
    along = torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    assert torch.equal(fan_out.ways(network, source), 5 * torch.outer(along, along).reshape(-1))
