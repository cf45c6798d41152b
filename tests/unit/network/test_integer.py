# SPDX-License-Identifier: Apache-2.0
"""Integer networks: what has no integer form is refused, and what comes out is whole numbers."""

import functools
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.graph import Program, ops
from spikewright.methods import Prepared
from spikewright.network import SpikingNetwork
from tests.property import fan_out
from tests.property.random_nets import Call


@functools.cache
def net(*middle: Callable[[], nn.Module]) -> Prepared:
    """A calibrated network; none of these tests changes it."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        *(make() for make in middle),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    return sw.calibrate(model.eval(), torch.randn(8, 2, 6, 6))


def converted(prepared: Prepared, **options: object) -> SpikingNetwork:
    return sw.convert(prepared, **{"T": 6, **options})


def averages() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.MaxPool2d(2))


def test_only_k_two_has_whole_weights() -> None:
    with pytest.raises(ConfigError, match=r"expected k = 2.*got k = 1\.5"):
        converted(net(), k=1.5).to_integer()


def test_twice_is_once_too_often() -> None:
    with pytest.raises(ConfigError, match="got an integer one already"):
        converted(net()).to_integer().to_integer()


@pytest.mark.parametrize("option", ["weight_bits", "input_bits"])
@pytest.mark.parametrize("bits", [1, 17])
def test_bits_have_a_range(option: str, bits: int) -> None:
    with pytest.raises(ConfigError, match=f"{option}: expected 2 to 16, got {bits}"):
        converted(net()).to_integer(**{option: bits})


def test_linear_upsampling_has_no_integer_form() -> None:
    network = converted(net(lambda: nn.Upsample(scale_factor=2, mode="bilinear")))
    with pytest.raises(ConfigError, match=r"upsample_bilinear2d.*nearest-neighbour"):
        network.to_integer()


def test_an_analog_relay_has_no_integer_form() -> None:
    network = converted(net(lambda: nn.Conv2d(4, 4, 1)), analog_relays=["2"])
    with pytest.raises(ConfigError, match="relay left analog"):
        network.to_integer()


def test_sums_beyond_what_float64_holds_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"sums below 2\^53"):
        converted(net(), T=24).to_integer(weight_bits=16, input_bits=16)


def ones(bias: float) -> nn.Sequential:
    """A network of equal weights and equal biases."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    for layer in (model[0], model[2]):
        nn.init.ones_(layer.weight)
        nn.init.constant_(layer.bias, bias)
    return model.eval()


@pytest.mark.parametrize("bias", [0.0, 100.0])
@pytest.mark.parametrize(("method", "T"), [("spikeconverter", 6), ("burst", 8), ("burst", 32)])
def test_sums_are_bounded_over_a_whole_run(
    monkeypatch: pytest.MonkeyPatch, method: str, T: int, bias: float
) -> None:
    """Two weights of 127, an input of 127, and a bias in their unit, over a whole train."""
    network = sw.convert(ones(bias), method, calibration=torch.eye(2), T=T)
    train = network.code.max_value if method == "spikeconverter" else T
    wanted = (2 + bias) * 127 * 127 * train
    monkeypatch.setattr("spikewright.network.integer._LIMIT", 0.9 * wanted)
    with pytest.raises(ConfigError, match=r"^0 .*got up to") as error:
        network.to_integer()
    found = re.search(r"up to (\S+)\. Use fewer", str(error.value))
    assert found is not None
    assert float(found[1]) == pytest.approx(wanted, rel=0.01)


def test_every_number_of_a_population_is_in_double_precision() -> None:
    network = converted(net(), input="encoded").to_integer()
    assert any(n.op == ops.INPUT_SITE for n in network.graph)
    for site in network.sites.values():
        assert site.threshold.dtype == site.pre_bias.dtype == torch.float64


