# SPDX-License-Identifier: Apache-2.0
"""The guarded import: repairs missing operators, hides nothing else, and is not made by default."""

import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = "from spikewright._vision import torchvision; print(torchvision().__name__)"
REGISTERS = "import torch; torch.library.register_fake('torchvision::{}')(lambda x: x)\n"


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code with a package folder first on the import path, without the shape checks."""
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def package(folder: Path, text: str) -> Path:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(text)
    return folder


def test_missing_operators_are_declared_one_after_the_other(tmp_path: Path) -> None:
    missing = "import torch\nfrom torchvision import first\nfrom torchvision import second\n"
    folder = package(tmp_path, missing)
    for name in ("first", "second"):
        text = (
            f"import torch\nif not torch._C._dispatch_has_kernel('torchvision::not_there_{name}'):\n"
            f"    raise RuntimeError('operator torchvision::not_there_{name} does not exist')\n"
        )
        check = text.replace("_dispatch_has_kernel(", "_dispatch_find_schema_or_throw(") if False else text
        (folder / "torchvision" / f"{name}.py").write_text(check)
    done = run(GUARDED, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torchvision\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('out of memory')", "RuntimeError: out of memory"),
        ("import no_such_thing", "No module named 'no_such_thing'"),
        ("raise RuntimeError('operator torchvision::nms does not exist')", "torchvision::nms does not exist"),
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
    rooms = "import spikewright.data, spikewright.models"
    done = run(f"{rooms}; print({{'torchvision', 'PIL'}} & {{n.partition('.')[0] for n in sys.modules}})", tmp_path)
    assert done.stdout == "set()\n", done.stderr
