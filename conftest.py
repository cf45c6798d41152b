# SPDX-License-Identifier: Apache-2.0
"""What every test shares: shape checks, seeds, the folder of real data, the count of skips.

It lies at the root, not in tests/, so that the doctests under src/ run with the same shape checks.
The hook below must come before anything imports spikewright: it rewrites the modules as they are
imported.
"""

import collections
import contextlib
import functools
import gc
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # a thread for each of several test processes
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded, here and in what tests start
if "spikewright" in sys.modules:
    raise RuntimeError("conftest: spikewright was imported before the shape checks were installed.")
# Rooms whose functions state shapes. In the others mypy is strict enough, and checking every call
# of them at run time took a fifth of the tests' time.
SHAPED = (
    "calibration",
    "codes",
    "data",
    "detection",
    "functions",
    "models",
    "neurons",
    "recurrent",
    "shapes",
)
# The numeric tower: without it beartype refuses 0 where a float is declared. The override: it knows
# Self only in classes that it decorates as a whole, and the hook decorates one method at a time.
jaxtyping.install_import_hook(
    [f"spikewright.{room}" for room in SHAPED],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True, "
    "hint_overrides=beartype.FrozenDict({__import__('typing').Self: object})))",
)

hypothesis.settings.register_profile(
    "spikewright",
    deadline=None,  # a busy machine is not a wrong result
    derandomize=True,  # the same examples in every run
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("spikewright")

DATA_VARIABLE = "SPIKEWRIGHT_DATA"
NO_DATA = "no real data:"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[int]:
    """Seed torch and numpy before every test; afterwards gradients must be on as they were.

    Two generators that yield without gradients and take turns would leave them off for good.
    """
    import numpy as np
    import torch

    seed = 20220222
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (for code under test that draws from the old global generator)
    yield seed
    assert torch.is_grad_enabled(), "the test leaves gradients switched off"


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch the type checks off, for tests of our own errors for arguments of a wrong type."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def as_users_have_it(request: pytest.FixtureRequest) -> None:
    """Let whole runs go as those of users do: without the checks of shapes of rooms' tests."""
    place = request.path.relative_to(request.config.rootpath).parts
    if place[:1] == ("tests",) and place[1] in ("contract", "docs", "end_to_end"):
        request.getfixturevalue("unchecked")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data and weights; skip, with the reason, where there is none."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        pytest.skip(f"{NO_DATA} {DATA_VARIABLE} is not set")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"{NO_DATA} {DATA_VARIABLE}={value} is not a folder")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests where there is no GPU, and mark what asks for real data."""
    import torch

    no_gpu = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(no_gpu)


def pytest_collection_finish() -> None:
    """Make captures quicker, of which there are thousands: together they are most of the run.

    What is loaded by now is never garbage, so it need not be looked at again, and what a capture
    makes seldom is. No operator is added to the dispatcher while tests run, so that torch.export
    need not list them each time, nor make the thousands of kernels anew that it gives them for
    the time of a capture.
    """
    import torch._export.utils as listing
    import torch.export.exported_program as program

    from spikewright.graph import kept

    # Private names: absent is only slower.
    if hasattr(listing, "_materialize_cpp_cia_ops"):
        listing._materialize_cpp_cia_ops = functools.cache(listing._materialize_cpp_cia_ops)
    if hasattr(program, "_override_composite_implicit_decomp"):
        program._override_composite_implicit_decomp = _made_once(
            program._override_composite_implicit_decomp
        )
    # Tests build equal networks again and again; small ones are held, and so their graphs.
    kept.MOST, kept.reference_to = 200, _reference_to
    gc.freeze()
    gc.set_threshold(50_000)


def _reference_to(model: Any, gone: Callable[[Any], None]) -> Callable[[], Any]:
    """Hold a small model for good, a large one as users' are: weakly."""
    size = sum(p.numel() for p in model.parameters())
    return (lambda: model) if size < 100_000 else weakref.ref(model, gone)


def _made_once(whole: Callable[..., Any]) -> Callable[..., Any]:
    """Return a context of torch.export that puts the same kernels in as the whole one has made.

    It is the second time's kernels that are kept: the first leaves rules for fake tensors behind.
    """
    from torch._subclasses.fake_impls import op_implementations_dict as rules

    times: collections.Counter[Any] = collections.Counter()
    made: dict[Any, list[tuple[Any, dict[Any, Any], Any]]] = {}

    def put(op: Any, kernels: dict[Any, Any]) -> None:
        op.py_kernels.clear()
        op.py_kernels.update(kernels)
        op._dispatch_cache.clear()

    @contextlib.contextmanager
    def override(operators: dict[Any, Any]) -> Iterator[None]:
        what = frozenset(operators.items())
        if what not in made:
            with whole(operators):
                times[what] += 1
                if times[what] == 2:
                    made[what] = [(op, op.py_kernels.copy(), rules[op]) for op in operators]
                yield
            return
        before = [(op, op.py_kernels.copy()) for op in operators]
        for op, kernels, rules[op] in made[what]:
            put(op, kernels)
        try:
            yield
        finally:
            for op, kernels in before:
                put(op, kernels)
                rules.pop(op, None)

    return override


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests did not run for lack of real data."""
    skipped = terminalreporter.stats.get("skipped", [])
    missing = sum(NO_DATA in str(report.longrepr) for report in skipped)
    if missing:
        terminalreporter.write_line(
            f"{missing} tests skipped for lack of real data: set {DATA_VARIABLE} to its folder.",
            yellow=True,
        )
