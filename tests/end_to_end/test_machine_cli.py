# SPDX-License-Identifier: Apache-2.0
"""Where verbs run, what they print to paste, and models whose code ends the program."""

import json
import shlex
from pathlib import Path

import pytest
import torch

from spikewright.cli import main
from spikewright.cli.machine import MachineOptions

MODELS = """
import sys
from torch import nn

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

class Quits(nn.Module):
    def forward(self, x):
        sys.exit(3)
"""
NET = ("--model", "nets.py:net")
CALIBRATED = (*NET, "--calibration", "digits-train", "--calibration-samples", "16", "--quiet")
MEASURED = (*CALIBRATED, "--data", "digits-test", "--limit", "8")
LINES = {
    "inspect": ("inspect", *NET, "--shape", "1,8,8"),
    "convert": ("convert", *CALIBRATED),
    "evaluate": ("evaluate", *MEASURED),
    "verify": ("verify", *CALIBRATED),
    "compare": ("compare", *MEASURED, "--methods", "burst@2"),
    "diagnose": ("diagnose", *MEASURED),
    "train": ("train", *NET, "--data", "digits-train", "--epochs", "1", "--quiet"),
    "demo": ("demo", "--epochs", "1", "--quiet"),
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose name, like those in it, has a space."""
    here = tmp_path / "my work"
    here.mkdir()
    (here / "nets.py").write_text(MODELS)
    (here / "its nets").mkdir()
    monkeypatch.chdir(here)
    return here


def run(capsys: Capture, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(words))
    return code, *capsys.readouterr()


def pasted(line: str) -> list[str]:
    """Return the words behind the program's name as a shell reads them, SPEC filled in."""
    words = shlex.split(line)
    words = words[words.index("spikewright") + 1 :]
    return ["digits-test" if word == "SPEC" else word for word in words]


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--device", "gpu", "--device gpu: expected a device that computes here (cpu"),
        ("--device", "cuda:99", "--device cuda:99: expected a device that computes here (cpu"),
        ("--threads", "0", "--threads: expected 1 to "),
        ("--threads", "two", "--threads: expected a whole number, got 'two'."),
    ],
)
def test_a_machine_that_is_not_there(
    capsys: Capture, verb: str, option: str, value: str, message: str
) -> None:
    code, out, err = run(capsys, *LINES[verb], option, value)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert sorted(path.name for path in Path().iterdir()) == ["its nets", "nets.py"]


@pytest.mark.parametrize("verb", LINES)
def test_every_verb_computes_where_it_is_told(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Tensors on this device have no values, so whoever asks for one says where it lies."""
    monkeypatch.setattr(MachineOptions, "place", torch.device("meta"))
    code, out, err = run(capsys, *LINES[verb])
    assert (code, out) == (3, "")
    assert "meta tensor" in err


def test_threads_from_a_file_and_where_time_is_stated(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    before = torch.get_num_threads()
    Path("run.toml").write_text("threads = 3\ndevice = 'cpu'\n")
    machine = {"device": "cpu", "threads": 3}
    train = ("train", *NET, "--data", "digits-train", "--epochs", "1", "--config", "run.toml")
    code, out, _ = run(capsys, *train)
    assert code == 0
    assert " s on cpu, 3 threads\n" in out
    assert json.loads(run(capsys, *train, "--json")[1])["machine"] == machine
    code, out, _ = run(capsys, *LINES["compare"], "--json", "--config", "run.toml")
    assert (code, json.loads(out)["machine"]) == (0, machine)
    assert torch.get_num_threads() == before


def test_what_is_printed_can_be_pasted(capsys: Capture) -> None:
    loud = [word for word in LINES["convert"] if word != "--quiet"]
    _, out, _ = run(capsys, *loud, "-o", "its nets/snn.safetensors")
    result = ("--limit", "8", "-o", "its nets/result.json")
    code, out, err = run(capsys, *pasted(out.splitlines()[-1]), *result)
    assert code == 0
    assert run(capsys, *pasted(err.splitlines()[-1]))[0] == 0
    assert Path("its nets/report.html").is_file()
    train = ("train", *NET, "--data", "digits-train", "--epochs", "1", "--folder", "its nets/q")
    _, out, _ = run(capsys, *train)
    assert run(capsys, *pasted(out.splitlines()[-1]), "-o", "from training")[0] == 0
    _, _, err = run(
        capsys, *[w for w in LINES["compare"] if w != "--quiet"], "-o", "its nets/many.json"
    )
    assert run(capsys, *pasted(err.splitlines()[-1]), "--force")[0] == 0


@pytest.mark.parametrize("verb", ["inspect", "convert", "train"])
@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("quits.py:net", "got a call of exit()."),
        ("quits:net", "got a call of exit()."),
        ("nets.py:Quits", "exit(3)"),
    ],
)
def test_a_model_that_ends_the_program(capsys: Capture, verb: str, model: str, text: str) -> None:
    Path("quits.py").write_text("from nets import net\nexit()\n")
    words = [model if word == NET[1] else word for word in LINES[verb]]
    code, out, err = run(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text in err
    assert err.startswith("error: ")
