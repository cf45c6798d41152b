# SPDX-License-Identifier: Apache-2.0
"""A spiking network in the place of its model: called, copied, pickled, moved, in threads."""

import collections
import copy
import functools
import pickle
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import ConfigError, ShapeError

DATA = torch.rand(24, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Pair(NamedTuple):
    """What a model may return."""

    first: Tensor
    second: Any


class Heads(nn.Module):
    """Two heads, returned in whatever way."""

    def __init__(self, nest: Any) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.body, self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(64, 5), nn.Linear(64, 2)
        self.nest = nest

    def forward(self, x: Tensor) -> Any:
        y = F.relu(self.body(x)).flatten(1)
        return self.nest(self.a(y), self.b(y))


@functools.cache
def heads(nest: Any = lambda a, b: a) -> nn.Module:
    """Heads that no test changes, so that they are captured once."""
    return Heads(nest).eval()


NESTS = [
    lambda a, b: a,
    lambda a, b: (a, b),
    lambda a, b: [a, [b, a]],
    lambda a, b: {"class": a, "boxes": (b, None)},
    lambda a, b: Pair(a, {"deep": b}),
    lambda a, b: collections.OrderedDict(out=a, aux=b),
    lambda a, b: (a, 3, b.argmax(1)),
]


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("method", ["spikeconverter", "burst"])
def test_it_returns_what_the_model_returns(nest: Any, method: str, tmp_path: Path) -> None:
    model = heads(nest)
    snn = sw.convert(model, method, calibration=DATA, T=16 if method == "spikeconverter" else 64)
    with torch.no_grad():
        wanted = model(DATA)
    found = snn(DATA)
    same(found, wanted)
    snn.save(tmp_path / "net.safetensors")
    loaded = sw.load(tmp_path / "net.safetensors")(DATA)
    flat = torch.utils._pytree.tree_leaves(loaded)
    for one, other in zip(flat, torch.utils._pytree.tree_leaves(found), strict=True):
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other


def same(found: Any, wanted: Any) -> None:
    """Compare nested results: classes, keys, constants, and numbers within what coding does."""
    assert type(found) is type(wanted) or isinstance(wanted, Tensor)
    if isinstance(wanted, Tensor):
        assert found.shape == wanted.shape
        if wanted.is_floating_point():
            assert float((found - wanted).norm() / wanted.norm()) < 0.1
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            same(found[key], value)
    elif isinstance(wanted, tuple | list):
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == wanted


class Two(nn.Module):
    """Two inputs, the second may be given by name."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.f, self.h = nn.Conv2d(3, 4, 3), nn.Linear(64, 3)

    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
        return self.h(F.relu(self.f(left)).flatten(1) - F.relu(self.f(right)).flatten(1) * scale)


CALIBRATIONS: list[tuple[Any, Any]] = [
    ([(DATA, DATA.flip(0))], None),
    ([((DATA, DATA.flip(0)), torch.zeros(24))], None),
    ([(DATA, DATA.flip(0), torch.zeros(24))], (DATA, DATA)),
    ([{"left": DATA, "right": DATA.flip(0)}], None),
    ([({"left": DATA, "right": DATA.flip(0)}, torch.zeros(24))], None),
]


@pytest.mark.parametrize(("calibration", "example"), CALIBRATIONS)
def test_several_inputs_in_every_form(calibration: Any, example: Any) -> None:
    model = Two().eval()
    snn = sw.convert(model, calibration=calibration, example=example, T=16)
    with torch.no_grad():
        wanted = model(DATA[:5], DATA[5:10])
    for found in (
        snn(DATA[:5], DATA[5:10]),
        snn(DATA[:5], right=DATA[5:10]),
        snn(right=DATA[5:10], left=DATA[:5]),
        sw.simulate(snn, (DATA[:5], DATA[5:10]), simulator="reference"),
    ):
        assert float((found - wanted).norm() / wanted.norm()) < 1e-3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((DATA,), "2 tensor"),
        ((DATA, DATA, DATA), "2 tensor"),
        ((DATA, DATA[:3]), "as many samples"),
        ((DATA, DATA[:, :2]), r"expected shape \(batch, 3, 6, 6\)"),
    ],
)
def test_arguments_that_do_not_fit_are_told(args: tuple[Tensor, ...], said: str) -> None:
    snn = sw.convert(Two().eval(), calibration=[(DATA, DATA)], T=4)
    with pytest.raises(ShapeError, match=said):
        snn(*args)


def test_a_batch_that_is_not_the_models_is_told() -> None:
    prepared = [(DATA, DATA), (DATA,)]
    with pytest.raises(sw.errors.CalibrationError, match="batch 1: expected the model's 2 input"):
        sw.convert(Two().eval(), calibration=prepared, T=4)


@pytest.fixture(scope="module")
def snn() -> sw.SpikingNetwork:
    return sw.convert(heads(), calibration=DATA, T=8)


def test_it_is_copied_and_pickled(snn: sw.SpikingNetwork) -> None:
    wanted = snn(DATA)
    for other in (copy.deepcopy(snn), copy.copy(snn), pickle.loads(pickle.dumps(snn))):
        assert torch.equal(other(DATA), wanted)
    deep = copy.deepcopy(snn)
    name = next(iter(deep.graph.params))
    deep.graph.params[name].zero_()
    assert torch.equal(snn(DATA), wanted)
    assert deep.source is snn.source


def test_it_behaves_in_an_evaluation_loop(snn: sw.SpikingNetwork) -> None:
    model: Any = snn
    model = model.to("cpu").eval()
    model = model.train(False)
    with pytest.raises(ConfigError, match="cannot be trained"):
        model.train()
    right = sum(int((model(x).argmax(1) >= 0).sum()) for x in DATA.split(7))
    assert right == len(DATA)
    assert not model(DATA.requires_grad_(False)).requires_grad
    assert model(DATA[:0]).shape == (0, 5)


def test_as_a_module(snn: sw.SpikingNetwork) -> None:
    module = snn.as_module().to("cpu", torch.float64).eval()
    assert isinstance(module, nn.Module)
    assert not list(module.parameters())
    assert torch.equal(nn.Sequential(module, nn.Softmax(1))(DATA), snn(DATA).softmax(1))


def test_it_says_what_it_is(snn: sw.SpikingNetwork) -> None:
    text = repr(snn)
    assert text.startswith("SpikingNetwork(Heads by spikeconverter, T=8, radix code, layered, ")
    assert "64 neurons in 1 populations" in text
    assert {snn: 1}[snn] == 1


@pytest.mark.parametrize("method", ["spikeconverter", "burst", "casc"])
def test_threads_call_one_network_at_once(method: str) -> None:
    snn = sw.convert(heads(), method, calibration=DATA, T=8)
    wanted = [snn(x) for x in DATA.split(3)]
    found: dict[int, Tensor] = {}

    def call(index: int, x: Tensor) -> None:
        for _ in range(5):
            found[index] = snn(x)

    threads = [threading.Thread(target=call, args=(i, x)) for i, x in enumerate(DATA.split(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, value in enumerate(wanted):
        assert torch.equal(found[index], value)


class Wraps(nn.Module):
    """Keeps what it computed, as many models do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 8), nn.Linear(8, 3)
        self.features: list[Tensor] = []
        self.last: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        self.now = F.relu(self.layer(x))
        self.features.append(self.now)
        self.last["relu"] = self.now
        return self.out(self.now)


