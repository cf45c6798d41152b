# SPDX-License-Identifier: Apache-2.0
"""What a task is called in stored cells: the same in every process, another for other code."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.comparison.identity import identity
from spikewright.detection import Custom, Suppression
from spikewright.models.user_code import named_in
from spikewright.tasks import Detection

CODE = """
import functools
import torch

LEAST = 0.5

class Decode:
    def __init__(self, least):
        self.least, self.anchors = least, torch.tensor([1.0, least])

    def __call__(self, outputs, size):
        return []

def decode(outputs, size, least=0.5):
    return []

def made(least):
    def within(outputs, size):
        return [least]
    return within

one, other = Decode(0.5), Decode(0.25)
half, quarter = made(0.5), made(0.25)
bound = one.__call__
part, rest = functools.partial(decode, least=0.5), functools.partial(decode, least=0.25)
"""
NAMES = ("decode", "one", "other", "half", "quarter", "bound", "part", "rest")


def task(path: Path, name: str) -> Detection:
    return Detection(decode=Custom(named_in(str(path), name, "test"), name), classes=("cat",))


def test_every_decoder_is_told_apart_and_known_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    first = [identity(task(path, name).decode) for name in NAMES]
    assert len(set(first)) == len(NAMES)
    assert [identity(task(path, name).decode) for name in NAMES] == first
    assert not any(" at 0x" in text for text in first)
    path.write_text(CODE.replace("LEAST = 0.5", "LEAST = 0.4"))
    assert not set(first) & {identity(task(path, name).decode) for name in NAMES}


def test_another_process_writes_it_alike(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.comparison.test_identity import NAMES, task, identity\n"
        "print([identity(task(Path(sys.argv[1]), n)) for n in NAMES])"
    )
    root = Path(__file__).parents[3]
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert found.stdout.strip() == repr([identity(task(path, name)) for name in NAMES])


def test_settings_are_written_out() -> None:
    assert identity(Suppression(iou=0.4)) == "Suppression(iou=0.4, least=0.01, most=300)"
    assert identity({"a": (1, [2.5])}) == "{'a': (1, (2.5))}"
    assert identity(torch.tensor([1])) != identity(torch.tensor([2]))
    assert identity(torch.tensor([1])) != identity(torch.tensor([1.0]))


def without_source(text: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"__name__": "typed_in"}
    exec(text, space)  # as at a prompt
    found: Callable[..., Any] = space["decode"]
    return found


def test_code_without_a_file_is_told_by_what_it_does() -> None:
    one, again, other = (
        without_source(f"def decode(x):\n    return [x + {n} for x in x]") for n in (1, 1, 2)
    )
    assert identity(one) == identity(again) != identity(other)


def test_what_cannot_be_looked_into_and_what_holds_itself() -> None:
    lock = threading.Lock()
    assert identity(lock) == repr(lock)
    assert identity(functools.partial(print, lock)) != identity(
        functools.partial(print, threading.Lock())
    )
    ring: list[Any] = []
    ring.append(ring)
    assert identity(ring) == "(…)"


@pytest.mark.parametrize("value", [None, 3, "text", 0.5, True, torch.float32])
def test_plain_values_are_themselves(value: object) -> None:
    assert identity(value) == repr(value)
