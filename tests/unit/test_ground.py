# SPDX-License-Identifier: Apache-2.0
"""The ground: run.py, the pins, the shape checks, and that what is skipped is said."""

import importlib.metadata
import importlib.util
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from spikewright.data import Preprocess
from spikewright.data.preprocess import _normalised

ROOT = Path(__file__).parents[2]


# --- the shape checks of the tests themselves


def test_a_wrong_shape_is_caught() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="height width channel"):
        _normalised(np.zeros((4, 4), np.uint8), Preprocess())


def test_a_wrong_kind_of_number_is_caught() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="image"):
        _normalised(np.zeros((4, 4, 3), np.float32), Preprocess())


def test_whole_numbers_pass_where_a_float_is_declared() -> None:
    assert Preprocess(scale=1, mean=(0,)).scale == 1


@pytest.mark.usefixtures("unchecked")
def test_the_checks_can_be_switched_off_for_one_test() -> None:
    assert _normalised(np.zeros((2, 2, 3), np.float32), Preprocess()).shape == (3, 2, 2)


def test_every_test_starts_from_the_same_seed(seeded: int) -> None:
    torch_number, numpy_number = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(seeded)
    np.random.seed(seeded)  # noqa: NPY002
    assert torch_number == torch.rand(1)
    assert numpy_number == np.random.rand()  # noqa: NPY002


# --- what is skipped


def run_pytest(test: str, data: str) -> str:
    environment = {**os.environ, "SPIKEWRIGHT_DATA": data}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


def test_tests_without_their_data_are_skipped_aloud() -> None:
    out = run_pytest("tests/unit/models/test_real_networks.py::test_cifar10_accuracy", "/nowhere")
    assert "3 skipped" in out
    assert "no real data: SPIKEWRIGHT_DATA=/nowhere is not a folder" in out
    assert "3 tests skipped for lack of real data: set SPIKEWRIGHT_DATA to its folder." in out


# --- run.py


@pytest.fixture
def run_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """run.py as a module whose root is a folder of its own, which records what it would start."""
    spec = importlib.util.spec_from_file_location("run_py", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "BIN", tmp_path / ".venv" / "bin")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "stamp")
    module.started = []
    module.exit_codes = {}

    def start(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        line = " ".join(
            Path(word).name if word.startswith(str(tmp_path)) else word for word in command
        )
        module.started.append(line)
        (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        code = next((c for start, c in module.exit_codes.items() if line.startswith(start)), 0)
        if code and _.get("check"):
            raise subprocess.CalledProcessError(code, command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(module.subprocess, "run", start)
    return module


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(
        SystemExit, match=re.escape("run.py: expected Python 3.11 or newer, got 3.10.")
    ):
        runpy.run_path(str(ROOT / "run.py"))


def test_the_environment_is_built_once_and_again_when_the_pins_change(run_py: ModuleType) -> None:
    run_py.install()
    venv, pip = run_py.started
    assert venv.endswith("-m venv .venv")
    assert pip.startswith("python -m pip")
    assert pip.endswith("install --quiet -c constraints.txt -e .[dev]")
    run_py.install()
    assert len(run_py.started) == 2
    (run_py.ROOT / "constraints.txt").write_text("torch==2.14.0")
    (run_py.BIN / "python").touch()
    run_py.install()
    assert run_py.started[2:] == [pip]


def test_a_broken_installation_is_not_stamped(
    run_py: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    run_py.exit_codes["python -m pip"] = 7
    assert run_py.main(["demo"]) == 2
    assert "installation stopped, exit code 7" in capsys.readouterr().out
    assert not run_py.STAMP.exists()
    assert not [line for line in run_py.started if line.startswith("spikewright")]


def test_every_check_runs_and_one_failure_fails_all(
    run_py: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = ["ruff check", "ruff format --check", "mypy", "lint-imports"]
    checks += ["mkdocs build --strict --quiet"]
    checks += ["pytest --numprocesses auto --dist worksteal"]
    assert run_py.main(["test"]) == 0
    assert run_py.started[2:] == checks
    assert "all checks passed" in capsys.readouterr().out
    run_py.exit_codes |= {"ruff format": 1, "pytest": 2}
    assert run_py.main(["test"]) == 1
    assert run_py.started[-6:] == checks
    assert "FAILED: ruff format --check, pytest" in capsys.readouterr().out


def test_the_documentation_is_built_as_in_the_checks(
    run_py: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_py.main(["docs"]) == 0
    assert run_py.started[-1] == "mkdocs build --strict --quiet"
    assert str(Path("site") / "index.html") in capsys.readouterr().out
    run_py.exit_codes["mkdocs"] = 1
    assert run_py.main(["docs"]) == 1
    assert "index.html" not in capsys.readouterr().out
    assert run_py.main(["docs", "--serve"]) == 2


def test_other_verbs_and_their_exit_codes_are_passed_on(run_py: ModuleType) -> None:
    run_py.exit_codes["spikewright"] = 1
    assert run_py.main(["demo", "--json"]) == 1
    assert run_py.started[-1] == "spikewright demo --json"


def test_without_a_verb_the_use_is_shown(
    run_py: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_py.main([]) == 2
    assert run_py.main(["--help"]) == 0
    assert run_py.main(["test", "tests/unit"]) == 2
    assert "python3 run.py demo" in capsys.readouterr().out


# --- settings


PEERS = {"spikingjelly", "neurobench"}


def requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    listed = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [line for line in listed if not line.startswith("spikewright")]


@pytest.mark.parametrize("requirement", requirements())
def test_every_dependency_is_pinned_and_is_what_runs_here(requirement: str) -> None:
    name, least = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
    pins = dict(
        line.lower().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )

    def numbers(version: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]

    assert numbers(pins[name]) >= numbers(least)
    if name in PEERS and importlib.util.find_spec(name) is None:
        return  # an extra that the checks do without
    assert importlib.metadata.version(name).partition("+")[0] == pins[name]


def test_continuous_integration_runs_the_same_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec python3 run.py test")


def test_the_citation_names_the_three_papers() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    for words in ("SpikeConverter", "Burst Spikes", "Consistent Mapping Relations"):
        assert words in text