@pytest.mark.parametrize("front", ["nothing", "a factor", "a factor, then moved"])
def test_the_largest_input_that_calibration_saw_takes_all_bits(front: str) -> None:
    made: list[nn.Module] = []
    if front != "nothing":
        made.append(Call(lambda x: x * 4, "times"))
    if "moved" in front:
        made.append(Call(lambda x: x.flip(1), "flip"))
    x = 3 * torch.randn(16, 4)
    model = nn.Sequential(*made, nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    graph = sw.convert(model, calibration=x, T=6).to_integer(input_bits=6).graph
    rounded = [n.name for n in graph if n.op == "aten.round.default"]
    assert len(rounded) == 1
    (found,) = Program(graph, outputs=rounded)(x.double())
    assert float(found.abs().max()) == 31


@pytest.mark.parametrize("bits", [2, 8, 12])
def test_weights_biases_and_thresholds_are_integers_within_their_bits(bits: int) -> None:
    network = converted(net(averages)).to_integer(weight_bits=bits)
    full = network.code.max_value
    for node in network.graph:
        if node.op in ("aten.conv2d.default", "aten.linear.default"):
            weight, bias = (network.graph.params[a.name] for a in node.args[1:3])
            assert torch.equal(weight, weight.round())
            assert float(weight.abs().max()) <= 2 ** (bits - 1) - 1
            assert torch.equal(bias / full, (bias / full).round())
    for name, site in network.sites.items():
        if network.graph[name].op != ops.READOUT:
            assert torch.equal(site.threshold, site.threshold.round())
            assert torch.equal(site.pre_bias, site.pre_bias.round())


def test_additions_of_an_integer_network_are_those_of_its_wires() -> None:
    """Averages that became sums keep their ways, also weighted ones (ceil mode, padding)."""
    pool = functools.partial(nn.AvgPool2d, 3, 2, 1, ceil_mode=True, count_include_pad=False)
    network = converted(net(pool)).to_integer()
    x = torch.randn(2, 2, 6, 6)
    counted = sum(n.additions for n in sw.evaluate(network, x).lengths[0].layers)
    assert counted == fan_out.additions(network, x) > 0


def test_eight_bits_stay_close_to_the_float_network() -> None:
    """int8 weights err by 1/254 of the largest; on this net that is below 3 % of the output."""
    network, x = converted(net(), T=10), torch.randn(16, 2, 6, 6)
    rough, fine = (sw.api.simulate(n, x).double() for n in (network.to_integer(), network))
    assert float((rough - fine).abs().max() / fine.abs().max()) < 0.03


def test_inputs_beyond_the_calibrated_range_keep_both_simulators_equal() -> None:
    network = converted(net()).to_integer()
    assert sw.api.verify(network, 50 * torch.randn(4, 2, 6, 6)).agrees


def test_sixteen_steps_of_an_analog_input_stay_in_range() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 5)
    )
    x = torch.randn(4, 3, 8, 8)
    network = sw.convert(model, T=16, calibration=x).to_integer()
    assert sw.api.verify(network, x).agrees


class Values(nn.Module):
    """A layer, then whatever is asked for, of its value and of the input."""

    def __init__(self, rest: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer, self.next = nn.Linear(6, 6), nn.Linear(6, 6)
        self.gain = nn.Parameter(torch.linspace(-2, 2, 6))
        with torch.no_grad():
            self.layer.weight.mul_(torch.logspace(-1, 1, 6)[:, None])
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self, self.layer(x), x)


# Sums that are multiplied again, read twice, or hold the analog input.
SUMS: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "times a number": lambda s, h, x: s.next((h * 0.37).relu()),
    "turned": lambda s, h, x: s.next((-h).relu()),
    "times a number a channel": lambda s, h, x: s.next((h * s.gain).relu()),
    "read twice": lambda s, h, x: h.relu() + h,
    "read twice, once multiplied": lambda s, h, x: (h * -0.37).relu() + h,
    "read twice, moved between": lambda s, h, x: (h * 0.37).flip(1).relu() + h.relu(),
    "with a factor": lambda s, h, x: torch.add(s.next(h.relu()), h.relu(), alpha=0.3).relu(),
    "with the input": lambda s, h, x: (h + x).relu(),
    "with the input, multiplied": lambda s, h, x: torch.add(h, x, alpha=0.3).relu() - x,
    "of the input": lambda s, h, x: x.relu() + h,
    "from the input again": lambda s, h, x: (s.next(h.relu()) + s.layer(x.flip(1))).relu(),
    "in front of a layer": lambda s, h, x: s.next(h.relu() * s.gain - x),
    "of a layer behind factors": lambda s, h, x: (s.next(h.relu() * s.gain - x) * -0.5).relu(),
    "of wires twice": lambda s, h, x: s.next((h.relu() + x) - h.relu() * 0.3),
    "behind a permutation": lambda s, h, x: s.next(h.unflatten(1, (2, 3)).mT.relu().flatten(1)),
}


