# SPDX-License-Identifier: Apache-2.0
"""``spikewright evaluate`` under torchrun: the numbers of one process, or one error and no file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.cli import main
from spikewright.network import save

WORDS = (
    *("evaluate", "--snn", "snn.safetensors", "--data", "data.npz", "--batch-size", "4"),
    *("--layers", "-o", "result.json"),
)
LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
# The command, but something happens to the second batch of rank 1.
SCRIPT = """
import os, signal, sys
from spikewright import api
from spikewright.cli import main

whole = api.evaluate

def evaluate(snn, loader, **options):
    def batches():
        for index, batch in enumerate(loader):
            if (index, os.environ["RANK"]) == (1, "1"):
                {what}
            yield batch

    return whole(snn, batches(), **options)

api.evaluate = evaluate
sys.exit(main(sys.argv[1:]))
"""
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"  # as the system does when memory runs out


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with an integer network, whose numbers do not depend on how batches are cut."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    x = torch.rand(21, 1, 8, 8)
    save(sw.convert(model, T=4, calibration=x).to_integer(), tmp_path / "snn.safetensors")
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=np.arange(21) % 10)
    monkeypatch.chdir(tmp_path)


def launched(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAUNCHER, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
        timeout=300,  # far below what processes wait for each other: nobody may
    )


@pytest.mark.slow
def test_two_processes_report_what_one_reports(capsys: pytest.CaptureFixture[str]) -> None:
    done = launched("-m", "spikewright", *WORDS)
    assert done.returncode == 0, done.stderr
    two = Path("result.json").read_bytes()
    assert main([*WORDS, "--force"]) == 0
    out, err = capsys.readouterr()
    assert (done.stdout, two) == (out, Path("result.json").read_bytes())
    assert done.stderr.count("result written to") == err.count("result written to") == 1


@pytest.mark.slow
def test_one_error_and_no_result() -> None:
    error = "died or cannot be reached; nothing was written. Start it again."
    Path("script.py").write_text(SCRIPT.format(what=KILLED))
    before = set(Path.cwd().iterdir())
    done = launched("script.py", *WORDS)
    assert done.returncode != 0
    assert done.stdout == ""
    found = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert [line.replace("2: ", "2 ") for line in found] == [f"error: process 1 of 2 {error}"]
    assert set(Path.cwd().iterdir()) == before
