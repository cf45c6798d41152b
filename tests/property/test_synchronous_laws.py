# SPDX-License-Identifier: Apache-2.0
"""Laws of the synchronous schedule, on random networks of every supported operator."""

from collections import Counter
from typing import Any

import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.api import simulate, verify
from spikewright.graph import Program
from spikewright.network import SpikingNetwork
from spikewright.simulators import SynchronousReference, Timefold
from tests.property import fan_out
from tests.property.merged import assert_counts_add_up
from tests.property.random_nets import Net, joined_nets, nets

EXAMPLES = 6
# Every example exports a network, so shrinking would take minutes; recipes are short as they are.
PHASES = (Phase.explicit, Phase.generate)


def choices() -> st.SearchStrategy[dict[str, Any]]:
    """A method with the synchronous schedule and its settings."""
    common = {
        "T": st.integers(1, 9),
        "input": st.sampled_from(["analog", "analog", "encoded", "poisson"]),
        "pool": st.sampled_from(["lateral-inhibition", "accumulated-count"]),
    }
    scaled = {
        **common,
        "per_channel": st.booleans(),
        "scale": st.sampled_from([sw.Max(), sw.Percentile(99.0)]),
    }
    return st.one_of(
        st.fixed_dictionaries(
            {**scaled, "method": st.just("burst"), "gamma": st.integers(1, 5)},
        ),
        st.fixed_dictionaries(
            {
                **scaled,
                "method": st.just("rueckauer"),
                "reset": st.sampled_from(["hard", "subtract"]),
                "v_init": st.sampled_from([0.0, 0.5]),
            }
        ),
        st.fixed_dictionaries({**scaled, "method": st.just("threshold-relu")}),
        st.fixed_dictionaries({**common, "method": st.just("rmp")}),
    )


def converted(net: Net, chosen: dict[str, Any]) -> tuple[nn.Module, SpikingNetwork, Tensor]:
    model, x = net.build()
    return model, sw.convert(model, calibration=x, **chosen), x


def trains(run: SynchronousReference | Timefold, x: Tensor) -> dict[str, Tensor]:
    """Every spike of a run: source to its train, time first."""
    found: dict[str, list[Tensor]] = {}
    for _ in run.over_time(
        run.network.check_input(x), lambda n, t, s: found.setdefault(n, []).append(s.clone())
    ):
        pass
    return {name: torch.cat(parts) for name, parts in found.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(), choices(), st.integers(1, 9))
