# SPDX-License-Identifier: Apache-2.0
"""A model is exported once while nothing that its graph depends on changes, and else anew."""

import copy
import functools
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedModuleError
from spikewright.graph import Graph, Program, capture, kept
from spikewright.graph.calls import call_of

X = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
SWITCH = False
config = ModuleType("config_of_this_test")
config.factor = 1.0  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users have it: few, and none of models that are gone."""
    monkeypatch.setattr(kept, "_graphs", {})
    monkeypatch.setattr(kept, "MOST", 4)
    monkeypatch.setattr(kept, "reference_to", weakref.ref)


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the calls of torch.export."""
    calls: list[int] = []
    own = torch.export.export

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return own(*args, **kwargs)

    monkeypatch.setattr(torch.export, "export", counting)
    return calls


def is_made(model: nn.Module, example: Any = X) -> bool:
    """Tell whether a graph is made anew; it is an empty one, which is quicker than an export."""
    made: list[int] = []

    def make() -> Graph:
        made.append(1)
        return Graph({}, {}, (), ())

    kept.kept(model, call_of(model, example), make)
    return bool(made)


def helper(x: Tensor, factor: float = 1.0) -> Tensor:
    return x * factor * config.factor


class Model(nn.Module):
    """Depends on all that a forward may read."""

    gain = 1.0

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.register_buffer("shift", torch.zeros(6))
        self.constant = torch.ones(6)
        self.flag, self.number, self.options = False, 1, {"factors": [1.0, 1.0]}
        self.settings = SimpleNamespace(inner=SimpleNamespace(factor=1.0))
        self.bound = functools.partial(helper, factor=1.0)
        self.free = lambda x: x * scale
        self.set_scale = lambda value: _set_cell(self.free, value)

    def part(self, x: Tensor) -> Tensor:
        return x * self.gain

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x) + self.shift) * self.constant
        if self.flag or SWITCH:
            x = x * 3.0
        x = self.free(self.bound(helper(self.part(x)))) * self.number
        x = F.relu(self.second(x)) * self.options["factors"][1] * self.settings.inner.factor
        out: Tensor = self.last(x)
        return out


def _set_cell(fn: Any, value: float) -> None:
    (cell,) = (c for c in fn.__closure__ if isinstance(c.cell_contents, float))
    cell.cell_contents = value


def halved(x: Tensor) -> Tensor:
    return x * 0.5


def _in_place(model: Model) -> None:
    with torch.no_grad():
        model.first.weight.mul_(2.0)


def _by_numpy(model: Model) -> None:
    model.first.weight.detach().numpy()[:] *= 2.0


def _permuted(model: Model) -> None:
    model.first.weight.data.copy_(model.first.weight.data.flip(0))


def _forward_of_the_instance(model: Model) -> None:
    own = model.forward
    model.forward = lambda x: own(x) * 2.0  # type: ignore[method-assign]


def _hook(model: Model) -> None:
    model.second.register_forward_hook(lambda _module, _inputs, output: output * 2.0)


def _reordered(model: Model) -> None:
    model.first, model.last = nn.Linear(4, 6), nn.Linear(6, 3)