def test_the_model_stays_as_it_was() -> None:
    model, x = Wraps().eval(), torch.rand(16, 4)
    sw.inspect(model, x)
    sw.convert(model, calibration=x, T=4)
    copied = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert torch.equal(copied(x), model(x))
    assert all(type(t) is Tensor for t in (*model.features, *model.last.values()))


WRAPPERS = [
    nn.DataParallel,
    lambda m: torch.compile(m, backend="eager"),
    lambda m: nn.DataParallel(torch.compile(m, backend="eager")),
    torch.optim.swa_utils.AveragedModel,
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrappers_are_looked_through(wrap: Any) -> None:
    model = heads()
    snn = sw.convert(wrap(model), calibration=DATA, T=8)
    assert snn.provenance["model"] == "Heads"
    assert torch.equal(snn(DATA), sw.convert(model, calibration=DATA, T=8)(DATA))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_runs_in_float32_and_says_so(dtype: torch.dtype) -> None:
    model = heads()
    half = copy.deepcopy(model).to(dtype)
    snn = sw.convert(half, calibration=DATA.to(dtype), T=12)
    assert snn.dtype == torch.float32
    assert next(half.parameters()).dtype == dtype
    with torch.no_grad():
        wanted = half(DATA.to(dtype)).float()
    assert float((snn(DATA.to(dtype)) - wanted).norm() / wanted.norm()) < 0.02
    assert f"the model's {str(dtype)[6:]} weights run in float32" in snn.summary()


MADE_OF_OUTPUTS = [
    lambda a, b: (b, 2 * b),
    lambda a, b: (a, a.flip(1), a.sum(1)),
    lambda a, b: ((a > 0).long(), a > 0),
    lambda a, b: a.T,
    lambda a, b: (a.softmax(1), a),
]


@pytest.mark.parametrize("nest", MADE_OF_OUTPUTS)
@pytest.mark.parametrize("method", ["spikeconverter", "burst"])
def test_what_is_made_of_an_output_is_made_of_its_read_out(nest: Any, method: str) -> None:
    """In integers too, where a value that is accumulated twice would have two units."""
    model = heads(nest)
    snn = sw.convert(model, method, calibration=DATA, T=8)
    assert sw.verify(snn, DATA[:3]).agrees
    integer = snn.to_integer()
    assert sw.verify(integer, DATA[:3]).agrees
    made = nest(*(sw.convert(heads(NESTS[1]), method, calibration=DATA, T=8)(DATA)))
    leaves, wanted = (torch.utils._pytree.tree_leaves(t) for t in (snn(DATA), made))
    for one, other in zip(leaves, wanted, strict=True):
        torch.testing.assert_close(one, other)