def test_in_integers_time_folds_exactly(net: Net, chosen: dict[str, Any], chunk: int) -> None:
    """Tick by tick, folded, and folded in chunks: the same spikes, bit for bit, and outputs."""
    _, network, x = converted(net, chosen)
    network, x = network.to_integer(), x[:4]
    assert verify(network, x).agrees
    ticked = trains(SynchronousReference(network), x)
    assert same(ticked, trains(Timefold(network), x))
    assert same(ticked, trains(Timefold(network, chunk=chunk), x))
    assert torch.equal(
        simulate(network, x, simulator="timefold"), simulate(network, x, simulator="reference")
    )


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(), choices())
def test_in_float_they_differ_at_near_ties_only(net: Net, chosen: dict[str, Any]) -> None:
    _, network, x = converted(net, chosen)
    found = verify(network, x[:4])
    assert found.agrees, found.table()
    assert found.fast == "timefold"
    assert found.near_ties <= max(2, 1e-3 * sum(s.values for s in found.sites))


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(3), choices())
def test_additions_are_spikes_times_ways_at_every_step(net: Net, chosen: dict[str, Any]) -> None:
    """Law 8: Σ |spikes| × fan-out; bursts count as so many; the steps add up to the total."""
    _, network, x = converted(net, chosen)
    network, x = network.to_integer(), x[:2]
    expected = fan_out.additions(network, x)
    sent = fan_out.spikes_of(network, x)
    spikes = sum(int(s.sum()) for n, s in sent.items() if n in network.sites)
    for simulator in ("timefold", "reference"):
        length = sw.evaluate(network, [x], simulator=simulator).lengths[0]
        assert sum(layer.additions for layer in length.layers) == expected
        assert length.spikes == spikes
        assert length.additions_by_step[-1] == expected
        assert length.spikes_by_step[-1] == spikes
        assert list(length.additions_by_step) == sorted(length.additions_by_step)


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(joined_nets(), choices(), st.sampled_from([1, 3, 5]))
def test_additions_of_layers_that_read_several_populations(
    net: Net, chosen: dict[str, Any], samples: int
) -> None:
    """Law 8 where a layer reads a concatenation or sum: every population counts."""
    _, network, x = converted(net, chosen)
    network, x = network.to_integer(), x[:samples]
    several = Counter(
        name for source in network.sites for name in fan_out.receivers(network, source)
    )
    assert max(several.values()) > 1
    expected = fan_out.additions(network, x)
    for simulator in ("timefold", "reference"):
        (length,) = sw.evaluate(network, [x], simulator=simulator).lengths
        assert sum(layer.additions for layer in length.layers) == expected
        assert length.additions_by_step[-1] == expected


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(), choices())
def test_a_batch_is_its_samples(net: Net, chosen: dict[str, Any]) -> None:
    _, network, x = converted(net, chosen)
    network, x = network.to_integer(), x[:3]
    run = SynchronousReference(network)
    singles = [trains(run, sample[None]) for sample in x]
    joined = {name: torch.cat([s[name] for s in singles], 1) for name in singles[0]}
    assert same(joined, trains(run, x))
    assert_counts_add_up(network, x)


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(), st.integers(1, 6))
def test_an_anytime_network_is_a_prefix_of_a_longer_run(net: Net, T: int) -> None:
    """The network of a method that does not depend on T: T steps are the first T of more."""
    model, x = net.build()
    prepared = sw.calibrate(model, x)
    short = sw.convert(prepared, "burst", T=T).to_integer()
    long = sw.convert(prepared, "burst", T=T + 5).to_integer()
    first = {n: s[:T] for n, s in trains(SynchronousReference(long), x[:3]).items()}
    assert same(trains(SynchronousReference(short), x[:3]), first)


@settings(max_examples=EXAMPLES // 2, phases=PHASES)
@given(nets(2), st.sampled_from(["burst", "rueckauer"]))
def test_with_many_steps_the_output_is_the_networks_own(net: Net, method: str) -> None:
    """Nothing clipped, maxima exact, charge conserved: the error shrinks with the steps."""
    model, x = net.build()
    chosen = {"scale": sw.Max(), "pool": "lateral-inhibition", "v_init": 0.5}
    network = sw.convert(model, method, calibration=x, T=400, **chosen)
    with torch.no_grad():
        expected = model(x)
    gap = (simulate(network, x) - expected).abs().max() / expected.abs().max()
    assert float(gap) < 0.15


def test_a_constant_images_first_layer_is_computed_once(monkeypatch: Any) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 7, 3), nn.ReLU(), nn.Conv2d(7, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    x = torch.rand(8, 1, 6, 6)
    network = sw.convert(model, "burst", calibration=x, T=5)
    calls: list[str] = []
    run = Program.__call__

    def counted(self: Program, *values: Any) -> tuple[Any, ...]:
        calls.extend(s.node.name for s in self._steps if s.node.op.startswith("aten.conv2d"))
        return run(self, *values)

    monkeypatch.setattr(Program, "__call__", counted)
    simulate(network, x, simulator="reference")
    first, second = (n.name for n in network.graph if n.op.startswith("aten.conv2d"))
    assert (calls.count(first), calls.count(second)) == (1, 5)


def test_a_reference_run_keeps_no_more_for_more_steps() -> None:
    """Everything a run holds after a tick has the same size whatever the tick."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    x = torch.rand(3, 1, 6, 6)
    network = sw.convert(model, "burst", calibration=x, T=40)
    run = SynchronousReference(network)
    held = []
    for _ in run.over_time(x):
        state = run._run
        tensors = [t for s in state.neurons.values() for t in s.values()]
        tensors += [t for g in state.gates.values() for t in g]
        held.append(sum(t.numel() for t in tensors))
    assert len(held) == 40
    assert len(set(held[1:])) == 1
