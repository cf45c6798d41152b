# SPDX-License-Identifier: Apache-2.0
"""The guarded import: repairs missing operators, hides nothing else, and is not made by default."""

import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = "from spikewright._vision import torchvision; print(torchvision().__name__)"
NEEDS_OPERATOR = """
import torch

@torch.library.register_fake("torchvision::not_there_{}")
def fake(x):
    return x
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code with a package folder first on the import path, without the shape checks."""
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def package(folder: Path, text: str) -> Path:
    """Put a package called torchvision into a folder."""
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(text)
    return folder


def test_missing_operators_are_declared_one_after_the_other(tmp_path: Path) -> None:
    folder = package(tmp_path, "from torchvision import first, second\n")
    for name in ("first", "second"):
        (folder / "torchvision" / f"{name}.py").write_text(NEEDS_OPERATOR.format(name))
    done = run(GUARDED, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torchvision\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('out of memory')", "RuntimeError: out of memory"),
        ("import no_such_thing", "No module named 'no_such_thing'"),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "RuntimeError: operator torchvision::nms does not exist",
        ),
    ],
    ids=["another failure", "a broken dependency", "one that does not go away"],
)
def test_other_failures_are_not_hidden(tmp_path: Path, text: str, message: str) -> None:
    done = run(GUARDED, package(tmp_path, text))
    assert done.returncode == 1
    assert message in done.stderr


def test_torchvision_that_is_not_installed_is_named(tmp_path: Path) -> None:
    done = run(f"sys.modules['torchvision'] = None; {GUARDED}", tmp_path)
    assert "ConfigError: torchvision: expected to be installed, got no such module." in done.stderr
    assert "pip install 'spikewright[vision]'" in done.stderr


def test_the_data_and_model_rooms_import_without_torchvision_and_pillow(tmp_path: Path) -> None:
    code = (
        "import spikewright.data, spikewright.models; "
        "print({'torchvision', 'PIL'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = run(code, tmp_path)
    assert done.stdout == "set()\n", done.stderr