@pytest.mark.parametrize("case", SUMS)
def test_whatever_is_summed_up_is_whole_and_near(case: str) -> None:
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
    network = sw.convert(Values(SUMS[case]).eval(), T=10, calibration=x)
    whole, fine = network.to_integer(), network.to_integer(weight_bits=14, input_bits=14)
    assert sw.verify(whole, x[:8]).agrees
    wanted, rough, near = network(x), whole(x), fine(x)
    assert float((near - wanted).norm() / wanted.norm()) < 3e-3
    assert float((rough - wanted).norm() / wanted.norm()) < 0.05


def test_a_value_that_is_returned_and_fires_has_a_potential_for_each() -> None:
    """Both read one current, which must not be accumulated twice."""
    model = Values(lambda s, h, x: (h, s.next(h.relu())))  # type: ignore[arg-type, return-value]
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
    network = sw.convert(model.eval(), T=8, calibration=x, per_channel=False)
    assert sw.verify(network.to_integer(), x[:8]).agrees


def test_the_smallest_factor_in_front_of_a_layer_has_its_bits() -> None:
    model = Values(SUMS["in front of a layer"]).eval()
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
    graph = sw.convert(model, T=8, calibration=x, per_channel=False).to_integer(weight_bits=6).graph
    wires = [n for n in graph if n.op == ops.SCALE and graph[n.inputs[0]].op == ops.RECTIFY]
    gains = torch.cat([graph.params[n.params[0]].abs().flatten() for n in wires])
    assert float(gains.min()) == 31
    assert torch.equal(gains, gains.round())


def test_every_channel_of_a_transposed_convolution_has_a_step_of_its_own() -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 2, groups=2)
    with torch.no_grad():
        layer.weight.mul_(torch.logspace(-1, 1, 3).view(1, 3, 1, 1))
    last = nn.Linear(6 * 25, 3)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), layer, nn.ReLU(), nn.Flatten(), last)
    x = torch.randn(8, 2, 4, 4)
    network = sw.convert(model.eval(), T=8, calibration=x).to_integer()
    (node,) = [n for n in network.graph if "transpose" in n.op]
    weight = network.graph.params[node.args[1].name].reshape(2, 2, 3, 4)
    assert torch.equal(weight.abs().amax((1, 3)), torch.full((2, 3), 127.0, dtype=torch.float64))
    assert sw.verify(network, x).agrees


RETURNED: dict[str, Callable[[Tensor], Tensor]] = {
    "average": lambda y: nn.functional.avg_pool2d(y, 2),
    "moved by its size": lambda y: y.reshape(y.shape[0], 4, -1).reshape(-1, 4, 4, 4)[:, :, :2, :2],
    "upsampled": lambda y: nn.functional.interpolate(y, scale_factor=2)[:, :, 1:3, 1:3],
    "sums": lambda y: torch.cumsum(y, 1)[:, :, :2, :2],
}


class Features(nn.Module):
    """Returns what a layer reads as well."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case, self.conv, self.linear = case, nn.Conv2d(2, 4, 3), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value = RETURNED[self.case](self.conv(x).relu())
        return value, self.linear(value.flatten(1))


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("case", RETURNED)
def test_a_value_that_is_returned_and_read_by_a_layer_is_right_for_both(
    case: str, per_channel: bool
) -> None:
    model, x = Features(case).eval(), torch.randn(16, 2, 6, 6)
    fine = sw.convert(model, calibration=x, T=10, per_channel=per_channel).to_integer(
        weight_bits=14, input_bits=14
    )
    assert sw.verify(fine, x[:4]).agrees
    with torch.no_grad():
        wanted = model(x)
    for own, other in zip(fine(x), wanted, strict=True):
        assert float((own - other).norm() / other.norm()) < 0.01


class Beside(nn.Module):
    """A layer reads spikes and the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.cat([self.first(x).relu(), x], 1))
        return out


def test_a_layer_that_reads_spikes_and_the_input_has_an_integer_form_if_that_is_encoded() -> None:
    model, x = Beside().eval(), torch.randn(16, 4)
    with pytest.raises(ConfigError, match=r"reads both.*input=\"encoded\""):
        sw.convert(model, calibration=x, T=10).to_integer()
    encoded = sw.convert(model, calibration=x, T=12, input="encoded")
    fine = encoded.to_integer(weight_bits=14, input_bits=14)
    with torch.no_grad():
        wanted = model(x)
    assert float((fine(x) - wanted).norm() / wanted.norm()) < 0.01
