# SPDX-License-Identifier: Apache-2.0
"""Networks whose populations differ: in code, in the length of their trains, in function."""

import dataclasses
import functools
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.codes import Code, Radix, Rate
from spikewright.errors import ConfigError, FileFormatError
from spikewright.evaluation import fixed_work_of
from spikewright.functions import Function, Staircase
from spikewright.graph import fold_units, ops
from spikewright.graph.activation import function_of
from spikewright.methods import Prepared
from spikewright.methods.spikeconverter import SpikeConverter
from spikewright.network import LayeredTiming, Site, SpikingNetwork
from spikewright.simulators import run_pipelined, simulator
from spikewright.simulators.check_layered import check_layered


class Net(nn.Module):
    """Three populations one behind the other, and shortcuts from the first past the others."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(16, 9)
        self.around, self.past = nn.Linear(16, 9), nn.Linear(16, 3)
        self.out = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.a(x))
        b = torch.relu(nn.functional.max_pool2d(self.b(a), 2))
        small = nn.functional.max_pool2d(a, 2).flatten(1)
        c = torch.relu(self.c(b.flatten(1)) + self.around(small))
        return self.out(c) + self.past(small)


CODES = (Radix(T=8), Radix(T=4), Rate(T=6))
X = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(3))


@functools.cache
def calibrated() -> tuple[nn.Module, Prepared]:
    torch.manual_seed(1)
    model = Net().eval()
    return model, sw.calibrate(model, X)


def by_hand(codes: tuple[Code, ...] = CODES) -> tuple[SpikingNetwork, nn.Module]:
    """A network whose populations have these codes, each with the largest value as λ."""
    model, prepared = calibrated()
    graph = SpikeConverter().placed(prepared)
    sites, units, rest = {}, {}, iter(codes)
    for node in graph:
        if ops.kind(node) != "site":
            continue
        code = next(rest, codes[-1])
        one, zero = torch.tensor(1.0), torch.tensor(0.0)
        if node.op == ops.READOUT:
            sites[node.name] = Site(
                name=node.name, code=code, scale=one, threshold=one, pre_bias=zero
            )
            continue
        scale = prepared.statistics[node.name].histogram.max.max().float()
        sites[node.name] = Site(
            name=node.name,
            code=code,
            neuron="inverse-lif" if code.greedy else "encoder",
            function=function_of(node),
            scale=scale,
            threshold=one,
            pre_bias=torch.tensor(0.5),
        )
        units[node.name] = scale / code.max_value
    return SpikingNetwork(
        graph=fold_units(graph, units),
        sites=sites,
        analog_range={"input": 1.0},
    ), model


@pytest.mark.parametrize(
    "codes",
    [
        CODES,
        (Radix(T=4), Radix(T=8), Radix(T=6)),
        (Rate(T=6), Radix(T=8), Radix(T=3)),
        (Rate(T=5), Rate(T=9), Rate(T=7)),
        (Radix(T=5, k=1.5), Rate(T=7), Radix(T=9, k=1.5)),
    ],
)
def test_both_simulators_fire_the_same_spikes(codes: tuple[Code, ...]) -> None:
    network, _ = by_hand(codes)
    checks, run = check_layered(network, network.check_input(X))
    assert sum(check.mismatches for check in checks) == 0
    assert run.spikes_differ <= 3  # near-ties
    for own, other in zip(run.outputs, run.ticked, strict=True):
        assert float((own - other).abs().max()) < 0.02 * float(other.abs().max())


def test_it_computes_the_model_as_well_as_its_codes_allow() -> None:
    network, model = by_hand()
    with torch.no_grad():
        error = (network(X) - model(X)).norm() / model(X).norm()
    assert float(error) < 0.15
    fine, _ = by_hand((Radix(T=12), Radix(T=14), Radix(T=13)))
    with torch.no_grad():
        error = (fine(X) - model(X)).norm() / model(X).norm()
    assert float(error) < 1e-3
    again = sw.verify(fine, X[:8], reference=model)
    assert again.agrees
    assert again.original is not None
    assert again.original.agrees


def test_a_stage_lasts_as_long_as_the_longest_train_that_enters_it() -> None:
    """By hand: stages of 8 (constant input), 8, 8 (4 and the shortcut's 8), 8 (6 and 8) ticks."""
    timing = by_hand()[0].timing()
    assert isinstance(timing, LayeredTiming)
    assert [(w.start, w.stop, w.k, w.mixed) for w in timing.windows] == [
        (0, 8, 2.0, False),
        (8, 16, 2.0, False),
        (16, 24, 2.0, False),
        (24, 32, 1.0, True),
    ]
    assert timing.latency_ticks == 32
    assert timing.decision_tick(8) == 32
    fires = [(p.start, p.stop) for p in timing.phases() if p.action == "fire"]
    assert fires == [(8, 16), (20, 24), (26, 32)]  # each ends with its stage
    assert timing.ticks_per_input(1) == 16
    assert timing.ticks_per_input(2) == 8
    short = by_hand((Radix(T=2), Radix(T=3), Rate(T=5)))[0].timing()
    assert isinstance(short, LayeredTiming)
    assert [w.length for w in short.windows] == [2, 2, 3, 5]
    assert short.ticks_per_input(1) == 8
    assert short.ticks_per_input(2) == 5


@pytest.mark.parametrize("membranes", [1, 2])
def test_a_pipeline_gives_what_single_runs_give(membranes: int) -> None:
    network, _ = by_hand((Radix(T=2), Radix(T=3), Rate(T=5)))
    stream = [X[i : i + 2] for i in range(0, 8, 2)]
    run = run_pipelined(network, stream, membranes=membranes)
    reference = simulator(network, "reference")
    for outputs, x in zip(run.outputs, stream, strict=True):
        assert torch.equal(outputs[0], reference(network.check_input(x))[0])
    every = network.timing().ticks_per_input(membranes)
    assert run.decided_at == tuple(12 + i * every for i in range(4))


def test_it_is_counted_by_each_code() -> None:
    """Spikes of every population: those of its own code's trains, from the reference."""
    network, _ = by_hand()
    result = sw.evaluate(network, X).lengths[0]
    sent = dict.fromkeys(network.sites, 0)

    def watch(name: str, t: int, spikes: Tensor) -> None:
        if name in sent:
            sent[name] += int(spikes.sum())

    reference = simulator(network, "reference")
    reference(network.check_input(X), watch)  # type: ignore[call-arg]
    counted = {layer.name: layer.spikes for layer in result.layers if layer.name in sent}
    assert counted == sent
    assert all(sent[n.name] for n in network.spiking_nodes())
    assert (result.steps, result.code, result.latency_ticks) == (8, "radix + rate", 32)


def test_each_ratio_is_priced_as_it_is() -> None:
    """A neuron that takes in 8 binary steps shifts 7 times, then multiplies by 1.5 4 times."""
    network, _ = by_hand((Radix(T=8), Radix(T=5, k=1.5), Radix(T=8)))
    _, second, third = (fixed_work_of(network)[n.name] for n in network.spiking_nodes())
    assert (second.shifts, second.factors) == (7 * second.values, 4 * second.values)
    assert (third.shifts, third.factors) == (7 * third.values, 0)  # it takes in several ratios


def test_the_decision_is_told_after_every_step_of_the_last_stage() -> None:
    network, _ = by_hand()
    x = network.check_input(X)
    fast = list(simulator(network).over_time(x))
    slow = list(simulator(network, "reference").over_time(x))
    assert len(fast) == len(slow) == 8
    assert torch.equal(fast[-1][0], simulator(network)(x)[0])
    for a, b in zip(fast, slow, strict=True):
        assert float((a[0] - b[0]).abs().max()) < 0.02


def test_it_is_saved_and_loaded_and_rounded_to_integers(tmp_path: Path) -> None:
    network, model = by_hand()
    network.save(tmp_path / "net.safetensors")
    again = sw.load(tmp_path / "net.safetensors")
    assert torch.equal(again(X), network(X))
    assert [s.code for s in again.sites.values()] == [s.code for s in network.sites.values()]
    integer = again.to_integer()
    assert sw.verify(integer, X).agrees
    with torch.no_grad():
        assert float((integer(X) - network(X)).norm() / model(X).norm()) < 0.1
    integer.save(tmp_path / "integer.safetensors")
    assert torch.equal(sw.load(tmp_path / "integer.safetensors")(X), integer(X))


def test_who_asks_for_the_one_code_of_several_is_told() -> None:
    network, _ = by_hand()
    assert (network.T, network.k, network.steps) == (8, 2.0, 8)
    with pytest.raises(ConfigError, match=r"got radix \+ rate\. Ask the populations"):
        _ = network.code


def test_a_gate_compares_trains_of_one_code() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            top = torch.maximum(torch.relu(self.a(x)), torch.relu(self.b(x)))
            return self.c(nn.functional.max_pool2d(top, 2).flatten(1))

    network = sw.convert(Two().eval(), T=4, calibration=X)
    graph = network.graph.copy()
    graph.redirect("maximum/stack/relay", "maximum/stack", only=["maximum"])
    network = dataclasses.replace(network, graph=graph)
    assert network.code_of("maximum") == Radix(T=4)
    sites = {**network.sites, "relu": dataclasses.replace(network.sites["relu"], code=Radix(T=6))}
    with pytest.raises(ConfigError, match="expected a maximum of trains of one code"):
        dataclasses.replace(network, sites=sites).timing()


def test_a_neuron_must_emit_the_code_of_its_population(tmp_path: Path) -> None:
    network, _ = by_hand()
    last = network.spiking_nodes()[-1].name
    wrong = dataclasses.replace(network.sites[last], neuron="inverse-lif")
    path = tmp_path / "net.safetensors"
    with pytest.warns(Warning, match="does not emit rate trains"):
        dataclasses.replace(network, sites={**network.sites, last: wrong}).save(path)
    with pytest.raises(FileFormatError, match="does not emit rate trains"):
        sw.load(path)


@pytest.mark.parametrize("method", ["spikeconverter", "tsc", "qcfs", "casc"])
@pytest.mark.parametrize(("levels", "offset"), [(8, 0.5), (8, 0.0), (5, 0.5)])
def test_trained_staircases_are_functions_of_their_populations(
    method: str, levels: int, offset: float
) -> None:
    """QCFS (offset ½) and clip-floor (0): every level is sent, with T ≥ ⌈log2(L + 1)⌉ and more."""

    class Stair(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1.7 * ((x / 1.7 * levels + offset).floor() / levels).clamp(0, 1)

    torch.manual_seed(0)
    layers = (nn.Linear(6, 24), Stair(), nn.Linear(24, 24), Stair(), nn.Linear(24, 3))
    model = nn.Sequential(*layers).double().eval()
    x = torch.randn(64, 6, dtype=torch.float64) * 3
    with torch.no_grad():
        wanted = model(x)
    lengths = {"spikeconverter": (4, 12), "tsc": (levels, 40)}.get(method, (levels,))
    for T in lengths:
        options = {"input": "analog"} if method == "tsc" else {}
        snn = sw.convert(model, method, T=T, calibration=x, **options)
        functions = [snn.sites[n.name].function for n in snn.spiking_nodes()]
        assert functions == [Staircase(cap=1.7, levels=levels, offset=offset)] * 2
        if method == "qcfs":  # its neurons reach the levels only where spikes arrive evenly
            continue
        torch.testing.assert_close(snn(x), wanted, rtol=0, atol=1e-9)
        assert sw.verify(snn, x[:8]).agrees
        if method == "spikeconverter":
            assert sw.verify(snn.to_integer(), x[:8]).agrees


def test_a_staircase_with_more_levels_than_the_code_is_rounded_to_it() -> None:
    class Stair(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return ((x * 8 + 0.5).floor() / 8).clamp(0, 1)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), Stair(), nn.Linear(24, 3)).eval()
    x = torch.randn(64, 6)
    snn = sw.convert(model, T=2, calibration=x)
    with torch.no_grad():
        error = (snn(x) - model(x)).norm() / model(x).norm()
    assert 0.01 < float(error) < 0.3
    assert sw.verify(snn, x[:8]).agrees


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bump(Function):
    """A function that neither firing nor a ramp computes: x·exp(-x)."""

    name: ClassVar[str | None] = "bump"

    def __call__(self, x: Tensor, overwrite: bool = False) -> Tensor:
        return x * torch.exp(-x)


@pytest.mark.parametrize("signed", [False, True])
def test_a_population_fires_any_function_of_its_potential(signed: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3)).eval()
    x = torch.randn(64, 6)
    snn = sw.convert(model, T=12, calibration=x)
    (node,) = snn.spiking_nodes()
    site = dataclasses.replace(snn.sites[node.name], function=Bump(), signed=signed)
    network = dataclasses.replace(snn, sites={**snn.sites, node.name: site})
    with torch.no_grad():
        hidden = Bump()(model[0](x))
        hidden = hidden if signed else hidden.clamp(min=0)
        wanted = model[2](hidden.clamp(-site.scale, site.scale))  # one a channel
        found = network(x)
    assert float((found - wanted).norm() / wanted.norm()) < 0.02
    assert sw.verify(dataclasses.replace(network, source=None), x).agrees
    law = sw.verify(network, x).original  # it is no longer what it was converted from
    assert law is not None
    assert law.agrees is False
