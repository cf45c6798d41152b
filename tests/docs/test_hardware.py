# SPDX-License-Identifier: Apache-2.0
"""Every command of docs/hardware.md runs, in order, and says what the page says."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spikewright.cli import main

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(?P<head>bash|\{[^}]*\})\n(?P<body>.*?)^```$", re.M | re.S)
TITLE = re.compile(r'title="([^"]+)"')
NEEDS = {
    "gcc": "gcc",
    "compare.py": "gcc",
    "./digits": "gcc",
    "in.txt": "gcc",
    "verilator": "verilator",
    "--to onnx": "onnx",
    "stream.py": "onnxruntime",
    "--to nir": "nir",
}


def blocks() -> tuple[dict[str, str], list[str]]:
    """Return the files of the page by name, and its commands."""
    files, commands = {}, []
    for found in BLOCK.finditer((DOCS / "hardware.md").read_text(encoding="utf-8")):
        title = TITLE.search(found["head"])
        if title is not None:
            files[title[1]] = found["body"]
        else:
            commands.append(found["body"])
    return files, commands


def missing(command: str) -> str:
    """Return what a command needs and this machine has not."""
    for word, tool in NEEDS.items():
        program = tool in ("gcc", "verilator")
        there = shutil.which(tool) if program else importlib.util.find_spec(tool)
        if word in command and not there:
            return tool
    return ""


def run(line: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a line of the page in this folder and return what it prints; our own without a start."""
    if line.startswith("spikewright "):
        code = main(shlex.split(line)[1:])
        out, err = capfd.readouterr()
    else:
        line = line.replace("python ", f"{sys.executable} ", 1)
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 0, f"{line}\n{out[-2000:]}\n{err[-2000:]}"
    return out


@pytest.mark.slow
def test_every_command_runs_and_says_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    files, commands = blocks()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(DOCS / "replay.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    said, without = "", set[str]()
    for line in (line for command in commands for line in command.splitlines()):
        if tool := missing(line):
            without.add(tool)
        else:
            said += run(line, capfd)
    trained = re.search(r"^20 +\d\.\d+ +(\d+\.\d+)", said, re.M)  # the last epoch's row
    assert trained is not None
    assert float(trained[1]) > 90
    assert re.search(r"[1-9][\d,]* values, 0 differ", said)
    if "gcc" not in without:
        assert re.search(r"RAM \d+ bytes, flash \d+ bytes", said)
        assert "200 read-outs, 0 differ" in said
    if not {"gcc", "verilator"} & without:
        assert re.search(r"cycles [1-9]\d+", said)
        assert (tmp_path / "verilog" / "wave.vcd").stat().st_size > 10_000
    if not {"onnx", "onnxruntime"} & without:
        assert "step 16: classes" in said
    if without:
        pytest.skip(f"the rest of the page ran; not there: {', '.join(sorted(without))}")