CHANGES: dict[str, Callable[[Model], object]] = {
    "weight in place": _in_place,
    "weight's data replaced": lambda m: setattr(m.first.weight, "data", torch.rand(6, 4)),
    "weight's data overwritten": lambda m: m.first.weight.data.copy_(torch.rand(6, 4)),
    "weight's rows in another order": _permuted,
    "weight through NumPy": _by_numpy,
    "weight replaced": lambda m: setattr(m.first, "weight", nn.Parameter(torch.rand(6, 4))),
    "weights loaded": lambda m: m.load_state_dict(Model().state_dict()),
    "bias taken away": lambda m: setattr(m.first, "bias", None),
    "buffer": lambda m: m.shift.add_(1.0),
    "tensor that is an attribute": lambda m: m.constant.mul_(2.0),
    "flag": lambda m: setattr(m, "flag", True),
    "number": lambda m: setattr(m, "number", 2),
    "element of a list in a dictionary": lambda m: m.options["factors"].__setitem__(1, 2.0),
    "attribute of an attribute's attribute": lambda m: setattr(m.settings.inner, "factor", 2.0),
    "argument of a partial": lambda m: m.bound.keywords.update(factor=2.0),
    "closure": lambda m: m.set_scale(2.0),
    "layer replaced": lambda m: setattr(m, "second", nn.Linear(6, 6)),
    "layer's class": lambda m: setattr(m, "second", nn.Identity()),
    "layers replaced": _reordered,
    "forward of the instance": _forward_of_the_instance,
    "hook": _hook,
    "method of the instance": lambda m: setattr(m, "part", halved),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_model_is_captured_anew(name: str) -> None:
    model = Model().eval()
    assert is_made(model)
    assert not is_made(model)
    with torch.no_grad():
        before = model(X)
        CHANGES[name](model)
        assert not torch.equal(model(X), before)
    assert is_made(model)
    assert not is_made(model)


def test_an_element_of_a_changed_type_is_a_change() -> None:
    model = Model().eval()
    for number in (1, 1.0, True):
        model.number = number  # type: ignore[assignment]
        assert is_made(model)


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (sys.modules[__name__], "SWITCH", True),
        (sys.modules[__name__], "helper", halved),
        (config, "factor", 2.0),
        (Model, "gain", 2.0),
        (Model, "part", lambda _self, x: x * 2.0),
        (Model, "forward", lambda self, x: self.last(self.first(x).relu())),
        (helper, "__defaults__", (2.0,)),
        (F, "relu", torch.abs),
        (nn.Linear, "forward", lambda self, x: F.linear(x, 2.0 * self.weight, self.bias)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_forward_reads_outside_of_the_model_is_part_of_it(
    where: Any, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model().eval()
    assert is_made(model)
    with torch.no_grad():
        before = model(X)
        monkeypatch.setattr(where, name, value)
        assert not torch.equal(model(X), before)
    assert is_made(model)
    assert not is_made(model)


def test_a_function_of_a_library_that_a_layer_calls_is_part_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    assert is_made(model)
    doubled = functools.wraps(F.relu)(lambda x, inplace: torch.relu(x) * 2.0)
    monkeypatch.setattr(F, "relu", doubled)
    assert is_made(model)


def test_hooks_of_all_modules_are_part_of_a_model() -> None:
    model = Model()
    assert is_made(model)
    handle = nn.modules.module.register_module_forward_hook(lambda _m, _x, output: output * 2.0)
    try:
        assert is_made(model)
    finally:
        handle.remove()


def test_what_a_hook_holds_is_part_of_the_model() -> None:
    model, factors = Model(), [1.0]
    model.second.register_forward_hook(lambda _m, _x, output: output * factors[0])
    assert is_made(model)
    assert not is_made(model)
    factors[0] = 2.0
    assert is_made(model)


def test_training_flags_and_gradients_asked_for_are_part_of_the_model() -> None:
    model = Model().eval()
    assert is_made(model)
    model.second.train()
    assert is_made(model)
    model.requires_grad_(False)
    assert is_made(model)


def test_weights_that_are_no_longer_shared_are_a_change() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    assert is_made(model)
    model[2].weight = nn.Parameter(model[0].weight.detach().clone())
    assert is_made(model)


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor, y: Tensor | None = None, *, twice: bool = False) -> Tensor:
        out: Tensor = self.layer(x).relu() * (2.0 if twice else 1.0)
        return out if y is None else out + y


def test_another_form_of_the_example_is_captured_anew() -> None:
    model = Called()
    examples = [X, (X, X), {"x": X}, {"x": X, "twice": True}, {"x": X, "twice": 1}, X.double()]
    for example in (*examples, torch.rand(2, 3, 4), torch.rand(2, 4, 3).transpose(1, 2)):
        assert is_made(model, example)
        assert not is_made(model, example)


def test_precision_is_part_of_the_model() -> None:
    model = Called()
    assert is_made(model)
    assert is_made(model.double())
    assert is_made(model.bfloat16())
    assert not is_made(model)


def test_switches_of_pytorch_are_part_of_a_capture() -> None:
    model = Called()
    assert is_made(model)
    torch.set_default_dtype(torch.float64)
    try:
        assert is_made(model)
    finally:
        torch.set_default_dtype(torch.float32)
    assert is_made(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert is_made(model)
    with torch.device("cpu"):  # a mode that changes calls of functions
        assert is_made(model)
        assert is_made(model)


def test_values_number_and_order_in_memory_of_the_example_do_not_matter(exports: list[int]) -> None:
    model = Model().eval()
    for x in (X, torch.rand(7, 4), torch.zeros(1, 4), torch.rand(4, 3).T):
        graph = capture(model, x)
    assert_equal(graph, model)
    assert len(exports) == 1


def assert_equal(graph: Graph, model: nn.Module) -> None:
    with torch.no_grad():
        torch.testing.assert_close(Program(graph)(X)[0], model(X))


def test_a_changed_weight_is_in_the_graph(exports: list[int]) -> None:
    model = Model().eval()
    capture(model, X)
    _by_numpy(model)
    assert_equal(capture(model, X), model)
    assert len(exports) == 2


def test_one_export_serves_inspect_calibrate_and_diagnose(exports: list[int]) -> None:
    model = Model().eval()
    assert sw.inspect(model, X).is_convertible
    snn = sw.convert(model, calibration=X, T=8)
    sw.diagnose(snn, X, reference=model)
    assert sw.verify(snn, X, reference=model).agrees
    assert len(exports) == 1


@pytest.mark.parametrize("make", [threading.Lock, torch.Generator, lambda: (i for i in X)])
def test_what_cannot_be_looked_into_is_captured_each_time(make: Callable[[], object]) -> None:
    model = Model().eval()
    model.settings.unknown = make()
    assert is_made(model)
    assert is_made(model)


def _by_clock(x: Tensor) -> Tensor:
    return x * time.time()


def _by_environment(x: Tensor) -> Tensor:
    return x * float(os.getenv("FACTOR", "1"))


def _by_chance(x: Tensor) -> Tensor:
    from random import random

    return x * random()


def _by_a_file(x: Tensor) -> Tensor:
    with open("factor.txt") as file:  # noqa: PTH123 - any code of a user's
        return x * float(file.read())


@pytest.mark.parametrize("fn", [_by_clock, _by_environment, _by_chance, _by_a_file])
def test_what_comes_from_outside_of_the_program_is_asked_each_time(
    fn: Callable[[Tensor], Tensor],
) -> None:
    model = Model().eval()
    model.part = fn  # type: ignore[method-assign]
    assert is_made(model)
    assert is_made(model)


def test_a_module_that_is_imported_in_a_function_is_part_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def imports(x: Tensor) -> Tensor:
        import config_of_this_test  # type: ignore[import-not-found]

        return x * config_of_this_test.factor

    monkeypatch.setitem(sys.modules, config.__name__, config)
    model = Model().eval()
    model.part = imports  # type: ignore[method-assign]
    assert is_made(model)
    assert not is_made(model)
    monkeypatch.setattr(config, "factor", 2.0)
    assert is_made(model)


class Counts(nn.Module):
    """Is another model after each of its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.runs = nn.Linear(4, 3), [0]

    def forward(self, x: Tensor) -> Tensor:
        self.runs = [self.runs[0] + 1]
        out: Tensor = self.layer(x) * self.runs[0]
        return out


def test_a_model_that_its_own_run_changes_is_exported_anew(exports: list[int]) -> None:
    model = Counts()
    capture(model, X)
    capture(model, X)
    assert len(exports) == 1  # a capture leaves it as it was
    model(X)
    capture(model, X)
    assert len(exports) == 2


def test_a_graph_is_its_callers_own(exports: list[int]) -> None:
    model = Model().eval()
    for _ in range(3):
        graph = capture(model, X)
        with torch.no_grad():
            torch.testing.assert_close(Program(graph)(X)[0], model(X))
        for tensor in graph.params.values():
            tensor.zero_()
        graph.nodes.clear()
    assert len(exports) == 1


def test_threads_share_one_export(exports: list[int]) -> None:
    model, graphs = Model().eval(), list[Any]()
    threads = [threading.Thread(target=lambda: graphs.append(capture(model, X))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(exports) == 1
    assert all(graph.nodes == graphs[0].nodes for graph in graphs)
    assert len(graphs) == 4


def test_few_graphs_are_kept_and_none_of_models_that_are_gone() -> None:
    models = [nn.Linear(4, 3) for _ in range(kept.MOST + 2)]
    assert all(map(is_made, models))
    assert len(kept._graphs) == kept.MOST
    assert not is_made(models[-1])
    assert is_made(models[0])
    del models
    gc.collect()
    assert not kept._graphs


def test_a_copy_of_a_model_has_a_graph_of_its_own() -> None:
    model = Model().eval()
    assert is_made(model)
    assert is_made(copy.deepcopy(model))


def test_a_failed_capture_keeps_nothing() -> None:
    model = Model()
    assert is_made(model)
    model.flag = True

    def fail() -> Graph:
        raise UnsupportedModuleError("no")

    with pytest.raises(UnsupportedModuleError):
        kept.kept(model, call_of(model, X), fail)
    assert is_made(model)


def test_equal_models_share_a_graph_and_unequal_ones_do_not() -> None:
    def made(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()

    first, second, third = made(0), made(0), made(1)
    assert is_made(first)
    assert not is_made(second)
    assert is_made(third)
    with torch.no_grad():
        second[0].weight.zero_()
    assert is_made(second)
    assert not is_made(first)
    del first
    gc.collect()
    assert is_made(made(0))
